"""How far a phase is: which batches are accounted, which are to be opened, what the ledger is told. Pure."""

from msgspec.structs import replace

from domainflow.actors.campaign.events import (
    BatchesAccounted,
    CampaignArchived,
    CampaignBegun,
    CampaignCancelled,
    CampaignCompleted,
    CampaignDeleted,
    CampaignFailed,
    CampaignPaused,
    CampaignQueued,
    CampaignResumed,
    PauseRequested,
    PhaseStarted,
)
from domainflow.actors.campaign.history import CampaignEvent, StreamSealed
from domainflow.actors.campaign.state import Campaign, PhaseState, current, opened
from domainflow.actors.effects import ADMISSION, CLAIMER, Account, Effect, Mark, Open, Picture, Shift, Tell, Wake
from domainflow.store.port import CampaignMark, Ledger, OpenItem
from domainflow.vocabulary import PHASES, CampaignStatus, Phase, PhaseStatus


def account(phase: PhaseState, event: BatchesAccounted) -> PhaseState:
    """Return the phase after these batches were accounted."""
    ahead = set(phase.ahead) | set(event.batches)
    frontier = phase.frontier
    while frontier in ahead:
        ahead.discard(frontier)
        frontier += 1
    counts = dict(phase.counts)
    for outcome, number in event.counts:
        counts[outcome] = counts.get(outcome, 0) + number
    return replace(phase, frontier=frontier, ahead=tuple(sorted(ahead)), counts=tuple(sorted(counts.items())))


def react(state: Campaign, event: CampaignEvent) -> tuple[Effect, ...]:
    """Return what the ledger and the read model must know with this event; `state` is the one after it."""
    match event:
        case PhaseStarted(phase=phase):
            return _open(state, phase, 0)
        case BatchesAccounted(phase=phase, batches=batches, items=items):
            now = state.phase(phase)
            before = min(now.batches, now.accounted - len(batches) + state.spec.window)
            return (Account(items), *_open(state, phase, before))
        case PauseRequested() | CampaignFailed():
            return (Shift(Ledger.PARK),)
        case CampaignResumed() | CampaignBegun() if current(state) is not None:
            return (Shift(Ledger.UNPARK), Tell(CLAIMER, Wake()))
        case CampaignQueued() if _has_failed_phase(state):
            return (Shift(Ledger.REVIVE), Tell(ADMISSION, Wake()))
        case CampaignQueued():
            return (Tell(ADMISSION, Wake()),)
        case CampaignCancelled():
            return (Shift(Ledger.DROP),)
        case CampaignDeleted():
            return (Shift(Ledger.DROP), Mark(CampaignMark(deleted=True)))
        case CampaignArchived():
            return (Mark(CampaignMark(business_status="archived")),)
        case StreamSealed():
            return (Picture(),)
        case CampaignPaused() | CampaignCompleted():
            return (Tell(ADMISSION, Wake()),)  # a run slot is free
        case _:
            return ()


def resume(state: Campaign) -> tuple[Effect, ...]:
    """Return what to say again after a restart."""
    match state.status:
        case CampaignStatus.QUEUED:
            return (Tell(ADMISSION, Wake()),)
        case CampaignStatus.RUNNING | CampaignStatus.PAUSING:
            return (Tell(CLAIMER, Wake()),)
        case _:
            return ()


def _has_failed_phase(state: Campaign) -> bool:
    phase = current(state)
    return phase is not None and state.phase(phase).status is PhaseStatus.FAILED


def _open(state: Campaign, phase: Phase, before: int) -> tuple[Effect, ...]:
    now, spec = state.phase(phase), state.spec
    parked = state.status is not CampaignStatus.RUNNING
    items = tuple(
        OpenItem(
            PHASES.index(phase), now.run, batch, batch * now.width, min((batch + 1) * now.width, spec.count), parked
        )
        for batch in range(before, opened(now, spec.window))
    )
    return (Open(items), Tell(CLAIMER, Wake())) if items else ()
