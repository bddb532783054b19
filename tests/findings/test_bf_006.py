"""BF-006, synchronisation: what one process was answered another one hears, once and in order; hints are only hints.

Latencies are printed; bench/sync.py measures them on a server of its own.
"""

from pathlib import Path
from typing import Final

import pytest
from databases import Database

from domainflow.store import feed
from domainflow.store.hints import Hints

from bf_006 import CAMPAIGNS, Heard, Story, by_sequence, silent  # isort: skip  # beside this file

SILENT: Final = "domainflow.store.hints:Hints.send=findings.bf_006:silent"
ALL: Final = 2 * 2 * CAMPAIGNS + 4  # two changes of each campaign of both processes, and of the two at the end


def heard(database: Database, home: Path, *patch: str) -> Heard:
    told = Story(database.dsn, database.admin_dsn, home, patch=patch).tell()
    print(told.figures, "from the answer in one process to the change in the other, under load")  # noqa: T201 - a figure
    return told


def test_what_was_answered_in_one_process_is_heard_in_another_once_and_in_order(database: Database, home: Path) -> None:
    told = heard(database, home)
    assert (told.lost, told.inverted) == (set(), [])
    assert len(told.heard) == len(told.answered) == ALL


def test_without_any_notification_nothing_is_lost(
    database: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hints, "send", silent)
    told = heard(database, home, SILENT)
    assert (told.lost, told.inverted) == (set(), [])
    assert len(told.heard) == ALL


def test_it_is_the_horizon_that_keeps_it_from_losing_what_commits_late(
    database: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE", by_sequence())
    assert heard(database, home).lost != set()
