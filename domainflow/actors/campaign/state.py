"""A campaign's state, and the numbers that follow from it: how a phase is cut, what is open, what comes next.

Pure values and functions; what may change the state stands in `core`.
"""

from typing import Final

from msgspec import Struct

from domainflow.actors.campaign.events import CampaignCreated, Counts
from domainflow.vocabulary import PHASES, BusinessStatus, CampaignStatus, Mode, Phase, PhaseStatus

# A generated name costs a microsecond and a fetch milliseconds: batches of equal duration need unequal sizes.
GENERATED_PER_NAME: Final = 10
FETCHED_PER_NAME: Final = 20  # a batch of fetches has a twentieth of `batch_size`
FEWEST_FETCHES: Final = 10  # a batch, but not fewer than this many
MOST_WIDE: Final = 100_000  # positions

ENDED: Final = frozenset({CampaignStatus.COMPLETED, CampaignStatus.FAILED, CampaignStatus.CANCELLED})
OVER: Final = frozenset({PhaseStatus.COMPLETED, PhaseStatus.SKIPPED})
UNBEGUN: Final = frozenset({PhaseStatus.NOT_STARTED, PhaseStatus.READY, PhaseStatus.CONFIGURED})


class PhaseState(Struct, frozen=True, kw_only=True, gc=False):
    """One phase: its place in life, and how far its current run is accounted."""

    status: PhaseStatus = PhaseStatus.CONFIGURED
    run: int = 0  # 1-based; 0: never
    width: int = 0  # positions a batch
    batches: int = 0
    total: int = 0  # names
    frontier: int = 0  # batches below are all accounted
    ahead: tuple[int, ...] = ()  # accounted above the frontier, sorted; at most the window
    counts: Counts = ()
    reason: str = ""

    @property
    def accounted(self) -> int:
        """Batches accounted."""
        return self.frontier + len(self.ahead)

    @property
    def names(self) -> int:
        """Names accounted."""
        return sum(number for _, number in self.counts)

    def count(self, outcome: str) -> int:
        """Names with this outcome."""
        return next((number for word, number in self.counts if word == outcome), 0)


class Campaign(Struct, frozen=True, kw_only=True, gc=False):
    """A campaign."""

    created: CampaignCreated | None = None  # with what `PhaseConfigured` changed since; None: not born yet
    status: CampaignStatus = CampaignStatus.PENDING
    business_status: BusinessStatus | None = None
    holders: tuple[str, ...] = ()
    phases: tuple[PhaseState, ...] = (PhaseState(),) * len(PHASES)
    requested: Phase | None = None  # by start_phase, until it starts
    rerun: tuple[Phase, ...] = ()  # to be run again, in order
    deleted: bool = False
    reason: str = ""  # of the failure or cancellation

    @property
    def spec(self) -> CampaignCreated:
        """What it is to do. It has been born."""
        assert self.created is not None  # noqa: S101 - every command but birth is refused before
        return self.created

    def phase(self, phase: Phase) -> PhaseState:
        """One of its phases."""
        return self.phases[PHASES.index(phase)]


def current(state: Campaign) -> Phase | None:
    """Return the phase that has begun and is not over."""
    return next((p for p in PHASES if state.phase(p).status not in OVER | UNBEGUN), None)


def upcoming(state: Campaign) -> Phase | None:
    """Return the phase to start next; None: all is done."""
    if state.rerun:
        return state.rerun[0]
    return next((p for p in PHASES if state.phase(p).status in UNBEGUN), None)


def waits_for_step(state: Campaign) -> bool:
    """Whether the next phase is not to start by itself."""
    return state.spec.mode is Mode.STEP_BY_STEP and not state.rerun


def opened(phase: PhaseState, window: int) -> int:
    """Return how many batches have been handed to the ledger: a function of what is accounted."""
    return min(phase.batches, phase.accounted + window)


def total_of(state: Campaign, phase: Phase) -> int:
    """Return how many names a phase works on, given the phases before it."""
    dns, http = state.phase(Phase.DNS_VALIDATION), state.phase(Phase.HTTP_KEYWORD_VALIDATION)
    match phase:
        case Phase.DOMAIN_GENERATION | Phase.DNS_VALIDATION:
            return state.spec.count
        case Phase.HTTP_KEYWORD_VALIDATION:
            return state.spec.count if dns.status is PhaseStatus.SKIPPED else dns.count("resolved")
        case Phase.ANALYSIS:
            return http.names


def width_of(state: Campaign, phase: Phase, total: int) -> int:
    """Return how many positions a batch of a phase spans, so that a batch costs about the same in every phase."""
    size, count = state.spec.batch_size, state.spec.count
    match phase:
        case Phase.DOMAIN_GENERATION:
            wide = size * GENERATED_PER_NAME
        case Phase.DNS_VALIDATION:
            return size
        case Phase.HTTP_KEYWORD_VALIDATION:
            wide = -(-max(size // FETCHED_PER_NAME, FEWEST_FETCHES) * count // max(total, 1))
        case _:
            wide = -(-size * count // max(total, 1))
    return max(1, min(wide, MOST_WIDE))
