"""The rules of a source: ranges follow one another, are never handed out twice, and never begin anew."""

from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from domainflow.actors.campaign.events import CampaignCreated
from domainflow.actors.pattern.messages import OffsetsReserved, PatternCommand, PatternEvent, SourceOpened
from domainflow.errors import SpaceExhausted
from domainflow.spec import Names, Source
from domainflow.work.generation import space

FOLD_VERSION: Final = 1


class Pattern(Struct, frozen=True, kw_only=True):
    """How far a source is handed out."""

    opened: SourceOpened | None = None
    free_from: int = 0  # the first offset that was never handed out


def decide(state: Pattern, command: PatternCommand) -> tuple[PatternEvent, ...]:
    """Return the reservation. Raises SpaceExhausted with what is left; then nothing is reserved."""
    source = command.draft.source
    opening = (
        () if state.opened else (SourceOpened(source=source, space=space(source), exclusive=is_exclusive(source)),)
    )
    after = state
    for event in opening:
        after = evolve(after, event)
    assert after.opened is not None  # noqa: S101 - it is now, if it was not before
    left = after.opened.space - after.free_from
    count = command.count or left
    if count < 1 or count > left:
        raise SpaceExhausted(
            f"the source has {left} of {after.opened.space} names left, and {command.count or 'all'} were asked for"
        )
    return (*opening, OffsetsReserved(campaign=command.campaign, start=after.free_from, stop=after.free_from + count))


def evolve(state: Pattern, event: PatternEvent) -> Pattern:
    """Return the state after an event."""
    match event:
        case SourceOpened():
            return replace(state, opened=event)
        case OffsetsReserved(stop=stop):
            exclusive = state.opened is None or state.opened.exclusive
            return replace(state, free_from=stop) if exclusive else state
        case _ as unreachable:
            assert_never(unreachable)


def born(command: PatternCommand, events: tuple[PatternEvent, ...]) -> CampaignCreated:
    """Return the first event of the campaign that is created with these."""
    reserved = next(event for event in events if isinstance(event, OffsetsReserved))
    return replace(command.draft, base=reserved.start, count=reserved.stop - reserved.start)


def is_exclusive(source: Source) -> bool:
    """Whether offsets are reserved: a list of names may be worked on by many campaigns."""
    return not isinstance(source, Names)
