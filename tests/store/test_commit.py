"""The commit statement: what it writes, what it refuses as data, and whom a refusal hurts. Real Postgres."""

import psycopg
import pytest
from commits import actor, head, versions
from durable import Actor, birth, emptied, event, item, migrated, new_uuid
from msgspec.structs import replace

from domainflow.store import commit, streams
from domainflow.store.port import BoxAnswer, Committed, Foreign, Item, Key, KeyTaken, OpenItem, Stale

__all__ = ["actor", "emptied", "migrated"]  # fixtures


def key(text: str = "k1", command: bytes = b"c", answer: bytes = b"a") -> Key:
    return Key(principal="alice", key=text, command_hash=command, answer=answer)


# --- births and moves


def test_streams_are_born_and_move(actor: Actor) -> None:
    born = item("s1", events=2, epoch=1, status="queued")
    assert actor.commit(born, item("s2"), item("s3", tenant="other", epoch=1)) == [
        Committed(2),
        Committed(1),
        Committed(1),
    ]
    assert actor.commit(item("s1", born, events=3, epoch=1, status="running")) == [Committed(5)]
    assert versions(actor, "s1") == [1, 2, 3, 4, 5]
    stands = head(actor, "s1")
    assert stands is not None
    assert (stands.tenant, stands.version, stands.epoch, stands.status) == ("acme", 5, 1, "running")
    assert stands.hash == streams.events(actor.upkeep, "s1", after=4)[0].hash


def test_an_event_comes_back_as_it_was_recorded(actor: Actor) -> None:
    written = item("s1", body=bytes(range(256)))
    actor.commit(written)
    (read,) = streams.events(actor.upkeep, "s1", after=0)
    new = written.events[0]
    assert (read.body, read.context, read.hash, read.recorded_at_us) == (
        new.body,
        new.context,
        new.hash,
        new.recorded_at_us,
    )
    assert (read.type, read.type_version, read.tenant) == ("test.moved", 1, "acme")


# --- refused as data


def refusals() -> list[tuple[str, Item, object]]:
    born = item("s1", epoch=1, status="queued")
    second = item("s1", born, epoch=1)
    return [
        ("a stale version", item("s1", second, epoch=1), Stale(1)),
        ("a version that is gone", replace(second, expected=0, previous=bytes(32)), Stale(1)),
        ("another hash", replace(second, previous=b"\1" * 32), Stale(1)),
        ("another tenant", item("s1", born, tenant="other", epoch=1), Stale(None)),
        ("an old epoch", replace(second, epoch=0), Foreign(1)),
        ("no epoch", replace(second, epoch=None), Foreign(1)),
        ("a stream that does not exist", item("s9", born, epoch=1), Stale(None)),
    ]


@pytest.mark.parametrize(("item_", "refused"), [row[1:] for row in refusals()], ids=[row[0] for row in refusals()])
def test_what_does_not_fit_is_refused_and_hurts_nobody_else(actor: Actor, item_: Item, refused: object) -> None:
    first, left = item("s1", epoch=1, status="queued"), item("left")
    actor.commit(first, left)
    before = head(actor, "s1")
    outcomes = actor.commit(item("left", left), item_, item("right"))
    assert outcomes[::2] == [Committed(2), Committed(1)]
    assert type(outcomes[1]) is type(refused)
    if item_.tenant == "acme":
        assert outcomes[1] == refused
    assert head(actor, "s1") == before
    assert versions(actor, "s1") == [1]
    assert (versions(actor, "left"), versions(actor, "right"), versions(actor, "s9")) == ([1, 2], [1], [])


def test_a_claim_that_raised_the_epoch_fences_the_former_owner(actor: Actor) -> None:
    born = item("s1", epoch=1)
    actor.commit(born)
    actor.upkeep.execute("update domainflow.head set epoch = 2 where stream = 's1'")
    assert actor.commit(item("s1", born, epoch=1)) == [Foreign(2)]
    assert actor.commit(item("s1", born, epoch=2)) == [Committed(2)]


def test_a_refused_item_takes_nothing_with_it_that_would_have_ridden_along(actor: Actor) -> None:
    campaign = new_uuid()
    actor.commit(item("s1"))
    late = item("s1", snapshot=b"state", campaign=campaign, opens=(OpenItem(0, 1, 0, 0, 10, parked=False),), key=key())
    assert actor.commit(late) == [Stale(1)]
    for table in ("snapshot", "work_item", "idempotency"):
        assert actor.see(f"select count(*) from domainflow.{table}") == [0]  # noqa: S608 - a table of this test


# --- the generation


def test_a_statement_of_an_old_generation_does_nothing(actor: Actor) -> None:
    old = commit.Lane(actor.runtime, 0)
    old.generation = actor.lane.generation
    actor.lane.raise_generation(actor.app)
    with pytest.raises(commit.BarredError):
        commit.commit_batch(actor.app, old, [item("s1")])
    with pytest.raises(commit.BarredError):
        commit.commit_group(actor.app, old, [birth(new_uuid())])
    assert actor.see("select count(*) from domainflow.head") == [0]
    assert actor.commit(item("s1")) == [Committed(1)]


def test_lanes_of_one_runtime_do_not_bar_each_other(actor: Actor) -> None:
    other = commit.Lane(actor.runtime, 1)
    other.raise_generation(actor.app)
    assert actor.commit(item("s1")) == [Committed(1)]
    assert commit.commit_batch(actor.app, other, [item("s2")]) == [Committed(1)]


def test_what_was_committed_is_told_apart_from_what_was_not(actor: Actor) -> None:
    born = item("s1")
    actor.commit(born)
    assert commit.was_committed(actor.app, born)
    assert not commit.was_committed(actor.app, item("s1", born))
    assert not commit.was_committed(actor.app, item("s1", body=b"another one of this version"))


# --- once


def test_an_idempotency_key_counts_once_and_gives_the_first_answer(actor: Actor) -> None:
    first = item("s1", key=key(answer=b"first"))
    assert actor.commit(first) == [Committed(1)]
    assert actor.commit(item("s1", first, key=key(answer=b"second")), item("s2")) == [
        KeyTaken(b"c", b"first"),
        Committed(1),
    ]
    assert versions(actor, "s1") == [1]


@pytest.mark.parametrize(
    "other",
    [item("s2", tenant="other", key=key()), item("s2", key=key("k2")), item("s2", key=replace(key(), principal="bob"))],
)
def test_a_key_is_its_principals_and_its_tenants(actor: Actor, other: Item) -> None:
    actor.commit(item("s1", key=key()))
    assert actor.commit(other) == [Committed(1)]


def test_a_boxed_command_is_answered_once(actor: Actor) -> None:
    command = new_uuid()
    actor.app.execute("select set_config('domainflow.tenants', 'acme', false)")
    actor.app.execute(
        "insert into domainflow.command (id, stream, tenant, body, context, deadline) "
        "values (%s, 's1', 'acme', '', '', now())",
        (command,),
    )
    first = item("s1", box=BoxAnswer(command, b"first"))
    assert actor.commit(first) == [Committed(1)]
    assert actor.commit(item("s1", first, box=BoxAnswer(command, b"second"))) == [KeyTaken(b"", b"first")]
    assert actor.see("select answer from domainflow.command where answered_at is not null") == [b"first"]


# --- what raises


def test_what_postgres_cannot_store_raises_and_nothing_of_the_batch_is_written(actor: Actor) -> None:
    poison = replace(item("s2"), status="nul \0 byte")
    with pytest.raises(psycopg.DataError):
        actor.commit(item("s1"), poison)
    assert head(actor, "s1") is None
    assert actor.commit(item("s1")) == [Committed(1)]


def test_an_event_that_is_there_already_raises_instead_of_being_overwritten(actor: Actor) -> None:
    actor.commit(item("s1"))
    actor.upkeep.execute("update domainflow.head set version = 0, hash = %s where stream = 's1'", (bytes(32),))
    forged = Item(stream="s1", tenant="acme", expected=0, previous=bytes(32), events=(event("s1", 1, bytes(32)),))
    assert actor.commit(forged) == [Stale(0)]  # a birth never takes the place of a stream
