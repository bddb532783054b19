"""One source: its ranges follow one another, and each belongs to the campaign that was born with it."""

from collections.abc import Iterator

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.events import CampaignCreated
from domainflow.actors.campaign.history import StreamSealed
from domainflow.actors.pattern.actor import RULES, source_stream
from domainflow.actors.pattern.core import Pattern, is_exclusive
from domainflow.actors.pattern.messages import OffsetsReserved, PatternEvent, SourceOpened
from domainflow.store import verify_rows
from domainflow.store.faults import Fault, Kind
from domainflow.store.verify_rows import Instant, StreamRow
from domainflow.verify.folding import UNREADABLE, OutOfPlaceError, decode, fold
from domainflow.work.generation import source_hash, space


def check_pattern(instant: Instant, row: StreamRow) -> Iterator[Fault]:
    """Yield what is wrong with a source whose chain is sound."""
    reservations = _Reservations(instant, row)
    state = yield from fold(instant, row, RULES, reservations.judge)
    if state is None:
        return
    campaigns = verify_rows.campaigns_of_source(instant, row.tenant, row.stream)
    if campaigns > reservations.listed:
        text = f"{campaigns} campaigns name this source, and {reservations.listed} of them have a reservation"
        yield Fault(Kind.CAMPAIGN_UNRESERVED, row.stream, text)


class _Reservations:
    """A source's events, one after the other."""

    def __init__(self, instant: Instant, row: StreamRow) -> None:
        self._instant = instant
        self._row = row
        self.listed = 0  # reservations whose campaign has a row that names this source

    def judge(self, state: Pattern, event: PatternEvent) -> Iterator[Fault]:
        """Yield what is wrong with an event in the state before it. Raises OutOfPlaceError."""
        match event:
            case SourceOpened():
                self._judge_opening(state, event)
            case OffsetsReserved():
                yield from self._judge_range(state, event)
                yield from self._judge_campaign(state, event)

    def _judge_opening(self, state: Pattern, event: SourceOpened) -> None:
        if state.opened is not None:
            raise OutOfPlaceError("the source was opened before")
        if source_stream(self._row.tenant, source_hash(event.source)) != self._row.stream:
            raise OutOfPlaceError("the stream is that of another source")
        if (event.space, event.exclusive) != (space(event.source), is_exclusive(event.source)):
            raise OutOfPlaceError(f"the source has {space(event.source)} names, not {event.space}")

    def _judge_range(self, state: Pattern, event: OffsetsReserved) -> Iterator[Fault]:
        if state.opened is None:
            raise OutOfPlaceError("the source was not opened before")
        if event.start != state.free_from or not event.start < event.stop <= state.opened.space:
            text = (
                f"offsets {event.start} to {event.stop} were reserved for campaign {event.campaign} where those from "
                f"{state.free_from} on were free, of {state.opened.space}"
            )
            yield Fault(Kind.RANGES_DISCONTINUOUS, self._row.stream, text)

    def _judge_campaign(self, state: Pattern, event: OffsetsReserved) -> Iterator[Fault]:
        first = verify_rows.first_event(self._instant, campaign.stream_of(event.campaign))
        listed = verify_rows.campaign_row(self._instant, event.campaign)
        self.listed += listed is not None and listed.source_stream == self._row.stream
        if first is None:
            text = (
                f"offsets {event.start} to {event.stop} are reserved for campaign {event.campaign}, which is not there"
            )
            yield Fault(Kind.RESERVATION_UNBORN, self._row.stream, text)
            return
        try:
            begun = decode(campaign.RULES, first)
        except UNREADABLE:
            return  # said where the campaign is judged
        created = begun.state.created if isinstance(begun, StreamSealed) else begun
        source = state.opened and state.opened.source
        if isinstance(created, CampaignCreated) and (created.base, created.base + created.count, created.source) != (
            event.start,
            event.stop,
            source,
        ):
            text = (
                f"offsets {event.start} to {event.stop} are reserved for campaign {event.campaign}, which works on "
                f"{created.base} to {created.base + created.count}"
            )
            yield Fault(Kind.RESERVATION_DIFFERS, self._row.stream, text)
