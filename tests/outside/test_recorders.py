"""Cases that others wrote for stores of events, against ours: those of the package `eventsourcing`, as it ships them.

`recorders` says what was adapted.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from databases import Database
from durable import emptied, migrated

cases: Any = pytest.importorskip(
    "eventsourcing.tests.persistence", reason="the cases come with the extra `outside`, which is not in the lock"
)
from recorders import Aggregates, Recorder  # noqa: E402 - it needs that package

__all__ = ["emptied", "migrated"]  # fixtures


class OverOurStore:
    """A recorder a case, over an empty database."""

    made_as: ClassVar[type[Recorder]] = Recorder
    made: Recorder

    @pytest.fixture(autouse=True)
    def _recorder(self, emptied: Database) -> Iterator[None]:
        self.made = self.made_as(emptied)
        yield
        self.made.close()

    def create_recorder(self) -> Recorder:
        return self.made


class TestAggregates(OverOurStore, cases.AggregateRecorderTestCase):  # type: ignore[misc]  # of a package that may be missing
    made_as = Aggregates


class TestApplication(OverOurStore, cases.ApplicationRecorderTestCase):  # type: ignore[misc]  # likewise
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestTracking(OverOurStore, cases.TrackingRecorderTestCase):  # type: ignore[misc]  # likewise
    pass


class TestProcess(OverOurStore, cases.ProcessRecorderTestCase):  # type: ignore[misc]  # likewise
    pass


class TestNonInterleaving(OverOurStore, cases.NonInterleavingNotificationIDsBaseCase):  # type: ignore[misc]  # likewise
    pass
