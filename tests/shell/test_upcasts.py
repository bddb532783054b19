"""What an older version of the program wrote is read by a newer one, and never rewritten; not the other way round."""

from typing import Any

import pytest
from dated import BODIES, NEW, OLD, TAG, UPCASTS, First, Move, Thing, Third, along_an_axis, in_centimetres
from durable import Actor, emptied, migrated
from msgspec.structs import replace
from shell_stage import actor, ask, house
from stage import Stage

from domainflow.actors.codec import Codec, Upcasts
from domainflow.actors.rules import Ack
from domainflow.errors import Corrupt
from domainflow.store import streams
from domainflow.store.chain import GENESIS, link
from domainflow.store.port import Recorded

__all__ = ["actor", "emptied", "house", "migrated"]  # fixtures

THREE_METRES = Third(300, "x")


def recorded(type_version: int, body: bytes, tag: str = TAG) -> Recorded:
    return Recorded(
        stream="thing/1",
        version=7,
        tenant="acme",
        recorded_at_us=0,
        type=tag,
        type_version=type_version,
        context=b"",
        body=body,
        hash=b"",
    )


@pytest.mark.parametrize("version", BODIES)
def test_an_event_is_lifted_step_by_step_from_whichever_version_wrote_it(version: int) -> None:
    assert NEW.decode_event(recorded(version, BODIES[version])) == THREE_METRES


@pytest.mark.parametrize("skipped", UPCASTS)
def test_a_step_that_is_skipped_is_told_by_the_golden_bytes(skipped: tuple[str, int]) -> None:
    codec = Codec(Third, {**UPCASTS, skipped: lambda body: body})
    with pytest.raises(Corrupt, match="event 7 of thing/1 cannot be read: "):
        codec.decode(recorded(1, BODIES[1]))


def test_a_newer_version_than_is_known_says_to_upgrade() -> None:
    with pytest.raises(Corrupt, match=r"newer version of this program \(thing.moved 3, 1 is known\): upgrade"):
        OLD.decode_event(recorded(3, BODIES[3]))


@pytest.mark.parametrize(
    ("version", "body"),
    [(1, BODIES[3]), (1, b"\xc1"), (1, b"\x93\x01\x02\x03"), (2, BODIES[1]), (0, BODIES[1]), (3, BODIES[2])],
    ids=["newer bytes", "no bytes", "no map", "older bytes", "before the first", "too old for its version"],
)
def test_bytes_that_are_not_of_their_version_are_corrupt(version: int, body: bytes) -> None:
    with pytest.raises(Corrupt, match="event 7 of thing/1 cannot be read: "):
        NEW.decode_event(recorded(version, body))


@pytest.mark.parametrize(
    "upcasts",
    [
        {},
        {(TAG, 2): along_an_axis},
        {(TAG, 1): in_centimetres},
        {**UPCASTS, (TAG, 3): along_an_axis},
        {**UPCASTS, ("thing.gone", 1): along_an_axis},
    ],
    ids=["none", "no first", "no last", "one too many", "of no type"],
)
def test_a_chain_with_a_hole_or_a_step_that_leads_nowhere_is_refused_at_once(upcasts: Upcasts) -> None:
    with pytest.raises(TypeError, match="steps that are missing, or lead nowhere"):
        Codec(Third, upcasts)


# --- in a stream


def rows(actor: Actor) -> list[Recorded]:
    return streams.events(actor.upkeep, "thing/1", after=0)


def test_a_newer_program_goes_on_from_what_an_older_one_wrote_and_rewrites_nothing(house: Stage, actor: Actor) -> None:
    assert ask(house.put_on(OLD, "thing/1", "old"), Move(3)) == Ack(1)
    (before,) = rows(actor)
    assert before.body == BODIES[1]
    assert ask(house.put_on(NEW, "thing/1", "new"), Move(3)) == Ack(2)
    first, second = rows(actor)
    assert first == before
    assert (second.type_version, second.body) == (3, BODIES[3])
    assert NEW.fold(streams.load(actor.upkeep, "thing/1", fold_version=1)) == Thing(600)


def test_the_chain_covers_the_version_of_a_type(house: Stage, actor: Actor) -> None:
    ask(house.put_on(OLD, "thing/1", "old"), Move(3))
    ask(house.put_on(NEW, "thing/1", "new"), Move(3))
    first, second = rows(actor)
    assert [chained(first, GENESIS), chained(second, first.hash)] == [first.hash, second.hash]
    assert chained(replace(second, type_version=1), first.hash) != second.hash


def chained(event: Recorded, previous: bytes) -> bytes:
    return link(
        stream=event.stream,
        version=event.version,
        previous=previous,
        tenant=event.tenant,
        recorded_at_us=event.recorded_at_us,
        type_=event.type,
        type_version=event.type_version,
        context=event.context,
        body=event.body,
    )


def test_an_older_program_does_not_start_on_what_a_newer_one_wrote(house: Stage, actor: Actor) -> None:
    ask(house.put_on(NEW, "thing/1", "new"), Move(3))
    with pytest.raises(Corrupt, match="upgrade this one"):
        house.put_on(OLD, "thing/1", "old")
    assert len(rows(actor)) == 1


def test_todays_events_take_no_step() -> None:
    steps: list[Any] = []
    codec = Codec(Third, {key: lambda body: steps.append(body) or body for key in UPCASTS})
    assert codec.decode(recorded(3, BODIES[3])) == THREE_METRES
    assert steps == []
    assert Codec(First).decode(recorded(1, BODIES[1])) == First(3)
