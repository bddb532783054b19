"""Commits that meet: each race is forced by a lock that is held, never by time. Real Postgres."""

from collections.abc import Iterator
from functools import partial

import psycopg
import pytest
from commits import LOCK_HEAD, actor, admin, lane_of, versions
from databases import Database
from durable import SOON_S, Actor, acting, await_blocked, birth, emptied, in_thread, item, migrated, new_uuid, row_lock

from domainflow.store import campaigns, commands, commit, pool, streams
from domainflow.store.commands import Boxed
from domainflow.store.commit_connection import PoisonError
from domainflow.store.port import BoxAnswer, Committed, Foreign, Item, Key, KeyTaken, Stale
from domainflow.store.transaction import Kind, transaction

__all__ = ["actor", "admin", "emptied", "migrated"]  # fixtures


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


# --- the barrier


def test_whoever_resolves_waits_for_the_statement_in_flight_and_then_reads_the_truth(actor: Actor, admin: str) -> None:
    born = item("s1")
    actor.commit(born)
    slow = item("s1", born)
    with pool.connect(actor.dsn, "app") as resolver:
        with row_lock(admin, LOCK_HEAD, "s1") as blocker:
            in_flight = in_thread(lambda: actor.commit(slow))
            await_blocked(admin, 1)
            successor = commit.Lane(actor.runtime, 0)
            resolving = in_thread(lambda: successor.raise_generation(resolver))
            await_blocked(admin, 2)
            assert not commit.was_committed(actor.upkeep, slow)  # without the barrier one would be told a lie
            assert not resolving.done()
            blocker.rollback()
        resolving.result(SOON_S)
        assert commit.was_committed(resolver, slow)
        assert in_flight.result(SOON_S) == [Committed(2)]
        assert successor.generation == actor.lane.generation + 1


def test_a_statement_that_comes_after_the_resolver_does_nothing(actor: Actor) -> None:
    late = item("s1")
    with pool.connect(actor.dsn, "app") as resolver:
        commit.Lane(actor.runtime, 0).raise_generation(resolver)
        assert not commit.was_committed(resolver, late)
    with pytest.raises(commit.BarredError):
        actor.commit(late)
    assert versions(actor, "s1") == []


# --- two writers


def test_two_that_move_one_stream_do_not_both(actor: Actor, other: Actor, admin: str) -> None:
    born = item("s1")
    actor.commit(born)
    with row_lock(admin, LOCK_HEAD, "s1") as blocker:
        mine = in_thread(lambda: actor.commit(item("s1", born, body=b"mine")))
        theirs = in_thread(lambda: other.commit(item("s1", born, body=b"theirs")))
        await_blocked(admin, 2)
        blocker.rollback()
    outcomes = [*mine.result(SOON_S), *theirs.result(SOON_S)]  # type: ignore[misc]  # lists
    assert sorted(map(str, outcomes)) == ["Committed(version=2)", "Stale(version=2)"]
    assert versions(actor, "s1") == [1, 2]


def test_batches_with_the_same_streams_in_another_order_do_not_deadlock(actor: Actor, other: Actor, admin: str) -> None:
    one, two = item("s1"), item("s2")
    actor.commit(one, two)
    with row_lock(admin, LOCK_HEAD, "s1") as blocker:
        mine = in_thread(lambda: actor.commit(item("s1", one), item("s2", two)))
        theirs = in_thread(lambda: other.commit(item("s2", two), item("s1", one)))
        await_blocked(admin, 2)
        blocker.rollback()
    assert sorted(map(str, (mine.result(SOON_S), theirs.result(SOON_S)))) == [
        "[Committed(version=2), Committed(version=2)]",
        "[Stale(version=2), Stale(version=2)]",
    ]


def test_of_a_group_that_meets_a_commit_of_its_shared_stream_no_half_is_ever_written(
    actor: Actor, other: Actor, admin: str
) -> None:
    """The other statement holds the stream and is not committed when the group begins; thirty times."""
    shared, gate = item("pattern/acme/p"), item("z")
    actor.commit(shared, gate)
    for _ in range(30):
        id_, theirs, through = new_uuid(), item(shared.stream, shared, body=b"theirs"), item("z", gate)
        start, mine = birth(id_), item(shared.stream, shared, body=b"mine")
        with row_lock(admin, LOCK_HEAD, "z") as blocker:
            moving = in_thread(partial(other.commit, theirs, through))
            await_blocked(admin, 1)
            group = in_thread(partial(actor.group, mine, start))
            await_blocked(admin, 2)
            blocker.rollback()
        assert moving.result(SOON_S) == [Committed(theirs.version), Committed(through.version)]
        assert group.result(SOON_S) == Stale(theirs.version)
        assert streams.head(actor.upkeep, f"campaign/{id_}") is None
        shared, gate = theirs, through
    assert actor.see("select count(*) from domainflow.campaign") == [0]
    assert versions(actor, shared.stream) == list(range(1, 32))


def test_a_group_that_knows_of_a_commit_in_flight_is_judged_by_what_that_makes_of_the_stream(
    actor: Actor, other: Actor, admin: str
) -> None:
    shared, gate = item("pattern/acme/p"), item("z")
    actor.commit(shared, gate)
    theirs = item(shared.stream, shared)
    with row_lock(admin, LOCK_HEAD, "z") as blocker:
        moving = in_thread(lambda: other.commit(theirs, item("z", gate)))
        await_blocked(admin, 1)
        group = in_thread(lambda: actor.group(item(shared.stream, theirs), birth(new_uuid())))
        await_blocked(admin, 2)
        blocker.rollback()
    moving.result(SOON_S)
    assert group.result(SOON_S) == Committed(3)


def test_a_takeover_that_overtakes_a_commit_fences_it(actor: Actor, admin: str) -> None:
    born = item("s1", epoch=1)
    actor.commit(born)
    with row_lock(admin, LOCK_HEAD, "s1") as takeover:
        late = in_thread(lambda: actor.commit(item("s1", born, epoch=1)))
        await_blocked(admin, 1)
        takeover.execute("update domainflow.head set epoch = 2 where stream = 's1'")
        takeover.commit()
    assert late.result(SOON_S) == [Foreign(2)]


# --- two with one key


def keyed(stream: str, answer: bytes) -> Item:
    return item(stream, key=Key(principal="alice", key="k", command_hash=b"c", answer=answer))


def test_of_two_that_race_for_one_key_one_wins_and_the_other_gets_its_answer(
    actor: Actor, other: Actor, admin: str
) -> None:
    lanes = lane_of(actor), lane_of(other)
    gates = item("y"), item("z")
    actor.commit(*gates)
    batches = [[(keyed(f"s{n}", b"%d" % n),), (item(gate.stream, gate),)] for n, gate in enumerate(gates)]
    with row_lock(admin, "select 1 from domainflow.head for update") as blocker:
        racing = [in_thread(partial(lane.send, batch)) for lane, batch in zip(lanes, batches, strict=True)]
        await_blocked(admin, 2)  # both have begun: neither will see the other's key
        blocker.rollback()
    errors = [each.exception(SOON_S) for each in racing]
    winner = errors.index(None)
    error = errors[1 - winner]
    assert isinstance(error, PoisonError)
    assert error.race
    assert versions(actor, f"s{1 - winner}") == []
    assert lanes[1 - winner].send(batches[1 - winner]) == [KeyTaken(b"c", b"%d" % winner), Committed(2)]
    for lane in lanes:
        lane.close()


# --- a boxed command that its sender takes back


def test_a_command_that_was_taken_back_is_not_done_by_a_commit_that_had_begun(actor: Actor, admin: str) -> None:
    id_ = new_uuid()
    with transaction(actor.app, Kind.TOOL, tenants=["acme"]):
        commands.put(actor.app, Boxed(id_, "s1", "acme", b"", b""), deadline_s=60)
    with pool.connect(actor.dsn, "app") as sender:
        with transaction(sender, Kind.TOOL, tenants=["acme"]):
            assert commands.withdraw(sender, id_, b"taken back; nothing was done")
            doing = in_thread(lambda: actor.commit(item("s1", box=BoxAnswer(id_, b"done"))))
            await_blocked(admin, 1)
        assert doing.result(SOON_S) == [KeyTaken(b"", b"taken back; nothing was done")]
        assert versions(actor, "s1") == []
        with transaction(sender, Kind.TOOL, tenants=["acme"]):
            assert commands.answer(sender, id_) == b"taken back; nothing was done"


def test_a_command_that_is_being_done_cannot_be_taken_back(actor: Actor, admin: str) -> None:
    id_ = new_uuid()
    with transaction(actor.app, Kind.TOOL, tenants=["acme"]):
        commands.put(actor.app, Boxed(id_, "s1", "acme", b"", b""), deadline_s=60)

    def withdraw() -> object:
        with pool.connect(actor.dsn, "app") as sender, transaction(sender, Kind.TOOL, tenants=["acme"]):
            return commands.withdraw(sender, id_, b"taken back")

    hold = (
        "insert into domainflow.idempotency (tenant, principal, key, command_hash, answer) "
        "values ('acme', 'alice', 'k', '', '')"
    )
    key = Key(principal="alice", key="k", command_hash=b"c", answer=b"done")
    with row_lock(admin, hold) as blocker:
        doing = in_thread(lambda: actor.commit(item("s1", box=BoxAnswer(id_, b"done"), key=key)))
        await_blocked(admin, 1)
        withdrawing = in_thread(withdraw)
        await_blocked(admin, 2)
        blocker.rollback()
    assert doing.result(SOON_S) == [Committed(1)]
    assert withdrawing.result(SOON_S) is False
    assert actor.see("select answer from domainflow.command") == [b"done"]


# --- quotas


def test_creators_of_one_principal_count_one_after_the_other_from_the_first_on(
    actor: Actor, other: Actor, admin: str
) -> None:
    """Whoever waited for the first creator holds the principal's row himself afterwards."""
    with transaction(actor.app, Kind.TOOL, tenants=["acme"]):
        row = birth(new_uuid()).birth
        assert row is not None
        assert campaigns.over_quota(actor.app, "acme", row) == ""

        def second() -> object:
            with transaction(other.app, Kind.TOOL, tenants=["acme"]):
                campaigns.over_quota(other.app, "acme", row)
                with psycopg.connect(admin) as third, pytest.raises(psycopg.errors.LockNotAvailable):
                    third.execute("select 1 from domainflow.quota for update nowait").fetchall()
            return "held"

        waiting = in_thread(second)
        await_blocked(admin, 1)
    assert waiting.result(SOON_S) == "held"
