"""All that is stored is verified again and again: within a budget, from where it was, and what is off is an alert."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
import pytest
from child import eventually
from databases import Database
from durable import emptied, migrated
from msgspec.structs import replace
from psycopg import sql
from reconciler.scenes import ALICE, SPEC, ask, opened, queued

from domainflow import runtime as runtime_module
from domainflow.actors.monitor import verifying
from domainflow.actors.monitor.core import Alerts, evolve
from domainflow.actors.monitor.messages import AlertKind, AlertRaised, Finding, RecordVerified, Severity
from domainflow.actors.monitor.verifying import POSTGRES, Round, Verified, Verifying
from domainflow.errors import Corrupt
from domainflow.settings import Settings
from domainflow.store.faults import Fault, Slice
from domainflow.store.postgres import Postgres
from domainflow.verify import check_next

from watching import VERIFYING, await_none, open_alerts, the_alert, watching  # isort: skip  # beside this file

__all__ = ["emptied", "migrated"]  # fixtures

VERIFIED: Final = "select body from domainflow.event where type = 'monitor.streams_verified' order by version desc"


# --- the budget, and where it is: rules over a verifier that is none


@dataclass
class Hands:
    """A clock that a test turns, and a verifier that takes its time."""

    at_s: float = 0.0
    takes_s: float = 0.0
    events: int = 100
    names: list[str] = field(default_factory=lambda: ["a", "b", ""])
    asked: list[tuple[str, int]] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    broken: bool = False

    def monotonic_s(self) -> float:
        return self.at_s

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def next(self, after: str, events: int) -> Slice:
        self.asked.append((after, events))
        self.at_s += self.takes_s
        if self.broken:
            raise Corrupt("Postgres cannot read what it stored")
        return Slice(self.names[(len(self.asked) - 1) % len(self.names)], self.events, ())

    def check(self, stream: str) -> tuple[Fault, ...]:
        self.checked.append(stream)
        return ()


def round_of(hands: Hands, *, rate: int = 10, monitor_s: float = 2.0) -> Round:
    settings = Settings(verify_events_per_s=rate, monitor_s=monitor_s)
    store: Any = None  # nothing is found
    made = Round(store, Verifying(hands.next, hands.check), settings)
    made.begin(hands.at_s, "")
    return made


def go_on(round_: Round, hands: Hands, at_s: float, alerts: Alerts | None = None) -> Verified:
    hands.at_s = at_s
    return round_.go_on(hands, {"acme": alerts or Alerts()})


def test_a_slice_is_what_may_be_verified_between_two_looks_and_the_next_one_waits_for_its_events() -> None:
    hands = Hands()
    round_ = round_of(hands)
    for at_s in (0.0, 2.0, 9.9, 10.0):
        go_on(round_, hands, at_s)
    assert hands.asked == [("", 20), ("a", 20)]


def test_whatever_it_finds_to_do_it_takes_no_more_than_its_share_of_the_time() -> None:
    hands = Hands(takes_s=0.5, events=0)
    round_ = round_of(hands)
    for at_s in (0.0, 9.9, 10.0):
        go_on(round_, hands, at_s)
    assert [after for after, _ in hands.asked] == ["", "a"]


def test_without_a_budget_nothing_is_verified() -> None:
    hands = Hands()
    assert go_on(round_of(hands, rate=0), hands, 0.0) == Verified({}, (), None)
    assert hands.asked == []


def test_where_it_is_is_recorded_once_a_minute_and_of_a_short_round_never() -> None:
    hands = Hands(events=0)
    long, recorded = round_of(hands), []
    hands.names = [f"{n:03}" for n in range(200)]
    for second in range(130):
        verified = go_on(long, hands, float(second))
        recorded.append(verified.to_record)
    assert [each for each in recorded if each] == [RecordVerified("060"), RecordVerified("120")]
    short = round_of(hands := Hands(events=0))
    assert {go_on(short, hands, float(second)).to_record for second in range(130)} == {None}


def test_the_end_of_a_round_that_was_recorded_is_recorded() -> None:
    hands = Hands(events=0, names=["a", ""])
    round_ = round_of(hands)
    round_.begin(0.0, "x")
    assert [go_on(round_, hands, at_s).to_record for at_s in (1.0, 2.0, 3.0)] == [None, RecordVerified(""), None]
    assert hands.asked[0][0] == "x"


def test_streams_with_an_open_alert_are_looked_at_again_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "MOST_CHECKED", 2)
    state = Alerts()
    for number, subject in enumerate(("c", "a", "b", POSTGRES), 1):
        state = evolve(state, raised(number, subject))
    hands = Hands(events=0)
    round_ = round_of(hands)
    checked = [go_on(round_, hands, float(second), state).checked for second in range(3)]
    assert hands.checked == ["a", "b", "c", "a", "b"]
    assert checked == [("a", "b", POSTGRES), ("c", POSTGRES), ("a", "b", POSTGRES)]


def test_what_postgres_cannot_read_is_a_finding_too() -> None:
    hands = Hands(broken=True)
    round_ = round_of(hands)
    assert go_on(round_, hands, 0.0) == Verified({}, (), None)  # one of the streams may be to blame
    verified = go_on(round_, hands, 1.0)
    why = (("after", ""), ("why", "Postgres cannot read what it stored"))
    assert verified == Verified({"system": (Finding(AlertKind.STORE_CONTRADICTS, POSTGRES, why),)}, (), None)
    assert hands.asked == [("", 20), ("", 1)]


def raised(number: int, subject: str) -> AlertRaised:
    return AlertRaised(
        number=number,
        kind=AlertKind.STORE_CONTRADICTS,
        subject=subject,
        severity=Severity.CRITICAL,
        runbook="store_contradicts",
        evidence=(),
        at_us=0,
    )


# --- on a real Postgres


def falsify(database: Database, stream: str, query: str) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")  # past the append-only trigger
        connection.execute(query.encode(), (stream,))


# Of one campaign, whoever looks after all of them cannot read the row.
DAMAGE: Final[LiteralString] = """
create policy damage on domainflow.campaign as restrictive for select to domainflow_upkeep
  using (id <> {id} or 1 / (count - count) = 0)
"""
ADD: Final = "update domainflow.event set body = body || '\\x00' where stream = %s and version = 1"
TAKE: Final = "update domainflow.event set body = substr(body, 1, length(body) - 1) where stream = %s and version = 1"


def test_what_is_falsified_is_an_alert_of_its_tenant_until_it_is_put_right(emptied: Database, home: Path) -> None:
    with opened(emptied, home, campaigns=False) as runtime:
        runtime.as_principal(ALICE).create_campaign(SPEC)
    ((stream,),) = ask(emptied, "select stream from domainflow.head where stream like 'pattern/%'")
    falsify(emptied, str(stream), ADD)
    with watching(emptied, home, VERIFYING) as runtime:
        alert = the_alert(runtime, AlertKind.STORE_CONTRADICTS)
        assert (alert.subject, alert.runbook) == (stream, "store_contradicts")
        first = f"chain_broken {stream}: the hash of version 1 does not cover what is stored"
        assert alert.evidence == {"faults": "1", "first": first}
        assert runtime.as_principal(replace(ALICE, tenant="other")).alerts() == []
        falsify(emptied, str(stream), TAKE)
        await_none(runtime)
        (ended,) = runtime.as_principal(ALICE).alerts(resolved=True)
        assert ended.resolved is not None
        assert ended.resolved.by == "monitor"


def test_a_stream_that_cannot_be_read_is_found_among_many_and_keeps_nothing_from_being_verified(
    emptied: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "MOST_SHARE", 1e6)
    with opened(emptied, home, campaigns=False) as runtime:
        campaigns = sorted(runtime.as_principal(ALICE).create_campaign(SPEC).id for _ in range(3))
    ((pattern,),) = ask(emptied, "select stream from domainflow.head where stream like 'pattern/%'")
    damaged = f"campaign/{campaigns[1]}"
    falsify(emptied, str(pattern), ADD)  # behind it
    with watching(emptied, home, VERIFYING) as runtime, psycopg.connect(emptied.admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL(DAMAGE).format(id=sql.Literal(campaigns[1])))
        try:
            eventually(lambda: len(open_alerts(runtime)) == 2, "both are found")
        finally:
            admin.execute("drop policy damage on domainflow.campaign")
        found = {alert.subject: alert.evidence["first"].partition(" ")[0] for alert in open_alerts(runtime)}
        assert found == {damaged: "event_unreadable", pattern: "chain_broken"}
        eventually(lambda: [alert.subject for alert in open_alerts(runtime)] == [pattern], "it can be read again")


def test_the_next_runtime_goes_on_where_the_last_one_was(
    emptied: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "RECORDED_EACH_S", 0.0)
    monkeypatch.setattr(verifying, "MOST_SHARE", 1e6)
    queued(emptied, home, 4)
    one_by_one = replace(VERIFYING, verify_events_per_s=20)  # at each look
    with watching(emptied, home, one_by_one):
        eventually(lambda: ask(emptied, VERIFIED) != [], "it has come so far")
    last = next(str(body, "latin1") for (body,) in ask(emptied, VERIFIED) if isinstance(body, bytes))
    asked: list[str] = []

    def spy(store: Postgres, after: str, events: int) -> Slice:
        asked.append(after)
        return check_next(store, after, events)

    monkeypatch.setattr(runtime_module, "check_next", spy)
    with watching(emptied, home, one_by_one):
        eventually(lambda: asked != [], "it goes on")
    assert asked[0]
    assert asked[0] in last
