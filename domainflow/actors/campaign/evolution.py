"""What a campaign is after an event, and which status may follow which.

`evolve` never refuses: history has happened. The table stands here and nowhere else.
"""

from typing import Final, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

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
)
from domainflow.actors.campaign.history import CampaignEvent, StreamSealed
from domainflow.actors.campaign.progress import account
from domainflow.actors.campaign.state import Campaign, PhaseState, current
from domainflow.vocabulary import PHASES, BusinessStatus, CampaignStatus, Phase, PhaseStatus

FOLD_VERSION: Final = 2  # raise it when `evolve` or the state changes: snapshots of another one are rebuilt

S = CampaignStatus
Events: TypeAlias = tuple[CampaignEvent, ...]

# A pair that is missing is a refusal, so a new event is refused until its row is written.
TRANSITIONS: Final[dict[tuple[CampaignStatus, type[Struct]], CampaignStatus]] = {
    (S.PENDING, CampaignQueued): S.QUEUED,
    (S.PENDING, CampaignCancelled): S.CANCELLED,
    (S.QUEUED, CampaignBegun): S.RUNNING,
    (S.QUEUED, CampaignPaused): S.PAUSED,
    (S.QUEUED, CampaignCancelled): S.CANCELLED,
    (S.QUEUED, CampaignFailed): S.FAILED,
    (S.RUNNING, PauseRequested): S.PAUSING,
    (S.RUNNING, CampaignCompleted): S.COMPLETED,
    (S.RUNNING, CampaignFailed): S.FAILED,
    (S.RUNNING, CampaignCancelled): S.CANCELLED,
    (S.PAUSING, CampaignPaused): S.PAUSED,
    (S.PAUSING, CampaignResumed): S.RUNNING,
    (S.PAUSING, CampaignCancelled): S.CANCELLED,
    (S.PAUSING, CampaignFailed): S.FAILED,
    (S.PAUSED, CampaignQueued): S.QUEUED,
    (S.PAUSED, CampaignCancelled): S.CANCELLED,
    (S.FAILED, CampaignQueued): S.QUEUED,
    (S.COMPLETED, CampaignQueued): S.QUEUED,
}
LEGAL_MOVES: Final = frozenset((before.value, after.value) for (before, _), after in TRANSITIONS.items())


def evolve(state: Campaign, event: CampaignEvent) -> Campaign:
    """Return the state after an event."""
    status = TRANSITIONS.get((state.status, type(event)), state.status)
    state = replace(state, status=status) if status is not state.status else state
    match event:
        case CampaignCreated(skip=skip):
            phases = tuple(
                PhaseState(status=PhaseStatus.SKIPPED if p in skip else PhaseStatus.CONFIGURED) for p in PHASES
            )
            return replace(state, created=event, phases=phases)
        case CampaignQueued() | CampaignArchived() | CampaignDeleted() | CampaignCompleted() | StreamSealed():
            return _evolve_life(state, event)
        case CampaignBegun() | CampaignResumed():
            return _with_current(state, PhaseStatus.IN_PROGRESS)
        case PauseRequested(holder=holder) | HolderAdded(holder=holder):
            return replace(state, holders=(*state.holders, holder))
        case HolderLifted(holder=holder):
            return replace(state, holders=tuple(h for h in state.holders if h != holder))
        case CampaignPaused():
            return _paused(state)
        case CampaignFailed(reason=reason) | CampaignCancelled(reason=reason):
            return replace(state, reason=reason)
        case PhaseConfigured():
            return _evolve_config(state, event)
        case PhaseRequested(phase=phase):
            return replace(state, requested=phase)
        case PhasesReopened(phases=reopened):
            return replace(state, rerun=reopened)
        case PhaseStarted():
            return _evolve_started(state, event)
        case PhaseCompleted(phase=phase):
            return _with(state, phase, status=PhaseStatus.COMPLETED)
        case PhaseSkipped(phase=phase):
            requested = None if state.requested is phase else state.requested
            return _with(replace(state, requested=requested), phase, status=PhaseStatus.SKIPPED)
        case PhaseFailed(phase=phase, reason=reason):
            return _with(state, phase, status=PhaseStatus.FAILED, reason=reason)
        case BatchesAccounted(phase=phase):
            return _replaced(state, phase, account(state.phase(phase), event))
        case _ as unreachable:
            assert_never(unreachable)


def _replaced(state: Campaign, phase: Phase, new: PhaseState) -> Campaign:
    place = PHASES.index(phase)
    return replace(state, phases=(*state.phases[:place], new, *state.phases[place + 1 :]))


def _with(state: Campaign, phase: Phase, *, status: PhaseStatus, reason: str = "") -> Campaign:
    return _replaced(state, phase, replace(state.phase(phase), status=status, reason=reason))


def _with_current(state: Campaign, status: PhaseStatus) -> Campaign:
    phase = current(state)
    return state if phase is None else _with(state, phase, status=status)


def _paused(state: Campaign) -> Campaign:
    """A phase that has failed stays so: it is the retry that it waits for."""
    phase = current(state)
    failed = phase is not None and state.phase(phase).status is PhaseStatus.FAILED
    return state if failed else _with_current(state, PhaseStatus.PAUSED)


def _evolve_life(state: Campaign, event: CampaignEvent) -> Campaign:
    match event:
        case CampaignArchived():
            return replace(state, business_status=BusinessStatus.ARCHIVED)
        case CampaignDeleted():
            return replace(state, deleted=True)
        case CampaignQueued():
            return replace(state, reason="")
        case StreamSealed(state=sealed):
            return sealed
        case _:
            return state


def _evolve_config(state: Campaign, event: PhaseConfigured) -> Campaign:
    config, spec = event.config, state.spec
    changed = replace(
        spec,
        dns=config.dns or spec.dns,
        http=config.http or spec.http,
        keywords=spec.keywords if config.keywords is None else config.keywords,
        scoring=config.scoring or spec.scoring,
    )
    return _with(replace(state, created=changed), event.phase, status=PhaseStatus.CONFIGURED)


def _evolve_started(state: Campaign, event: PhaseStarted) -> Campaign:
    fresh = PhaseState(
        status=PhaseStatus.IN_PROGRESS, run=event.run, width=event.width, batches=event.batches, total=event.total
    )
    rerun = tuple(p for p in state.rerun if p is not event.phase)
    return replace(_replaced(state, event.phase, fresh), requested=None, rerun=rerun)
