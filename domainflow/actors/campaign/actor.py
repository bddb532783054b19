"""The campaign actor: the shell with the campaign's core."""

from typing import Final

from domainflow.actors.campaign.core import decide
from domainflow.actors.campaign.evolution import FOLD_VERSION, evolve
from domainflow.actors.campaign.messages import (
    ArchiveCampaign,
    CampaignCommand,
    CampaignEvent,
    CampaignMessage,
    ConfigurePhase,
    DeleteCampaign,
)
from domainflow.actors.campaign.progress import react, resume
from domainflow.actors.campaign.state import ENDED, Campaign
from domainflow.actors.rules import Rules

PREFIX: Final = "campaign/"


def stream_of(campaign: str) -> str:
    """Return the stream of a campaign's uuid."""
    return PREFIX + campaign


def campaign_of(stream: str) -> str:
    """Return the uuid of the campaign whose stream it is."""
    return stream.removeprefix(PREFIX)


def permission(command: CampaignMessage) -> str | None:
    """Return what one must be allowed to do in order to send this."""
    match command:
        case DeleteCampaign():
            return "campaigns:delete"
        case ArchiveCampaign() | ConfigurePhase():
            return "campaigns:update"
        case _:
            return "campaigns:execute"


RULES: Final = Rules[Campaign, CampaignMessage, CampaignEvent](
    name="campaign",
    owned=True,
    fold_version=FOLD_VERSION,
    initial=Campaign(),
    events=CampaignEvent,  # type: ignore[arg-type]  # a union is no class to mypy
    commands=CampaignCommand,  # type: ignore[arg-type]  # likewise
    decide=decide,
    evolve=evolve,
    react=react,
    resume=resume,
    permission=permission,
    status=lambda state: state.status.value,
    owner=lambda state: state.created.principal if state.created else None,
    campaign=campaign_of,
    passive=lambda state: state.deleted or state.status in ENDED,
)
