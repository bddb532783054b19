"""The pattern actor: the shell with a source's core, and the birth of campaigns."""

from typing import Final

from msgspec.structs import replace

from domainflow.actors.campaign.actor import stream_of
from domainflow.actors.codec import Codec
from domainflow.actors.pattern.core import FOLD_VERSION, Pattern, born, decide, evolve
from domainflow.actors.pattern.messages import PatternCommand, PatternEvent
from domainflow.actors.rules import Birth, Occasion, Rules
from domainflow.store.port import CampaignRow
from domainflow.vocabulary import CampaignStatus


def source_stream(tenant: str, hash_: str) -> str:
    """Return the stream of a source; each tenant counts its own (docs/decisions/0003)."""
    return f"pattern/{tenant}/{hash_}"


def births(command: PatternCommand, events: tuple[PatternEvent, ...], occasion: Occasion) -> tuple[Birth, ...]:
    """Return the campaign that is born with a reservation."""
    created = replace(born(command, events), created_at_us=occasion.now_us)
    row = CampaignRow(
        id=command.campaign,
        principal=occasion.context.principal.id,
        name=created.name,
        source_stream=command.stream,
        base=created.base,
        count=created.count,
        most_active=command.most_active,
        most_created_a_day=command.most_created_a_day,
    )
    return (Birth(stream_of(command.campaign), created, CampaignStatus.PENDING.value, row),)


def asked(command: PatternCommand) -> PatternCommand:
    """Return a command without what the runtime that sends it adds: another runtime may be set otherwise."""
    return replace(command, draft=replace(command.draft, window=0), most_active=0, most_created_a_day=0)


RULES: Final = Rules[Pattern, PatternCommand, PatternEvent](
    name="pattern",
    owned=False,
    fold_version=FOLD_VERSION,
    initial=Pattern(),
    events=Codec(PatternEvent),  # type: ignore[arg-type]  # a union is no class to mypy
    commands=PatternCommand,
    decide=decide,
    evolve=evolve,
    react=lambda *_: (),
    resume=lambda _: (),
    permission=lambda _: "campaigns:create",
    births=births,
    asked=asked,
)
