"""All that can stand in a campaign's stream: the words of `events`, and the one that stands for those before it.

Pure values. A module of its own, since a seal holds a state, and a state is made of words.
"""

from typing import TypeAlias

from domainflow.actors.campaign.events import (
    BatchesAccounted,
    CampaignArchived,
    CampaignBegun,
    CampaignCancelled,
    CampaignCompleted,
    CampaignCreated,
    CampaignDeleted,
    CampaignFailed,
    CampaignPaused,
    CampaignQueued,
    CampaignResumed,
    HolderAdded,
    HolderLifted,
    PauseRequested,
    PhaseCompleted,
    PhaseConfigured,
    PhaseFailed,
    PhaseRequested,
    PhaseSkipped,
    PhasesReopened,
    PhaseStarted,
    Word,
)
from domainflow.actors.campaign.state import Campaign


class StreamSealed(Word, frozen=True, kw_only=True, tag="campaign.sealed"):
    """What came before may be archived: whoever finds nothing before this begins with its state."""

    fold_version: int  # of the program that folded the state
    state: Campaign


CampaignEvent: TypeAlias = (
    CampaignCreated
    | CampaignQueued
    | CampaignBegun
    | PauseRequested
    | HolderAdded
    | HolderLifted
    | CampaignPaused
    | CampaignResumed
    | CampaignCompleted
    | CampaignFailed
    | CampaignCancelled
    | CampaignArchived
    | CampaignDeleted
    | PhaseConfigured
    | PhaseRequested
    | PhasesReopened
    | PhaseStarted
    | PhaseCompleted
    | PhaseSkipped
    | PhaseFailed
    | BatchesAccounted
    | StreamSealed
)
