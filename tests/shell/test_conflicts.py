"""Who is quicker on a shared stream, and what becomes of the other: rejected, decided again, or put behind it."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import Any, Final

import pytest
from durable import Actor, emptied, in_thread, migrated, new_uuid
from msgspec import Struct
from shell_stage import a_campaign, actor, ask, audits, house, other, types
from stage import Stage, context

from domainflow.actors.campaign.messages import PauseCampaign, StartCampaign
from domainflow.actors.codec import Codec
from domainflow.actors.ref import Ref
from domainflow.actors.rules import Ack, Rules, Strategy
from domainflow.actors.snapshots import MOST_EVENTS
from domainflow.errors import VersionConflict
from domainflow.store import streams

__all__ = ["actor", "emptied", "house", "migrated", "other"]  # fixtures

PATIENCE_S: Final = 60.0


# --- a tally, whose additions commute with each other and with nothing else


class Add(Struct, frozen=True, tag="tally.add"):
    amount: int


class Merge(Add, frozen=True, tag="tally.merge"):
    pass


class Reject(Add, frozen=True, tag="tally.reject"):
    pass


class Added(Struct, frozen=True, tag="tally.added"):
    amount: int
    seen: int  # the total that was decided on


class Doubled(Struct, frozen=True, tag="tally.doubled"):
    seen: int


class Double(Struct, frozen=True, tag="tally.double"):
    pass


class Tally(Struct, frozen=True):
    total: int = 1


def decide(state: Tally, command: Add | Double) -> tuple[Added | Doubled, ...]:
    return (Doubled(state.total),) if isinstance(command, Double) else (Added(command.amount, state.total),)


def evolve(state: Tally, event: Added | Doubled) -> Tally:
    return Tally(state.total * 2 if isinstance(event, Doubled) else state.total + event.amount)


def commute(one: Added | Doubled, another: Added | Doubled) -> bool:
    return isinstance(one, Added) and isinstance(another, Added)


RULES: Final = Rules[Tally, Add | Merge | Reject | Double, Added | Doubled](
    name="tally",
    owned=False,
    fold_version=1,
    initial=Tally(),
    events=Codec(Added | Doubled),  # type: ignore[arg-type]  # a union is no class to mypy
    commands=Add | Merge | Reject | Double,  # type: ignore[arg-type]  # likewise
    decide=decide,
    evolve=evolve,
    react=lambda *_: (),
    resume=lambda _: (),
    permission=lambda _: "campaigns:update",
    strategies={Merge: Strategy.MERGE, Reject: Strategy.REJECT},
    commute=commute,
)


def test_what_is_said_to_commute_does() -> None:
    for one, another in permutations([Added(2, 1), Added(-5, 1), Doubled(1)], 2):
        there, back = evolve(evolve(Tally(), one), another), evolve(evolve(Tally(), another), one)
        assert commute(one, another) == (there == back)


@dataclass
class Sides:
    """One stream with an actor in each of two runtimes; the second one does not know what the first did last."""

    stream: str
    first: Ref[Any]
    second: Ref[Any]


@pytest.fixture
def sides(house: Stage, other: Stage) -> Sides:
    stream = f"pattern/acme/{new_uuid()}"
    first = house.put_on(RULES, stream)
    ask(first, Add(1))
    return Sides(stream, first, other.put_on(RULES, stream))


def told(actor: Actor, stream: str) -> list[object]:
    """Its events but for the one that both know."""
    recorded = streams.events(actor.upkeep, stream, after=1)
    return [RULES.decode_event(each) for each in recorded]


def test_what_commutes_is_put_behind_the_others_as_it_was_decided(sides: Sides, actor: Actor) -> None:
    ask(sides.first, Merge(10))
    assert ask(sides.second, Merge(100)) == Ack(3)
    assert told(actor, sides.stream) == [Added(10, 2), Added(100, 2)]
    assert ask(sides.first, Merge(1000)) == Ack(4)
    assert told(actor, sides.stream)[-1] == Added(1000, 12)
    assert ask(sides.second, Double()) == Ack(5)
    assert told(actor, sides.stream)[-1] == Doubled(1112)


def test_what_does_not_commute_is_decided_again(sides: Sides, actor: Actor) -> None:
    ask(sides.first, Double())
    assert ask(sides.second, Merge(100)) == Ack(3)
    assert told(actor, sides.stream) == [Doubled(2), Added(100, 4)]


def test_behind_a_snapshot_that_hides_what_the_others_did_it_is_decided_again(sides: Sides, actor: Actor) -> None:
    for _ in range(MOST_EVENTS):
        ask(sides.first, Merge(1))
    assert ask(sides.second, Merge(100)) == Ack(MOST_EVENTS + 2)
    assert told(actor, sides.stream)[-1] == Added(100, MOST_EVENTS + 2)


def test_a_rejected_one_is_told_leaves_its_record_and_is_up_to_date_then(sides: Sides, actor: Actor) -> None:
    ask(sides.first, Add(10))
    with pytest.raises(VersionConflict, match="others wrote first; nothing was written"):
        ask(sides.second, Reject(100))
    assert [(type_, audit.command) for type_, audit in audits(actor)] == [("audit.refused", "tally.reject")]
    assert ask(sides.second, Reject(100)) == Ack(3)
    assert told(actor, sides.stream) == [Added(10, 2), Added(100, 12)]


def test_a_rebased_one_is_decided_on_the_newer_state(sides: Sides, actor: Actor) -> None:
    ask(sides.first, Add(10))
    assert ask(sides.second, Add(100)) == Ack(3)
    assert told(actor, sides.stream) == [Added(10, 2), Added(100, 12)]


@pytest.mark.parametrize("add", [Add, Merge, Reject])
def test_one_that_was_meant_for_a_version_is_never_put_behind_others(
    sides: Sides, actor: Actor, add: type[Add]
) -> None:
    ask(sides.first, Add(10))
    with pytest.raises(VersionConflict):
        ask(sides.second, add(100), context(expected_version=1))
    assert told(actor, sides.stream) == [Added(10, 2)]


def test_two_runtimes_that_add_at_once_lose_nothing_of_it(sides: Sides, actor: Actor) -> None:
    adding = [in_thread(partial(insist, side, 50)) for side in (sides.first, sides.second)]
    for each in adding:
        each.result(PATIENCE_S)
    assert sum(event.amount for event in told(actor, sides.stream) if isinstance(event, Added)) == 100


def insist(side: Ref[Any], times: int) -> None:
    """Add one, so many times; again where others were quicker each time."""
    while times:
        with suppress(VersionConflict):
            ask(side, Merge(1))
            times -= 1


# --- the version that a command was meant for


def test_a_command_for_another_version_changes_nothing_and_says_what_is_true(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    with pytest.raises(VersionConflict, match="is at version 1, not at 2; nothing was written"):
        ask(ref, StartCampaign(), context(expected_version=2))
    assert types(actor, stream) == ["campaign.created"]
    assert [type_ for type_, _ in audits(actor)] == ["audit.refused"]
    assert ask(ref, StartCampaign(), context(expected_version=1)) == Ack(2, "queued")


def test_under_its_key_a_command_that_was_done_is_answered_as_before_whatever_the_version_is_by_now(
    house: Stage, actor: Actor
) -> None:
    ref, stream = a_campaign(house)
    once = context(expected_version=1, idempotency_key="once")
    assert ask(ref, StartCampaign(), once) == Ack(2, "queued")
    ask(ref, PauseCampaign())
    assert ask(ref, StartCampaign(), once) == Ack(2, "queued")
    assert types(actor, stream).count("campaign.queued") == 1


def test_a_conflict_is_not_kept_under_its_key(house: Stage) -> None:
    ref, _ = a_campaign(house)
    once = context(expected_version=2, idempotency_key="once")
    with pytest.raises(VersionConflict):
        ask(ref, PauseCampaign(), once)
    ask(ref, StartCampaign())
    assert ask(ref, PauseCampaign(), once).status == "paused"
