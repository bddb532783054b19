"""What the tests of the campaign's core share: one campaign, and how it gets to each status of its life."""

from collections.abc import Mapping
from functools import reduce
from typing import Final

from msgspec.structs import replace

from domainflow.actors.campaign.core import decide
from domainflow.actors.campaign.events import (
    BatchesAccounted,
    CampaignBegun,
    CampaignCancelled,
    CampaignCompleted,
    CampaignCreated,
    CampaignFailed,
    CampaignPaused,
    CampaignQueued,
    PauseRequested,
    PhaseCompleted,
    PhaseFailed,
    PhaseStarted,
)
from domainflow.actors.campaign.evolution import evolve
from domainflow.actors.campaign.history import CampaignEvent
from domainflow.actors.campaign.messages import AccountBatches, CampaignMessage, DoneBatch
from domainflow.actors.campaign.progress import react
from domainflow.actors.campaign.state import Campaign
from domainflow.actors.effects import ADMISSION, CLAIMER, Effect, Tell, Wake
from domainflow.spec import DnsPersona, HttpPersona, KeywordRule, Pattern, ScoringProfile
from domainflow.vocabulary import Mode, PatternType, Phase

GENERATION, DNS, HTTP, ANALYSIS = Phase

# 100 names; batches of 10 names in DNS, of 100 in generation; at most 4 open at once.
CREATED: Final = CampaignCreated(
    name="shops",
    description="",
    principal="alice",
    mode=Mode.FULL_SEQUENCE,
    source=Pattern(
        pattern_type=PatternType.PREFIX, variable_length=2, character_set="0123456789", constant="", tld=".com"
    ),
    base=0,
    count=100,
    created_at_us=1_700_000_000_000_000,
    batch_size=10,
    retries=3,
    window=4,
    skip=(),
    dns=DnsPersona(),
    http=HttpPersona(),
    keywords=(KeywordRule(text="shop"),),
    scoring=ScoringProfile(),
)


def of(*events: CampaignEvent, state: Campaign | None = None) -> Campaign:
    """A campaign to which this has happened."""
    return reduce(evolve, events, state or Campaign())


def heard(state: Campaign, *messages: CampaignMessage) -> Campaign:
    """A campaign that was told this, and refused nothing."""
    for message in messages:
        state = of(*decide(state, message), state=state)
    return state


def accounted(phase: Phase, batches: int, counts: Mapping[str, int], run: int = 1) -> BatchesAccounted:
    """All batches of a phase at once."""
    return BatchesAccounted(
        phase=phase,
        run=run,
        batches=tuple(range(batches)),
        items=tuple(range(batches)),
        counts=tuple(sorted(counts.items())),
    )


def done(batch: int, counts: int = 10, *, phase: Phase = DNS, run: int = 1) -> DoneBatch:
    return DoneBatch(1000 + batch, phase, run, batch, (("resolved", counts),))


def account(*batches: DoneBatch) -> AccountBatches:
    return AccountBatches(done=batches)


def effects(state: Campaign, *events: CampaignEvent) -> tuple[Effect, ...]:
    """What the last of these events asks for."""
    return react(of(*events, state=state), events[-1])


GENERATING: Final[tuple[CampaignEvent, ...]] = (
    CampaignQueued(),
    CampaignBegun(),
    PhaseStarted(phase=GENERATION, run=1, width=100, batches=1, total=100),
)
GENERATED: Final = (accounted(GENERATION, 1, {"generated": 100}), PhaseCompleted(phase=GENERATION))
RESOLVING: Final = (*GENERATED, PhaseStarted(phase=DNS, run=1, width=10, batches=10, total=100))
RESOLVED: Final = (
    accounted(DNS, 10, {"resolved": 50, "unresolved": 50}),
    PhaseCompleted(phase=DNS),
)
FETCHED: Final = (
    PhaseStarted(phase=HTTP, run=1, width=20, batches=5, total=50),
    accounted(HTTP, 5, {"success": 40, "timeout": 10}),
    PhaseCompleted(phase=HTTP),
)
ANALYSED: Final = (
    PhaseStarted(phase=ANALYSIS, run=1, width=20, batches=5, total=50),
    accounted(ANALYSIS, 5, {"match": 5, "no_match": 45}),
    PhaseCompleted(phase=ANALYSIS),
)
USER_PAUSE: Final = PauseRequested(holder="user", reason="")

# Each status, and how one gets there.
LIVES: Final[Mapping[str, Campaign]] = {
    "pending": of(CREATED),
    "queued": of(CREATED, CampaignQueued()),
    "running": of(CREATED, *GENERATING),
    "pausing": of(CREATED, *GENERATING, USER_PAUSE),
    "paused": of(CREATED, *GENERATING, USER_PAUSE, CampaignPaused()),
    "completed": of(CREATED, *GENERATING, *RESOLVING, *RESOLVED, *FETCHED, *ANALYSED, CampaignCompleted()),
    "failed": of(CREATED, *GENERATING, PhaseFailed(phase=GENERATION, reason="x"), CampaignFailed(reason="x")),
    "cancelled": of(CREATED, CampaignCancelled(reason="")),
}

IN_DNS: Final = of(CREATED, *GENERATING, *RESOLVING)
ALL_RESOLVED: Final = of(RESOLVED[0], state=IN_DNS)
STEPPING: Final = of(replace(CREATED, mode=Mode.STEP_BY_STEP), *GENERATING)
STEP_PAUSE: Final = (PauseRequested(holder="step", reason="the next phase waits to be started"), CampaignPaused())
WAITING: Final = of(*GENERATED, *STEP_PAUSE, state=STEPPING)  # for the DNS phase to be started
TELL_ADMISSION, TELL_CLAIMER = Tell(ADMISSION, Wake()), Tell(CLAIMER, Wake())
