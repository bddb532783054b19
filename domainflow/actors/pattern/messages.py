"""Everything a source of names hears and records. Tags are permanent."""

from typing import TypeAlias

from msgspec import Struct

from domainflow.actors.campaign.events import CampaignCreated
from domainflow.spec import Source


class _Message(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ReserveOffsets(_Message, frozen=True, kw_only=True, tag="pattern.reserve_offsets"):
    """Reserve `count` offsets (0: all that remain) and create the campaign that works on them, or do neither."""

    campaign: str  # uuid
    stream: str  # of the source, which the campaign's row names
    draft: CampaignCreated  # base and count are filled in by the decision
    count: int
    most_active: int  # quota of the principal
    most_created_a_day: int


class SourceOpened(_Message, frozen=True, kw_only=True, tag="pattern.source_opened"):
    """The source is known: what it counts, and how far."""

    source: Source
    space: int
    exclusive: bool  # whether an offset is handed out once only


class OffsetsReserved(_Message, frozen=True, kw_only=True, tag="pattern.offsets_reserved"):
    """Offsets [start, stop) belong to this campaign, which was created in the same commit."""

    campaign: str
    start: int
    stop: int


PatternCommand: TypeAlias = ReserveOffsets
PatternEvent: TypeAlias = SourceOpened | OffsetsReserved
