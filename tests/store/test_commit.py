"""The commit statement: what it writes, what it refuses as data, and whom a refusal hurts. Both stores."""

import psycopg
import pytest
from both import Both, actor, joined, on_postgres
from commits import head, versions
from durable import birth, emptied, event, item, migrated, new_uuid
from msgspec.structs import replace

from domainflow.store import commit
from domainflow.store.port import BoxAnswer, Committed, Foreign, Item, Key, KeyTaken, OpenItem, Owned, Stale

__all__ = ["actor", "emptied", "joined", "migrated"]  # fixtures


def key(text: str = "k1", command: bytes = b"c", answer: bytes = b"a") -> Key:
    return Key(principal="alice", key=text, command_hash=command, answer=answer)


# --- births and moves


def test_streams_are_born_and_move(actor: Both) -> None:
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
    assert stands.hash == actor.streams.events(actor.upkeep, "s1", after=4)[0].hash


def test_an_event_comes_back_as_it_was_recorded(actor: Both) -> None:
    written = item("s1", body=bytes(range(256)))
    actor.commit(written)
    (read,) = actor.streams.events(actor.upkeep, "s1", after=0)
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
def test_what_does_not_fit_is_refused_and_hurts_nobody_else(actor: Both, item_: Item, refused: object) -> None:
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


def test_a_claim_that_raised_the_epoch_fences_the_former_owner(actor: Both) -> None:
    born = item("s1", epoch=1)
    actor.commit(born)
    assert actor.leases.claim_stream(actor.upkeep, actor.runtime, "s1") == 2
    assert actor.commit(item("s1", born, epoch=1)) == [Foreign(2)]
    assert actor.commit(item("s1", born, epoch=2)) == [Committed(2)]


def test_a_refused_item_takes_nothing_with_it_that_would_have_ridden_along(actor: Both) -> None:
    campaign = new_uuid()
    actor.commit(item("s1"))
    late = item("s1", snapshot=b"state", campaign=campaign, opens=(OpenItem(0, 1, 0, 0, 10, parked=False),), key=key())
    assert actor.commit(late) == [Stale(1)]
    assert actor.rows("snapshots", "work_items", "keys") == {"snapshots": [], "work_items": [], "keys": []}


@pytest.mark.parametrize(
    ("about", "says"),
    [(Owned("s1", 1), Committed(1)), (Owned("s1", 2), Foreign(None)), (Owned("s9", 1), Foreign(None))],
)
def test_what_is_said_of_an_owned_stream_counts_under_its_owners_epoch_alone(
    actor: Both, about: Owned, says: object
) -> None:
    actor.commit(item("s1", epoch=1))
    assert actor.commit(item("audit", about=about), item("s2")) == [says, Committed(1)]
    assert versions(actor, "audit") == ([1] if says == Committed(1) else [])


# --- the generation


def test_a_statement_of_an_old_generation_does_nothing(actor: Both) -> None:
    old = actor.another_lane(0)
    old.generation = actor.lane.generation
    actor.lane.raise_generation(actor.app)
    with pytest.raises(commit.BarredError):
        actor.commit_on(old, item("s1"))
    with pytest.raises(commit.BarredError):
        actor.group_on(old, birth(new_uuid()))
    assert actor.rows("heads", "campaigns") == {"heads": [], "campaigns": []}
    assert actor.commit(item("s1")) == [Committed(1)]


def test_lanes_of_one_runtime_do_not_bar_each_other(actor: Both) -> None:
    other = actor.another_lane(1)
    other.raise_generation(actor.app)
    assert actor.commit(item("s1")) == [Committed(1)]
    assert actor.commit_on(other, item("s2")) == [Committed(1)]


def test_what_was_committed_is_told_apart_from_what_was_not(actor: Both) -> None:
    born = item("s1")
    actor.commit(born)
    assert actor.was_committed(born)
    assert not actor.was_committed(item("s1", born))
    assert not actor.was_committed(item("s1", body=b"another one of this version"))


# --- once


def test_an_idempotency_key_counts_once_and_gives_the_first_answer(actor: Both) -> None:
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
def test_a_key_is_its_principals_and_its_tenants(actor: Both, other: Item) -> None:
    actor.commit(item("s1", key=key()))
    assert actor.commit(other) == [Committed(1)]


def test_a_boxed_command_is_answered_once(actor: Both) -> None:
    command = new_uuid()
    actor.put(command, "s1")
    first = item("s1", box=BoxAnswer(command, b"first"))
    assert actor.commit(first) == [Committed(1)]
    assert actor.commit(item("s1", first, box=BoxAnswer(command, b"second"))) == [KeyTaken(b"", b"first")]
    assert actor.commands.answer(actor.upkeep, command) == b"first"


# --- what raises


@on_postgres
def test_what_postgres_cannot_store_raises_and_nothing_of_the_batch_is_written(actor: Both) -> None:
    poison = replace(item("s2"), status="nul \0 byte")
    with pytest.raises(psycopg.DataError):
        actor.commit(item("s1"), poison)
    assert head(actor, "s1") is None
    assert actor.commit(item("s1")) == [Committed(1)]


@on_postgres
def test_an_event_that_is_there_already_raises_instead_of_being_overwritten(actor: Both) -> None:
    actor.commit(item("s1"))
    actor.upkeep.execute("update domainflow.head set version = 0, hash = %s where stream = 's1'", (bytes(32),))
    forged = Item(stream="s1", tenant="acme", expected=0, previous=bytes(32), events=(event("s1", 1, bytes(32)),))
    assert actor.commit(forged) == [Stale(0)]  # a birth never takes the place of a stream
