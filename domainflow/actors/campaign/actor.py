"""The campaign actor: the shell with the campaign's core."""

from typing import Final

from domainflow.actors.campaign.core import decide
from domainflow.actors.campaign.evolution import FOLD_VERSION, evolve
from domainflow.actors.campaign.history import CampaignEvent
from domainflow.actors.campaign.messages import (
    AccountBatches,
    ArchiveCampaign,
    BeginCampaign,
    CampaignCommand,
    CampaignMessage,
    CancelCampaign,
    ConfigurePhase,
    DeleteCampaign,
    ObserveLedger,
    PauseCampaign,
    RerunPhase,
    ResumeCampaign,
    RetryCampaign,
    SealCampaign,
    SkipPhase,
    StartCampaign,
    StartPhase,
)
from domainflow.actors.campaign.progress import react, resume
from domainflow.actors.campaign.state import ENDED, Campaign
from domainflow.actors.codec import Codec
from domainflow.actors.rules import Rules

PREFIX: Final = "campaign/"


def stream_of(campaign: str) -> str:
    """Return the stream of a campaign's uuid."""
    return PREFIX + campaign


def campaign_of(stream: str) -> str:
    """Return the uuid of the campaign whose stream it is."""
    return stream.removeprefix(PREFIX)


PERMISSIONS: Final[dict[type, str]] = {
    DeleteCampaign: "campaigns:delete",
    SealCampaign: "campaigns:delete",
    ArchiveCampaign: "campaigns:update",
    ConfigurePhase: "campaigns:update",
    **dict.fromkeys(
        (
            StartCampaign,
            PauseCampaign,
            ResumeCampaign,
            CancelCampaign,
            RetryCampaign,
            StartPhase,
            SkipPhase,
            RerunPhase,
            BeginCampaign,
            AccountBatches,
            ObserveLedger,
        ),
        "campaigns:execute",
    ),
}


def permission(command: CampaignMessage) -> str | None:
    """Return what one must be allowed to do in order to send this; None: there is no rule, so nobody may."""
    return PERMISSIONS.get(type(command))


RULES: Final = Rules[Campaign, CampaignMessage, CampaignEvent](
    name="campaign",
    owned=True,
    fold_version=FOLD_VERSION,
    initial=Campaign(),
    events=Codec(CampaignEvent),  # type: ignore[arg-type]  # a union is no class to mypy
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
