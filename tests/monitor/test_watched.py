"""What the monitor sees of the store. Real Postgres."""

import shutil
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest
from child import eventually
from databases import Database, reachable_folder
from durable import Actor, acting, await_gone, emptied, item, migrated, new_uuid
from msgspec import Struct
from reconciler.scenes import ask

from domainflow.actors.monitor.messages import AlertKind, AlertRaised, AlertResolved, AlertSeen, Severity
from domainflow.store import commands, leases, monitor_sql, work_items
from domainflow.store.commands import Boxed
from domainflow.store.embedded import EmbeddedServer
from domainflow.store.faults import Kind as Fault
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind, transaction
from domainflow.store.watched import Overdue, Waiting, Watched, Writer
from domainflow.verify import check_streams

from watching import Planted, saying  # isort: skip  # beside this file

__all__ = ["emptied", "migrated"]  # fixtures

AGO: Final = "update domainflow.work_item set run_at = clock_timestamp() - make_interval(secs => %s) where id = %s"


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn, lane=1) as acts:
        yield acts


def look(actor: Actor, *, stall_s: float = 60.0, held_s: float = 600.0) -> Watched:
    with transaction(actor.upkeep, Kind.TOOL, one_instant=True):
        return monitor_sql.observe(actor.upkeep, stall_s=stall_s, held_s=held_s, lag_s=60.0)


def waiting(actor: Actor) -> list[tuple[int, bool]]:
    """Items that nobody has in hand, and whether they were passed by."""
    return [(each.item, each.passed_by) for each in look(actor).waiting if each.runtime is None]


def items(actor: Actor) -> list[int]:
    return actor.see("select id from domainflow.work_item order by id")


def became_ready(actor: Actor, item_: int, *, ago_s: float) -> None:
    actor.upkeep.execute(AGO, (ago_s, item_))


def test_work_waits_once_it_has_been_ready_for_a_while_and_not_before_it_is(actor: Actor) -> None:
    Planted(actor, opens=3)
    first, second, third = items(actor)
    became_ready(actor, first, ago_s=61.0)
    became_ready(actor, second, ago_s=59.0)
    became_ready(actor, third, ago_s=-3600.0)  # it failed, and has another attempt later
    assert waiting(actor) == [(first, True)]


def test_work_is_passed_by_when_nothing_is_in_hand_or_what_became_ready_later_is(actor: Actor, other: Actor) -> None:
    Planted(actor, opens=3)
    first, second, third = items(actor)
    for item_, ago_s in ((first, 300.0), (second, 200.0), (third, 100.0)):
        became_ready(actor, item_, ago_s=ago_s)
    assert waiting(actor) == [(first, True), (second, True), (third, True)]
    (claimed,) = work_items.claim(other.upkeep, other.runtime, 1)
    assert claimed.id == first
    assert waiting(actor) == [(second, False), (third, False)]  # its turn comes
    became_ready(actor, first, ago_s=150.0)
    assert waiting(actor) == [(second, True), (third, False)]


def test_who_must_run_alone_is_not_passed_by_as_long_as_anything_is_in_hand(actor: Actor, other: Actor) -> None:
    Planted(actor, opens=2)
    suspect, plain = items(actor)
    actor.upkeep.execute("update domainflow.work_item set losses = 3 where id = %s", (suspect,))
    became_ready(actor, suspect, ago_s=300.0)
    became_ready(actor, plain, ago_s=200.0)
    assert waiting(actor) == [(suspect, True), (plain, True)]
    actor.upkeep.execute(
        "update domainflow.work_item set state = 1, runtime = %s where id = %s", (other.runtime, plain)
    )
    assert waiting(actor) == []


def test_work_in_hand_is_seen_after_longer_whoever_has_it(actor: Actor, other: Actor, emptied: Database) -> None:
    planted = Planted(actor, opens=2)
    first, second = items(actor)
    claims = work_items.claim(other.upkeep, other.runtime, 2)
    became_ready(actor, first, ago_s=601.0)
    became_ready(actor, second, ago_s=599.0)
    seen = (Waiting(first, claims[0].fence, planted.stream, "acme", other.runtime, False),)  # noqa: FBT003 - a row
    assert look(actor).waiting == seen
    pid = other.session.info.backend_pid
    other.die()
    await_gone(emptied.admin_dsn, pid)
    assert look(actor).waiting == seen  # until it is put back


def test_a_campaign_stands_still_once_its_last_event_is_old_and_none_of_its_work_moves(actor: Actor) -> None:
    working, still, paused = Planted(actor, opens=1), Planted(actor), Planted(actor)
    paused.move("paused")
    seen = look(actor)
    assert [(each.stream, each.status, each.last, each.done) for each in seen.still] == [
        (still.stream, "running", "test.moved", 0)
    ]
    actor.upkeep.execute("update domainflow.work_item set state = 2")
    assert {(each.stream, each.done) for each in look(actor).still} == {(still.stream, 0), (working.stream, 1)}
    assert look(actor, stall_s=1e9).still == ()


def test_commands_are_overdue_while_the_owner_of_their_stream_lives(actor: Actor, other: Actor) -> None:
    planted = Planted(actor)
    ids = [new_uuid() for _ in range(3)]
    for id_, deadline_s in zip(ids, (-70.0, -61.0, -59.0), strict=True):
        with transaction(other.app, Kind.TOOL, tenants=["acme"]):
            commands.put(other.app, Boxed(id_, planted.stream, "acme", b"", b""), deadline_s=deadline_s)
    (overdue,) = look(actor).overdue
    assert overdue == Overdue(planted.stream, "acme", actor.runtime, 2, overdue.late_s)
    assert overdue.late_s >= 70.0
    assert commands.withdraw(actor.upkeep, ids[0], b"")
    assert look(actor).overdue[0].commands == 1
    leases.release_stream(actor.upkeep, actor.runtime, planted.stream)
    assert look(actor).overdue == ()  # nobody should have answered


def test_whose_a_stream_is_is_told_by_whatever_is_left_of_it(actor: Actor, emptied: Database) -> None:
    actor.commit(item("s1", tenant="other"))
    for table in ("head", "event"):
        assert monitor_sql.tenant_of(actor.upkeep, "s1") == "other"
        ask(emptied, f"set session_replication_role = replica; delete from domainflow.{table}")  # type: ignore[arg-type]  # noqa: S608 - of two
    assert monitor_sql.tenant_of(actor.upkeep, "s1") is None


def test_writers_are_named_oldest_first_and_prepared_ones_by_their_name() -> None:
    folder = reachable_folder()
    with (
        EmbeddedServer(folder, settings={"max_prepared_transactions": "2"}) as server,
        psycopg.connect(server.dsn(), autocommit=True) as watching_,
        psycopg.connect(server.dsn(), application_name="a long report") as writer,
    ):
        watching_.execute("begin; create table t (n int); prepare transaction 'half done'")
        writer.execute("select pg_current_xact_id()")
        rows = [Writer(*row) for row in watching_.execute(monitor_sql.WRITERS, {"most": 5}).fetchall()]
        watching_.execute("rollback prepared 'half done'")
        pid = writer.info.backend_pid
    eventually(lambda: not (folder / "postgres" / "data" / "postmaster.pid").exists(), "its server has ended")
    shutil.rmtree(folder, ignore_errors=True)
    prepared, open_ = rows
    assert prepared.xid < open_.xid
    assert (prepared.pid, prepared.application, prepared.state) == (0, "half done", "prepared")
    assert (open_.pid, open_.application) == (pid, "a long report")


# --- what the verifier says of the monitor's own streams


def raised(number: int, subject: str = "campaign/a") -> AlertRaised:
    return AlertRaised(
        number=number,
        kind=AlertKind.CAMPAIGN_STILL,
        subject=subject,
        severity=Severity.CRITICAL,
        runbook="campaign_still",
        evidence=(),
        at_us=0,
    )


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((raised(1), AlertSeen(1, 1), AlertResolved(1, "alice", "", 2), raised(2)), ""),
        ((raised(2),), "it has number 2 after 0"),
        ((raised(1), raised(2)), "campaign_still of campaign/a is open already"),
        ((raised(1), AlertResolved(2, "alice", "", 1)), "alert 2 is not open"),
        ((raised(1), AlertResolved(1, "alice", "", 1), AlertSeen(1, 2)), "alert 1 is not open"),
    ],
)
def test_alerts_that_cannot_follow_one_another_are_a_fault(
    actor: Actor, emptied: Database, events: tuple[Struct, ...], why: str
) -> None:
    last = None
    for event in events:
        last = saying(item("monitor/acme", last), event)
        actor.commit(last)
    store = Postgres(lambda: emptied.dsn, revive=lambda: None, connections=1)
    try:
        faults = check_streams(store, ["monitor/acme"])
    finally:
        store.close()
    unreadable = [fault for fault in faults if fault.kind is not Fault.EVENT_OUT_OF_PLACE]
    assert ([fault.text.partition(": ")[2] for fault in faults], unreadable) == ([why] if why else [], [])
