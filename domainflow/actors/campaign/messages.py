"""Everything a campaign hears: commands from people, reports from the runtime.

What it records stands in `events`. Tags are permanent: renaming a class must not rename history. New fields come last
and have a default.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

from domainflow.actors.campaign.events import (
    Counts,
    PhaseConfig,
    Word,
)
from domainflow.vocabulary import Phase

Reason: TypeAlias = Annotated[str, Meta(max_length=1000)]
Holder: TypeAlias = Annotated[str, Meta(pattern=r"^(user|step|system|window:[A-Za-z0-9._-]{1,100})$")]


class DoneBatch(Word, frozen=True, array_like=True):
    """One finished batch, as the ledger has it."""

    item: int
    phase: Phase
    run: int
    batch: int
    counts: Counts


# --- commands


class StartCampaign(Word, frozen=True, kw_only=True, tag="campaign.start"):
    """Run it."""


class PauseCampaign(Word, frozen=True, kw_only=True, tag="campaign.pause"):
    """Hold it, once the batches in hand are finished; it stays paused while any holder remains."""

    holder: Holder = "user"
    reason: Reason = ""


class ResumeCampaign(Word, frozen=True, kw_only=True, tag="campaign.resume"):
    """Lift this holder's pause."""

    holder: Holder = "user"


class CancelCampaign(Word, frozen=True, kw_only=True, tag="campaign.cancel"):
    """End it for good; what is in hand is thrown away."""

    reason: Reason = ""


class RetryCampaign(Word, frozen=True, kw_only=True, tag="campaign.retry"):
    """Go on with a failed campaign; its dead batches are tried anew."""


class ArchiveCampaign(Word, frozen=True, kw_only=True, tag="campaign.archive"):
    """Put an ended campaign aside."""


class SealCampaign(Word, frozen=True, kw_only=True, tag="campaign.seal"):
    """Have its state stand for all events so far, so that they may be archived."""


class DeleteCampaign(Word, frozen=True, kw_only=True, tag="campaign.delete"):
    """Take it out of every list; its events stay."""


class ConfigurePhase(Word, frozen=True, kw_only=True, tag="campaign.configure_phase"):
    """Change what a phase that has not begun is to be run with."""

    phase: Phase
    config: PhaseConfig


class StartPhase(Word, frozen=True, kw_only=True, tag="campaign.start_phase"):
    """Go on with the next phase of a step-by-step campaign."""

    phase: Phase


class SkipPhase(Word, frozen=True, kw_only=True, tag="campaign.skip_phase"):
    """Never run a phase that has not begun."""

    phase: Phase


class RerunPhase(Word, frozen=True, kw_only=True, tag="campaign.rerun_phase"):
    """Run a completed phase again; in a full sequence the phases after it too."""

    phase: Phase


# --- reports, from the runtime itself


class BeginCampaign(Word, frozen=True, kw_only=True, tag="campaign.begin"):
    """A run slot is free."""


class AccountBatches(Word, frozen=True, kw_only=True, tag="campaign.account_batches"):
    """These batches are done."""

    done: tuple[DoneBatch, ...]


class ObserveLedger(Word, frozen=True, kw_only=True, tag="campaign.observe_ledger"):
    """How many open items are in which state, just now."""

    ready: int
    claimed: int
    done: int
    dead: int
    reason: str = ""  # of a dead one


CampaignReport: TypeAlias = BeginCampaign | AccountBatches | ObserveLedger
CampaignCommand: TypeAlias = (
    StartCampaign
    | PauseCampaign
    | ResumeCampaign
    | CancelCampaign
    | RetryCampaign
    | ArchiveCampaign
    | SealCampaign
    | DeleteCampaign
    | ConfigurePhase
    | StartPhase
    | SkipPhase
    | RerunPhase
)
CampaignMessage: TypeAlias = CampaignCommand | CampaignReport
