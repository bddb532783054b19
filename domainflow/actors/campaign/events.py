"""Everything a campaign records: its events, and the values that they are made of.

Tags are permanent: renaming a class must not rename history. A shape never changes, nor what is in it: another one is
another `VERSION: ClassVar[int]` of its type, with a step up from the last one in the codec (docs/architecture.md).
"""

from typing import TypeAlias

from msgspec import Struct

from domainflow.spec import DnsPersona, HttpPersona, KeywordRule, ScoringProfile, Source
from domainflow.vocabulary import Mode, Phase

Counts: TypeAlias = tuple[tuple[str, int], ...]  # outcome -> names, sorted by outcome


class Word(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What is told or recorded; a field that is not known is refused."""


class PhaseConfig(Word, frozen=True, kw_only=True):
    """What a phase is to be run with; only the fields of that phase are looked at."""

    dns: DnsPersona | None = None
    http: HttpPersona | None = None
    keywords: tuple[KeywordRule, ...] | None = None
    scoring: ScoringProfile | None = None


class Listed(Word, frozen=True, kw_only=True):
    """What a user's list came to: `lines_total` = `lines` + all that was dropped."""

    lines: int  # canonical ones
    lines_total: int
    dropped: Counts  # reason -> lines


class CampaignCreated(Word, frozen=True, kw_only=True, tag="campaign.created"):
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


class CampaignQueued(Word, frozen=True, kw_only=True, tag="campaign.queued"):
    """It waits for a run slot."""


class CampaignBegun(Word, frozen=True, kw_only=True, tag="campaign.begun"):
    """It runs."""


class PauseRequested(Word, frozen=True, kw_only=True, tag="campaign.pause_requested"):
    """It takes up nothing new."""

    holder: str
    reason: str


class HolderAdded(Word, frozen=True, kw_only=True, tag="campaign.holder_added"):
    """One more holds it."""

    holder: str
    reason: str


class HolderLifted(Word, frozen=True, kw_only=True, tag="campaign.holder_lifted"):
    """One less holds it."""

    holder: str


class CampaignPaused(Word, frozen=True, kw_only=True, tag="campaign.paused"):
    """Nothing of it is in hand."""


class CampaignResumed(Word, frozen=True, kw_only=True, tag="campaign.resumed"):
    """A pause was lifted before it took hold."""


class CampaignCompleted(Word, frozen=True, kw_only=True, tag="campaign.completed"):
    """Every phase is completed or skipped."""


class CampaignFailed(Word, frozen=True, kw_only=True, tag="campaign.failed"):
    """It cannot go on by itself."""

    reason: str


class CampaignCancelled(Word, frozen=True, kw_only=True, tag="campaign.cancelled"):
    """It ended for good."""

    reason: str


class CampaignArchived(Word, frozen=True, kw_only=True, tag="campaign.archived"):
    """It was put aside."""


class CampaignDeleted(Word, frozen=True, kw_only=True, tag="campaign.deleted"):
    """It is in no list any more."""


class PhaseConfigured(Word, frozen=True, kw_only=True, tag="campaign.phase_configured"):
    """A phase will run with this."""

    phase: Phase
    config: PhaseConfig


class PhaseRequested(Word, frozen=True, kw_only=True, tag="campaign.phase_requested"):
    """The step-by-step campaign goes on with this phase."""

    phase: Phase


class PhasesReopened(Word, frozen=True, kw_only=True, tag="campaign.phases_reopened"):
    """These completed phases will run again, in order."""

    phases: tuple[Phase, ...]


class PhaseStarted(Word, frozen=True, kw_only=True, tag="campaign.phase_started"):
    """A phase runs: `batches` batches of `width` positions each (the last may be shorter)."""

    phase: Phase
    run: int  # 1-based; counts reruns
    width: int
    batches: int
    total: int  # names it works on


class PhaseCompleted(Word, frozen=True, kw_only=True, tag="campaign.phase_completed"):
    """Every batch is accounted."""

    phase: Phase


class PhaseSkipped(Word, frozen=True, kw_only=True, tag="campaign.phase_skipped"):
    """It will not run."""

    phase: Phase


class PhaseFailed(Word, frozen=True, kw_only=True, tag="campaign.phase_failed"):
    """A batch of it is dead."""

    phase: Phase
    reason: str


class BatchesAccounted(Word, frozen=True, kw_only=True, tag="campaign.batches_accounted"):
    """The results of these batches count; their work items went with the same commit."""

    phase: Phase
    run: int
    batches: tuple[int, ...]
    items: tuple[int, ...]
    counts: Counts
