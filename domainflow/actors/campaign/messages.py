"""Everything a campaign hears (commands, reports) and records (events).

Tags are permanent: renaming a class must not rename history. New fields come last and have a default.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from domainflow.spec import DnsPersona, HttpPersona, KeywordRule, ScoringProfile, Source
from domainflow.vocabulary import Mode, Phase

Reason: TypeAlias = Annotated[str, Meta(max_length=1000)]
Holder: TypeAlias = Annotated[str, Meta(pattern=r"^(user|step|system|window:[A-Za-z0-9._-]{1,100})$")]
Counts: TypeAlias = tuple[tuple[str, int], ...]  # outcome -> names, sorted by outcome


class _Message(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class DoneBatch(_Message, frozen=True, array_like=True):
    """One finished batch, as the ledger has it."""

    item: int
    phase: Phase
    run: int
    batch: int
    counts: Counts


class PhaseConfig(_Message, frozen=True, kw_only=True):
    """What a phase is to be run with; only the fields of that phase are looked at."""

    dns: DnsPersona | None = None
    http: HttpPersona | None = None
    keywords: tuple[KeywordRule, ...] | None = None
    scoring: ScoringProfile | None = None


# --- commands


class StartCampaign(_Message, frozen=True, kw_only=True, tag="campaign.start"):
    """Run it."""


class PauseCampaign(_Message, frozen=True, kw_only=True, tag="campaign.pause"):
    """Hold it, once the batches in hand are finished; it stays paused while any holder remains."""

    holder: Holder = "user"
    reason: Reason = ""


class ResumeCampaign(_Message, frozen=True, kw_only=True, tag="campaign.resume"):
    """Lift this holder's pause."""

    holder: Holder = "user"


class CancelCampaign(_Message, frozen=True, kw_only=True, tag="campaign.cancel"):
    """End it for good; what is in hand is thrown away."""

    reason: Reason = ""


class RetryCampaign(_Message, frozen=True, kw_only=True, tag="campaign.retry"):
    """Go on with a failed campaign; its dead batches are tried anew."""


class ArchiveCampaign(_Message, frozen=True, kw_only=True, tag="campaign.archive"):
    """Put an ended campaign aside."""


class DeleteCampaign(_Message, frozen=True, kw_only=True, tag="campaign.delete"):
    """Take it out of every list; its events stay."""


class ConfigurePhase(_Message, frozen=True, kw_only=True, tag="campaign.configure_phase"):
    """Change what a phase that has not begun is to be run with."""

    phase: Phase
    config: PhaseConfig


class StartPhase(_Message, frozen=True, kw_only=True, tag="campaign.start_phase"):
    """Go on with the next phase of a step-by-step campaign."""

    phase: Phase


class SkipPhase(_Message, frozen=True, kw_only=True, tag="campaign.skip_phase"):
    """Never run a phase that has not begun."""

    phase: Phase


class RerunPhase(_Message, frozen=True, kw_only=True, tag="campaign.rerun_phase"):
    """Run a completed phase again; in a full sequence the phases after it too."""

    phase: Phase


# --- reports, from the runtime itself


class BeginCampaign(_Message, frozen=True, kw_only=True, tag="campaign.begin"):
    """A run slot is free."""


class AccountBatches(_Message, frozen=True, kw_only=True, tag="campaign.account_batches"):
    """These batches are done."""

    done: tuple[DoneBatch, ...]


class ObserveLedger(_Message, frozen=True, kw_only=True, tag="campaign.observe_ledger"):
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
    | DeleteCampaign
    | ConfigurePhase
    | StartPhase
    | SkipPhase
    | RerunPhase
)
CampaignMessage: TypeAlias = CampaignCommand | CampaignReport


# --- events


class Listed(_Message, frozen=True, kw_only=True):
    """What a user's list came to: `lines_total` = `lines` + all that was dropped."""

    lines: int  # canonical ones
    lines_total: int
    dropped: Counts  # reason -> lines


class CampaignCreated(_Message, frozen=True, kw_only=True, tag="campaign.created"):
    """It exists: a range of a source and how to work on it."""

    name: str
    description: str
    principal: str  # its owner
    mode: Mode
    source: Source
    base: int  # offset of position 0 in the source
    count: int  # names; positions are [0, count)
    created_at_us: int  # database clock
    batch_size: int
    retries: int
    window: int  # open work items at most
    skip: tuple[Phase, ...]
    dns: DnsPersona
    http: HttpPersona
    keywords: tuple[KeywordRule, ...]
    scoring: ScoringProfile
    listed: Listed | None = None  # of words and names


class CampaignQueued(_Message, frozen=True, kw_only=True, tag="campaign.queued"):
    """It waits for a run slot."""


class CampaignBegun(_Message, frozen=True, kw_only=True, tag="campaign.begun"):
    """It runs."""


class PauseRequested(_Message, frozen=True, kw_only=True, tag="campaign.pause_requested"):
    """It takes up nothing new."""

    holder: str
    reason: str


class HolderAdded(_Message, frozen=True, kw_only=True, tag="campaign.holder_added"):
    """One more holds it."""

    holder: str
    reason: str


class HolderLifted(_Message, frozen=True, kw_only=True, tag="campaign.holder_lifted"):
    """One less holds it."""

    holder: str


class CampaignPaused(_Message, frozen=True, kw_only=True, tag="campaign.paused"):
    """Nothing of it is in hand."""


class CampaignResumed(_Message, frozen=True, kw_only=True, tag="campaign.resumed"):
    """A pause was lifted before it took hold."""


class CampaignCompleted(_Message, frozen=True, kw_only=True, tag="campaign.completed"):
    """Every phase is completed or skipped."""


class CampaignFailed(_Message, frozen=True, kw_only=True, tag="campaign.failed"):
    """It cannot go on by itself."""

    reason: str


class CampaignCancelled(_Message, frozen=True, kw_only=True, tag="campaign.cancelled"):
    """It ended for good."""

    reason: str


class CampaignArchived(_Message, frozen=True, kw_only=True, tag="campaign.archived"):
    """It was put aside."""


class CampaignDeleted(_Message, frozen=True, kw_only=True, tag="campaign.deleted"):
    """It is in no list any more."""


class PhaseConfigured(_Message, frozen=True, kw_only=True, tag="campaign.phase_configured"):
    """A phase will run with this."""

    phase: Phase
    config: PhaseConfig


class PhaseRequested(_Message, frozen=True, kw_only=True, tag="campaign.phase_requested"):
    """The step-by-step campaign goes on with this phase."""

    phase: Phase


class PhasesReopened(_Message, frozen=True, kw_only=True, tag="campaign.phases_reopened"):
    """These completed phases will run again, in order."""

    phases: tuple[Phase, ...]


class PhaseStarted(_Message, frozen=True, kw_only=True, tag="campaign.phase_started"):
    """A phase runs: `batches` batches of `width` positions each (the last may be shorter)."""

    phase: Phase
    run: int  # 1-based; counts reruns
    width: int
    batches: int
    total: int  # names it works on


class PhaseCompleted(_Message, frozen=True, kw_only=True, tag="campaign.phase_completed"):
    """Every batch is accounted."""

    phase: Phase


class PhaseSkipped(_Message, frozen=True, kw_only=True, tag="campaign.phase_skipped"):
    """It will not run."""

    phase: Phase


class PhaseFailed(_Message, frozen=True, kw_only=True, tag="campaign.phase_failed"):
    """A batch of it is dead."""

    phase: Phase
    reason: str


class BatchesAccounted(_Message, frozen=True, kw_only=True, tag="campaign.batches_accounted"):
    """The results of these batches count; their work items went with the same commit."""

    phase: Phase
    run: int
    batches: tuple[int, ...]
    items: tuple[int, ...]
    counts: Counts


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
)
