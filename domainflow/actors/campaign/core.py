"""What may be done to a campaign: the decision on each command.

What follows of itself stands in `reports`, what a campaign is after an event in `evolution`.
"""

from typing import Final, assert_never

from domainflow.actors.campaign.events import (
    CampaignArchived,
    CampaignCancelled,
    CampaignDeleted,
    CampaignPaused,
    CampaignQueued,
    CampaignResumed,
    HolderAdded,
    HolderLifted,
    PauseRequested,
    PhaseConfig,
    PhaseConfigured,
    PhaseRequested,
    PhaseSkipped,
    PhasesReopened,
)
from domainflow.actors.campaign.evolution import FOLD_VERSION, TRANSITIONS, Events, S, evolve
from domainflow.actors.campaign.history import CampaignEvent, StreamSealed
from domainflow.actors.campaign.messages import (
    AccountBatches,
    ArchiveCampaign,
    BeginCampaign,
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
from domainflow.actors.campaign.reports import advance, heed
from domainflow.actors.campaign.state import ENDED, UNBEGUN, Campaign, current, upcoming
from domainflow.errors import CommandRejected, NotFound
from domainflow.vocabulary import PHASES, BusinessStatus, Mode, Phase, PhaseStatus

DELETABLE: Final = ENDED | {S.PENDING, S.PAUSED}


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
        case SealCampaign():
            return _seal(state)
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
        case BeginCampaign() | AccountBatches() | ObserveLedger():
            return heed(state, command)
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
    return (lifted, resumed, *(advance(after) if current(after) is None else ()))


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


def _seal(state: Campaign) -> Events:
    """Heard twice it is done twice: nothing is lost, and whoever sends it says at which version it is meant."""
    if state.status not in ENDED:
        return _refuse(state, "seal")
    return (StreamSealed(fold_version=FOLD_VERSION, state=state),)


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
