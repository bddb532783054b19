"""The monitor on a real Postgres: each kind of alert raised once, seen, and resolved; by one runtime of them all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from child import eventually
from databases import Database
from durable import Actor, acting, emptied, migrated
from msgspec.structs import replace
from reconciler.scenes import ALICE, ask, happens, opened, running

from domainflow.actors.monitor import actor as monitor
from domainflow.actors.monitor import core
from domainflow.actors.monitor.messages import SEVERITIES, AlertKind
from domainflow.errors import Denied, InvalidInput, NotFound
from domainflow.settings import Settings
from domainflow.store import leaders, monitor_sql
from domainflow.verify import verify

from monitor_mutants import forget_since, raise_anew  # isort: skip  # beside this file
from watching import (  # isort: skip  # likewise
    QUICK,
    STALLS,
    Looks,
    await_none,
    campaign_still,
    open_alerts,
    raisings,
    the_alert,
    watching,
    work_not_taken,
)

__all__ = ["emptied", "migrated"]  # fixtures

HOLDER = "select holder::text from domainflow.leader where name = 'monitor'"


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    """Another runtime: it lives and does nothing."""
    with acting(emptied.dsn, lane=9) as acts:
        yield acts


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    counted = Looks(monitor_sql.observe)
    monkeypatch.setattr(monitor_sql, "observe", counted)
    return counted


@pytest.mark.parametrize("kind", STALLS)
def test_what_stands_still_is_raised_once_and_resolved_when_its_cause_is_gone(
    emptied: Database, home: Path, other: Actor, looks: Looks, kind: AlertKind
) -> None:
    subject, mend = STALLS[kind](other, emptied)
    with watching(emptied, home) as runtime:
        alert = the_alert(runtime, kind)
        assert (alert.number, alert.subject, alert.runbook, alert.severity) == (1, subject, kind, SEVERITIES[kind])
        assert alert.evidence
        looks.await_more(3)
        assert open_alerts(runtime) == [alert]
        mend()
        await_none(runtime)
        (ended,) = runtime.as_principal(ALICE).alerts(resolved=True)
        assert ended.resolved is not None
        assert (ended.number, ended.resolved.by, ended.resolved.how) == (1, "monitor", core.GONE)
        assert raisings(emptied) == 1


def test_where_nothing_is_the_matter_nothing_is_recorded(emptied: Database, home: Path, looks: Looks) -> None:
    patient = replace(QUICK, stall_s=3600.0, held_s=3600.0, verify_events_per_s=1_000_000)
    with watching(emptied, home, patient) as runtime:
        running(emptied, runtime)
        looks.await_more(5)
        assert ask(emptied, "select 1 from domainflow.head where stream like 'monitor/%'") == []


def test_an_alert_is_an_event_with_its_audit_record_and_its_stream_is_sound(
    emptied: Database, home: Path, other: Actor
) -> None:
    with watching(emptied, home) as runtime:
        subject, mend = work_not_taken(other, emptied)
        the_alert(runtime, AlertKind.WORK_NOT_TAKEN)
        mend()
        await_none(runtime)
        theirs = [fault.line for fault in verify(runtime.store) if subject not in fault.where]
    assert theirs == []
    rows = ask(
        emptied,
        "select tenant, type, convert_from(context, 'LATIN1') from domainflow.event where stream = 'monitor/acme'"
        " order by version",
    )
    assert [row[:2] for row in rows] == [("acme", "monitor.alert_raised"), ("acme", "monitor.alert_resolved")]
    assert all("monitor.observe" in str(row[2]) and "system" in str(row[2]) for row in rows)


def test_each_sighting_after_a_while_is_counted(
    emptied: Database, home: Path, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "SEEN_FIRST_US", 1)
    with watching(emptied, home) as runtime:
        campaign_still(other, emptied)
        eventually(lambda: any(alert.seen >= 3 for alert in open_alerts(runtime)), "it is seen again")
        (alert,) = open_alerts(runtime)
        assert alert.seen_at > alert.raised_at
    assert raisings(emptied) == 1


# --- one runtime of them all


def test_one_runtime_looks_for_all_and_the_next_one_goes_on_with_its_alerts(
    emptied: Database, home: Path, other: Actor
) -> None:
    with watching(emptied, home) as second, watching(emptied, home) as first:
        leader, follower = (first, second) if ask(emptied, HOLDER) == [(first.id,)] else (second, first)
        _, mend = campaign_still(other, emptied)
        the_alert(leader, AlertKind.CAMPAIGN_STILL)
        assert ask(emptied, HOLDER) == [(leader.id,)]
        leader.close()
        eventually(lambda: ask(emptied, HOLDER) == [(follower.id,)], "the other one leads")
        assert len(open_alerts(follower)) == 1
        mend()
        await_none(follower)
    assert raisings(emptied) == 1


def test_whoever_does_not_lead_looks_at_nothing_until_the_leader_is_gone(
    emptied: Database, home: Path, other: Actor, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_still(other, emptied)
    with acting(emptied.dsn, lane=8) as leader:
        assert leaders.hold(leader.upkeep, "monitor", leader.runtime, term_s=600.0)
        terms = Looks(leaders.hold)
        monkeypatch.setattr(leaders, "hold", terms)
        with watching(emptied, home) as runtime:
            terms.await_more(10)
            assert looks.number == 0
            leader.die()
            the_alert(runtime, AlertKind.CAMPAIGN_STILL)


def test_a_runtime_that_executes_nothing_watches_nothing(emptied: Database, home: Path, other: Actor) -> None:
    campaign_still(other, emptied)
    with opened(emptied, home, campaigns=False, settings=QUICK) as runtime:
        assert all(path != "upkeep/monitor" for path, _, _ in runtime.tree())
    assert ask(emptied, HOLDER) == []


# --- people


def test_a_person_resolves_it_and_while_its_cause_is_there_it_is_raised_again(
    emptied: Database, home: Path, other: Actor
) -> None:
    with watching(emptied, home) as runtime:
        campaign_still(other, emptied)
        first = the_alert(runtime, AlertKind.CAMPAIGN_STILL)
        operations = runtime.as_principal(ALICE)
        ack = operations.resolve_alert(first.number, "seen to", idempotency_key="k")
        assert operations.resolve_alert(first.number, "seen to", idempotency_key="k") == ack
        eventually(lambda: [alert.number for alert in operations.alerts()] == [2], "it is raised again")
        (ended,) = operations.alerts(resolved=True)
        assert ended.resolved is not None
        assert (ended.resolved.by, ended.resolved.how) == ("alice", "seen to")


def test_who_may_see_and_who_may_resolve(emptied: Database, home: Path, other: Actor) -> None:
    with watching(emptied, home) as runtime:
        campaign_still(other, emptied)
        alert = the_alert(runtime, AlertKind.CAMPAIGN_STILL)
        viewer = runtime.as_principal(replace(ALICE, id="eve", roles=("viewer",)))
        assert [each.number for each in viewer.alerts()] == [1]
        with pytest.raises(Denied, match="eve may not"):
            viewer.resolve_alert(alert.number, "never mind")
        nobody = runtime.as_principal(replace(ALICE, id="mallory", roles=()))
        with pytest.raises(Denied, match="mallory may not alerts:read"):
            nobody.alerts()
        stranger = runtime.as_principal(replace(ALICE, tenant="other"))
        assert stranger.alerts() == []
        with pytest.raises(NotFound, match="there is no open alert 1"):
            stranger.resolve_alert(1, "never mind")
        with pytest.raises(InvalidInput, match="must be 1 to 500 characters"):
            stranger.resolve_alert(1, "")
        assert [each.number for each in open_alerts(runtime)] == [1]


# --- the guards, and what happens without them


def test_without_a_look_at_what_is_open_it_is_raised_at_each_look(
    emptied: Database, home: Path, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "_raised", raise_anew)
    with watching(emptied, home):
        campaign_still(other, emptied)
        eventually(lambda: raisings(emptied) > 3, "it is raised again and again")


def test_without_a_memory_of_since_when_work_that_nobody_takes_is_never_found(
    emptied: Database, home: Path, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "judge", forget_since)
    with watching(emptied, home):
        work_not_taken(other, emptied)
        assert not happens(lambda: raisings(emptied) > 0, within_s=2.0)


def test_the_defaults_give_what_moves_its_time() -> None:
    settings = Settings()
    assert (settings.monitor_s, settings.stall_s, settings.held_s) == (5.0, 60.0, 600.0)
