"""What may happen to a campaign: each command's decision. What then is stands in `evolution`."""

from typing import Final, assert_never

from domainflow.actors.campaign.evolution import TRANSITIONS, Events, S, evolve
from domainflow.actors.campaign.messages import (
    AccountBatches,
    ArchiveCampaign,
    BatchesAccounted,
    BeginCampaign,
    CampaignArchived,
    CampaignBegun,
    CampaignCancelled,
    CampaignCompleted,
    CampaignDeleted,
    CampaignEvent,
    CampaignFailed,
    CampaignMessage,
    CampaignPaused,
    CampaignQueued,
    CampaignResumed,
    CancelCampaign,
    ConfigurePhase,
    DeleteCampaign,
    HolderAdded,
    HolderLifted,
    ObserveLedger,
    PauseCampaign,
    PauseRequested,
    PhaseCompleted,
    PhaseConfig,
    PhaseConfigured,
    PhaseFailed,
    PhaseRequested,
    PhaseSkipped,
    PhasesReopened,
    PhaseStarted,
    RerunPhase,
    ResumeCampaign,
    RetryCampaign,
    SkipPhase,
    StartCampaign,
    StartPhase,
)
from domainflow.actors.campaign.state import (
    ENDED,
    UNBEGUN,
    Campaign,
    PhaseState,
    current,
    total_of,
    upcoming,
    waits_for_step,
    width_of,
)
from domainflow.errors import CommandRejected, NotFound
from domainflow.vocabulary import PHASES, BusinessStatus, Mode, Phase, PhaseStatus

DELETABLE: Final = ENDED | {S.PENDING, S.PAUSED}
_STEP_REASON: Final = "the next phase waits to be started"
_STEP_PAUSE: Final[Events] = (PauseRequested(holder="step", reason=_STEP_REASON), CampaignPaused())
ACCOUNTS: Final = frozenset({S.RUNNING, S.PAUSING, S.PAUSED, S.FAILED, S.QUEUED})


def decide(state: Campaign, command: CampaignMessage) -> Events:
    """Return what happens; nothing, where the state asked for is reached already. Raises CommandRejected, NotFound."""
    if state.created is None or state.deleted:
        raise NotFound("there is no such campaign")
    match command:
        case StartCampaign():
            return _start(state)
        case PauseCampaign():
            return _pause(state, command)
        case ResumeCampaign():
            return _resume(state, command)
        case CancelCampaign(reason=reason):
            return () if state.status is S.CANCELLED else _legal(state, CampaignCancelled(reason=reason))
        case RetryCampaign():
            return _retry(state)
        case ArchiveCampaign():
            return _archive(state)
        case DeleteCampaign():
            return (CampaignDeleted(),) if state.status in DELETABLE else _refuse(state, "delete")
        case ConfigurePhase(phase=phase, config=config):
            return (PhaseConfigured(phase=_unbegun(state, phase, "configure"), config=_own_part(phase, config)),)
        case StartPhase(phase=phase):
            return _start_phase(state, phase)
        case SkipPhase(phase=phase):
            return _skip(state, phase)
        case RerunPhase(phase=phase):
            return _rerun(state, phase)
        case BeginCampaign():
            return _begin(state)
        case AccountBatches():
            return _account(state, command)
        case ObserveLedger():
            return _observe(state, command)
        case _ as unreachable:
            assert_never(unreachable)


# --- one decision each


def _start(state: Campaign) -> Events:
    if state.status in {S.QUEUED, S.RUNNING}:
        return ()
    if state.status is not S.PENDING:
        return _refuse(state, "start")
    return _legal(state, CampaignQueued())


def _pause(state: Campaign, command: PauseCampaign) -> Events:
    if state.status in {S.PAUSING, S.PAUSED}:
        held = command.holder in state.holders
        return () if held else (HolderAdded(holder=command.holder, reason=command.reason),)
    if state.status is S.QUEUED:
        return (HolderAdded(holder=command.holder, reason=command.reason), CampaignPaused())
    return _legal(state, PauseRequested(holder=command.holder, reason=command.reason), as_="pause")


def _resume(state: Campaign, command: ResumeCampaign) -> Events:
    if state.status in {S.QUEUED, S.RUNNING}:
        return ()
    if state.status not in {S.PAUSING, S.PAUSED}:
        return _refuse(state, "resume")
    if command.holder == "user" and "step" in state.holders and upcoming(state) is None:
        return _lift(state, "step")  # what it waited for has been skipped
    if command.holder not in state.holders:
        raise CommandRejected(
            f"{command.holder} does not hold this campaign; held by {', '.join(state.holders)}{_hint(state)}"
        )
    return _lift(state, command.holder)


def _lift(state: Campaign, holder: str) -> Events:
    lifted = HolderLifted(holder=holder)
    if state.holders != (holder,):
        return (lifted,)
    if state.status is not S.PAUSING:
        return (lifted, CampaignQueued())
    resumed = CampaignResumed()
    after = evolve(evolve(state, lifted), resumed)
    # Its phase may have been completed before the pause took hold, and nobody else starts the next one.
    return (lifted, resumed, *(_advance(after) if current(after) is None else ()))


def _retry(state: Campaign) -> Events:
    if state.status in {S.QUEUED, S.RUNNING}:
        return ()
    if state.status is not S.FAILED:
        return _refuse(state, "retry")
    # It may have failed while it was being paused: who held it then would never be asked again.
    return (*(HolderLifted(holder=holder) for holder in state.holders), CampaignQueued())


def _archive(state: Campaign) -> Events:
    if state.business_status is BusinessStatus.ARCHIVED:
        return ()
    return (CampaignArchived(),) if state.status in ENDED else _refuse(state, "archive")


def _start_phase(state: Campaign, phase: Phase) -> Events:
    if state.phase(phase).status is PhaseStatus.IN_PROGRESS or state.requested is phase:
        return ()
    if phase is not upcoming(state):
        raise CommandRejected(f"{phase} is {state.phase(phase).status}; the next phase is {upcoming(state) or 'none'}")
    if state.status is S.PENDING:
        return (PhaseRequested(phase=phase), *_start(state))
    if state.status is S.PAUSED and "step" in state.holders:
        return (PhaseRequested(phase=phase), *_lift(state, "step"))
    return _refuse(state, "start_phase")


def _skip(state: Campaign, phase: Phase) -> Events:
    if state.phase(phase).status is PhaseStatus.SKIPPED:
        return ()
    return (PhaseSkipped(phase=_unbegun(state, phase, "skip")),)


def _rerun(state: Campaign, phase: Phase) -> Events:
    if state.status is not S.COMPLETED:
        return _refuse(state, "rerun_phase")
    if state.phase(phase).status is not PhaseStatus.COMPLETED:
        raise CommandRejected(f"{phase} is {state.phase(phase).status}; only a completed phase can run again")
    after = PHASES[PHASES.index(phase) :] if state.spec.mode is Mode.FULL_SEQUENCE else (phase,)
    again = tuple(p for p in after if state.phase(p).status is PhaseStatus.COMPLETED)
    return (PhasesReopened(phases=again), CampaignQueued())


def _begin(state: Campaign) -> Events:
    if state.status is not S.QUEUED:
        return ()  # the slot was granted to what has been paused or cancelled since
    begun = CampaignBegun()
    if current(state) is not None:
        return (begun,)
    if _awaits_request(state):
        return (begun, *_STEP_PAUSE)
    return (begun, *_advance(evolve(state, begun)))


def _awaits_request(state: Campaign) -> bool:
    begun_before = any(phase.run for phase in state.phases)
    return waits_for_step(state) and begun_before and state.requested is None and upcoming(state) is not None


def _advance(state: Campaign) -> Events:
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
    return (*completed, *_advance(evolve(state, completed[0])))


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


# --- helpers


def _legal(state: Campaign, event: CampaignEvent, as_: str = "") -> Events:
    if (state.status, type(event)) in TRANSITIONS:
        return (event,)
    return _refuse(state, as_ or type(event).__name__.removeprefix("Campaign").lower())


def _refuse(state: Campaign, command: str) -> Events:
    raise CommandRejected(
        f"cannot {command} a campaign that is {state.status}; allowed: {', '.join(allowed(state)) or 'nothing'}"
    )


def allowed(state: Campaign) -> tuple[str, ...]:
    """Return the commands that the status allows, for people."""
    words = {
        S.PENDING: ("start", "cancel", "delete"),
        S.QUEUED: ("pause", "cancel"),
        S.RUNNING: ("pause", "cancel"),
        S.PAUSING: ("resume", "cancel"),
        S.PAUSED: ("resume", "start_phase", "cancel", "delete"),
        S.COMPLETED: ("rerun_phase", "archive", "delete"),
        S.FAILED: ("retry", "archive", "delete"),
        S.CANCELLED: ("archive", "delete"),
    }
    return words[state.status]


def _hint(state: Campaign) -> str:
    following = upcoming(state)
    return f": start phase {following}" if "step" in state.holders and following else ""


def _own_part(phase: Phase, config: PhaseConfig) -> PhaseConfig:
    """What of a configuration is this phase's: the others' may have begun."""
    match phase:
        case Phase.DNS_VALIDATION:
            return PhaseConfig(dns=config.dns)
        case Phase.HTTP_KEYWORD_VALIDATION:
            return PhaseConfig(http=config.http, keywords=config.keywords)
        case Phase.ANALYSIS:
            return PhaseConfig(scoring=config.scoring)
        case _:
            return PhaseConfig()


def _unbegun(state: Campaign, phase: Phase, verb: str) -> Phase:
    status = state.phase(phase).status
    if status not in UNBEGUN or state.status in ENDED:
        raise CommandRejected(f"cannot {verb} {phase}: it is {status} and the campaign is {state.status}")
    return phase
