"""How a campaign runs by itself: what the runtime reports to it, and which phase follows which.

Nothing of this is refused: a report that comes too late changes nothing. What people command stands in `core`.
"""

from typing import Final, assert_never

from domainflow.actors.campaign.events import (
    BatchesAccounted,
    CampaignBegun,
    CampaignCompleted,
    CampaignFailed,
    CampaignPaused,
    HolderAdded,
    PauseRequested,
    PhaseCompleted,
    PhaseFailed,
    PhaseStarted,
)
from domainflow.actors.campaign.evolution import Events, S, evolve
from domainflow.actors.campaign.history import CampaignEvent
from domainflow.actors.campaign.messages import AccountBatches, BeginCampaign, CampaignReport, ObserveLedger
from domainflow.actors.campaign.state import Campaign, PhaseState, current, total_of, upcoming, waits_for_step, width_of
from domainflow.vocabulary import Phase, PhaseStatus

_STEP_REASON: Final = "the next phase waits to be started"
_STEP_PAUSE: Final[Events] = (PauseRequested(holder="step", reason=_STEP_REASON), CampaignPaused())
ACCOUNTS: Final = frozenset({S.RUNNING, S.PAUSING, S.PAUSED, S.FAILED, S.QUEUED})


def heed(state: Campaign, report: CampaignReport) -> Events:
    """Return what happens on a report; nothing, where it comes too late. The campaign is there."""
    match report:
        case BeginCampaign():
            return _begin(state)
        case AccountBatches():
            return _account(state, report)
        case ObserveLedger():
            return _observe(state, report)
        case _ as unreachable:
            assert_never(unreachable)


def _begin(state: Campaign) -> Events:
    if state.status is not S.QUEUED:
        return ()  # the slot was granted to what has been paused or cancelled since
    begun = CampaignBegun()
    if current(state) is not None:
        return (begun,)
    if _awaits_request(state):
        return (begun, *_STEP_PAUSE)
    return (begun, *advance(evolve(state, begun)))


def _awaits_request(state: Campaign) -> bool:
    begun_before = any(phase.run for phase in state.phases)
    return waits_for_step(state) and begun_before and state.requested is None and upcoming(state) is not None


def advance(state: Campaign) -> Events:
    """Start what comes next, and go on as long as a phase has nothing to do; the end is completion."""
    happened: list[CampaignEvent] = []
    while (phase := upcoming(state)) is not None:
        total = total_of(state, phase)
        width = width_of(state, phase, total)
        batches = -(-state.spec.count // width) if total else 0
        run = state.phase(phase).run + 1
        started = PhaseStarted(phase=phase, run=run, width=width, batches=batches, total=total)
        happened.append(started)
        if batches:
            return tuple(happened)
        state = evolve(state, started)
        completed = _complete(state, phase)
        happened += completed
        if any(isinstance(event, CampaignPaused) for event in completed):
            return tuple(happened)
        for event in completed:
            state = evolve(state, event)
    return (*happened, CampaignCompleted())


def _complete(state: Campaign, phase: Phase) -> list[CampaignEvent]:
    """Complete a phase; a step-by-step campaign then waits for the next step, if there is one."""
    completed = PhaseCompleted(phase=phase)
    after = evolve(state, completed)
    if not waits_for_step(after) or upcoming(after) is None:
        return [completed]
    if state.status is S.RUNNING:
        return [completed, *_STEP_PAUSE]
    if state.status in {S.PAUSING, S.PAUSED}:
        return [completed, HolderAdded(holder="step", reason=_STEP_REASON)]
    return [completed]


def _account(state: Campaign, command: AccountBatches) -> Events:
    phase = current(state)
    if phase is None or state.status not in ACCOUNTS:
        return ()
    now = state.phase(phase)
    done = sorted(
        {d.batch: d for d in command.done if _is_new(now, phase, d.phase, d.run, d.batch)}.values(),
        key=lambda d: d.batch,
    )
    if not done:
        return ()
    counts: dict[str, int] = {}
    for each in done:
        for outcome, number in each.counts:
            counts[outcome] = counts.get(outcome, 0) + number
    event = BatchesAccounted(
        phase=phase,
        run=now.run,
        batches=tuple(d.batch for d in done),
        items=tuple(d.item for d in done),
        counts=tuple(sorted(counts.items())),
    )
    after = evolve(state, event)
    return (event, *_after_accounting(after, phase))


def _after_accounting(state: Campaign, phase: Phase) -> Events:
    now = state.phase(phase)
    if now.accounted < now.batches or now.status is PhaseStatus.FAILED:
        return ()
    completed = _complete(state, phase)
    if state.status is not S.RUNNING or len(completed) > 1:
        return tuple(completed)
    return (*completed, *advance(evolve(state, completed[0])))


def _is_new(now: PhaseState, phase: Phase, of: Phase, run: int, batch: int) -> bool:
    return of is phase and run == now.run and batch >= now.frontier and batch not in now.ahead


def _observe(state: Campaign, command: ObserveLedger) -> Events:
    phase = current(state)
    if command.dead and phase is not None and state.status in {S.RUNNING, S.PAUSING}:
        reason = command.reason or "a batch failed too often"
        return (PhaseFailed(phase=phase, reason=reason), CampaignFailed(reason=reason))
    if state.status is S.PAUSING and command.claimed == 0 and command.done == 0:
        return (CampaignPaused(),)
    return ()
