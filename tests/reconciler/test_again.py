"""The same fault again and again: it is tried, left alone, told once. And how soon the work of the dead is back."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from child import eventually
from databases import Database
from durable import Actor, acting, emptied, migrated
from msgspec.structs import replace
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.actors.campaign.evolution import FOLD_VERSION
from domainflow.actors.monitor import actor as monitor
from domainflow.actors.monitor.messages import AlertKind
from domainflow.actors.reconciler import core
from domainflow.actors.reconciler.messages import Activate, Quarantine, Rescue
from domainflow.store import leases, reconcile_sql
from domainflow.store.observed import Observed, Why

from mutants import forget_who_is_tried  # isort: skip  # beside this file
from scenes import (  # isort: skip  # likewise
    ALICE,
    SETTINGS,
    SPOIL,
    STATE,
    ask,
    claim,
    in_quarantine,
    opened,
    owner,
    plans,
    queued,
    running,
    stop,
)

__all__ = ["emptied", "migrated"]  # fixtures

WATCHFUL: Final = replace(SETTINGS, monitor_s=0.05, verify_events_per_s=0, lag_s=3600.0)
ROUNDS: Final = "select coalesce(max(rounds), 0) from domainflow.quarantine"
TRIES: Final = "select tries from domainflow.quarantine"
RAISED: Final = "select count(*) from domainflow.event where type = 'monitor.alert_raised'"
OVER: Final = "select lease_until < clock_timestamp() from domainflow.runtime where id = %s"


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    """Another runtime, of which nothing lives but its session."""
    with acting(emptied.dsn, lane=9) as acts:
        yield acts


def test_what_is_tried_again_after_each_quarantine_in_vain_has_one_alert_until_it_is_mended(
    emptied: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "FIRST_S", 0.2)
    (poisoned,) = queued(emptied, home)
    ask(emptied, SPOIL, FOLD_VERSION, f"campaign/{poisoned}")
    with opened(emptied, home, settings=WATCHFUL) as runtime:
        eventually(lambda: ask(emptied, ROUNDS) >= [(5,)], "it is tried again and again")
        (alert,) = runtime.as_principal(ALICE).alerts()
        assert (alert.number, alert.kind) == (1, AlertKind.ACTOR_CANNOT_LIVE)
        ask(emptied, "delete from domainflow.snapshot where stream = %s", f"campaign/{poisoned}")
        eventually(lambda: owner(emptied, poisoned) == runtime.id, "it is taken over")
        eventually(lambda: runtime.as_principal(ALICE).alerts() == [], "it is resolved")
    assert ask(emptied, RAISED) == [(1,)]


def test_without_word_of_who_is_tried_again_each_round_has_an_alert_of_its_own(
    emptied: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "FIRST_S", 0.2)
    monkeypatch.setattr(monitor, "judge", forget_who_is_tried)
    (poisoned,) = queued(emptied, home)
    ask(emptied, SPOIL, FOLD_VERSION, f"campaign/{poisoned}")
    with opened(emptied, home, settings=WATCHFUL):
        eventually(lambda: ask(emptied, RAISED) > [(1,)], "it is raised again")


def test_an_actor_that_starts_well_and_ends_each_time_is_left_alone_and_told(emptied: Database, home: Path) -> None:
    with opened(emptied, home, settings=WATCHFUL) as runtime:
        campaign = running(emptied, runtime)
        for times in range(core.MOST_TRIES):
            stop(runtime, campaign)
            eventually(lambda n=times: ask(emptied, TRIES) == [(n + 1,)], "it is started again, and counted")  # type: ignore[misc]  # a lambda's default
        stop(runtime, campaign)
        eventually(lambda: in_quarantine(emptied) == [(f"campaign/{campaign}",)], "it is left alone")
        eventually(lambda: runtime.as_principal(ALICE).alerts() != [], "it is told")
        (alert,) = runtime.as_principal(ALICE).alerts()
        assert (alert.kind, alert.evidence) == (AlertKind.ACTOR_CANNOT_LIVE, {"why": Why.UNTENDED})
        *tries, last = plans(emptied)
        assert [type(action) for action in tries] == [Activate] * core.MOST_TRIES
        assert isinstance(last, Quarantine)


class SeenAfter:
    """Looks as the reconciler does, and keeps what each look saw that began when a runtime's lease was over, or not."""

    def __init__(self, runtime: str) -> None:
        self._observe = reconcile_sql.observe
        self._runtime = runtime
        self.seen: list[tuple[bool, Observed]] = []

    def __call__(self, connection: Connection[TupleRow], runtime: str, is_live: Callable[[str], bool]) -> Observed:
        (over,) = connection.execute(OVER, (self._runtime,)).fetchone() or (None,)
        observed = self._observe(connection, runtime, is_live)
        self.seen.append((over, observed))
        return observed


def test_work_of_who_sleeps_is_put_back_by_the_first_sweep_after_its_lease_and_by_none_before(
    emptied: Database, home: Path, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = SeenAfter(other.runtime)
    monkeypatch.setattr(reconcile_sql, "observe", looks)
    with opened(emptied, home) as runtime:
        running(emptied, runtime)
        leases.renew(other.upkeep, other.runtime, lease_s=1.0)  # its session stands for longer
        (claimed,) = claim(other)
        eventually(lambda: ask(emptied, STATE, claimed.id) == [(0,)], "it is put back")
        eventually(lambda: any(over for over, _ in looks.seen), "it looks")
    first = next(n for n, (over, _) in enumerate(looks.seen) if over)
    *early, within, after = ([lost.item for lost in observed.lost] for _, observed in looks.seen[: first + 1])
    assert {*within, *after} == {claimed.id}  # its lease may have ended during the look before
    assert not any(early)
    assert plans(emptied) == [Rescue("acme", other.runtime, (claimed.id,))]
