"""One phase after the other: by itself in a full sequence, when it is told to step by step."""

import pytest
from msgspec.structs import replace
from story import (
    ANALYSIS,
    CREATED,
    DNS,
    GENERATION,
    HTTP,
    IN_DNS,
    LIVES,
    STEP_PAUSE,
    STEPPING,
    USER_PAUSE,
    WAITING,
    account,
    accounted,
    done,
    heard,
    of,
)

from domainflow.actors.campaign.core import decide
from domainflow.actors.campaign.events import (
    BatchesAccounted,
    CampaignBegun,
    CampaignCompleted,
    CampaignQueued,
    HolderAdded,
    HolderLifted,
    PhaseCompleted,
    PhaseRequested,
    PhaseStarted,
)
from domainflow.actors.campaign.messages import (
    BeginCampaign,
    DoneBatch,
    PauseCampaign,
    RerunPhase,
    ResumeCampaign,
    SkipPhase,
    StartPhase,
)
from domainflow.errors import CommandRejected
from domainflow.vocabulary import CampaignStatus, Mode, PhaseStatus

# --- one phase after the other


def test_the_last_batch_of_a_phase_starts_the_next_phase() -> None:
    given = of(
        BatchesAccounted(phase=DNS, run=1, batches=tuple(range(9)), items=(), counts=(("resolved", 40),)), state=IN_DNS
    )
    assert decide(given, account(done(9)))[1:] == (
        PhaseCompleted(phase=DNS),
        # 50 names resolved out of 100 positions, and a batch of fetches has ten names at least.
        PhaseStarted(phase=HTTP, run=1, width=20, batches=5, total=50),
    )


def test_phases_that_have_nothing_to_do_are_gone_through_at_once() -> None:
    given = of(accounted(DNS, 9, {"unresolved": 90}), state=IN_DNS)
    event = DoneBatch(9, DNS, 1, 9, (("unresolved", 10),))
    assert decide(given, account(event))[1:] == (
        PhaseCompleted(phase=DNS),
        PhaseStarted(phase=HTTP, run=1, width=1000, batches=0, total=0),
        PhaseCompleted(phase=HTTP),
        PhaseStarted(phase=ANALYSIS, run=1, width=1000, batches=0, total=0),
        PhaseCompleted(phase=ANALYSIS),
        CampaignCompleted(),
    )


def test_without_dns_every_name_is_fetched() -> None:
    given = heard(of(CREATED), SkipPhase(phase=DNS))
    begun = heard(of(CampaignQueued(), state=given), BeginCampaign(), account(done(0, 100, phase=GENERATION)))
    assert (begun.phase(HTTP).total, begun.phase(HTTP).status) == (100, PhaseStatus.IN_PROGRESS)


def test_the_last_phase_completes_the_campaign() -> None:
    given = heard(of(CREATED), SkipPhase(phase=DNS), SkipPhase(phase=HTTP), SkipPhase(phase=ANALYSIS))
    begun = heard(of(CampaignQueued(), state=given), BeginCampaign())
    assert decide(begun, account(done(0, 100, phase=GENERATION)))[1:] == (
        PhaseCompleted(phase=GENERATION),
        CampaignCompleted(),
    )


# --- step by step


def test_a_completed_step_is_a_pause_held_by_step() -> None:
    assert decide(STEPPING, account(done(0, 100, phase=GENERATION)))[1:] == (
        PhaseCompleted(phase=GENERATION),
        *STEP_PAUSE,
    )


def test_the_next_step_is_started_by_its_name() -> None:
    assert decide(WAITING, StartPhase(phase=DNS)) == (
        PhaseRequested(phase=DNS),
        HolderLifted(holder="step"),
        CampaignQueued(),
    )
    begun = heard(WAITING, StartPhase(phase=DNS), BeginCampaign())
    assert (begun.status, begun.phase(DNS).status) == (CampaignStatus.RUNNING, PhaseStatus.IN_PROGRESS)
    with pytest.raises(
        CommandRejected, match="http_keyword_validation is configured; the next phase is dns_validation"
    ):
        decide(WAITING, StartPhase(phase=HTTP))


def test_a_plain_resume_says_which_phase_to_start() -> None:
    with pytest.raises(CommandRejected, match="held by step: start phase dns_validation"):
        decide(WAITING, ResumeCampaign())


def test_starting_a_phase_twice_starts_it_once() -> None:
    assert decide(heard(WAITING, StartPhase(phase=DNS)), StartPhase(phase=DNS)) == ()
    assert decide(heard(WAITING, StartPhase(phase=DNS), BeginCampaign()), StartPhase(phase=DNS)) == ()


def test_a_user_who_holds_it_too_must_let_go_before_the_step_begins() -> None:
    given = heard(WAITING, PauseCampaign(), StartPhase(phase=DNS))
    assert given.status is CampaignStatus.PAUSED
    assert heard(given, ResumeCampaign(), BeginCampaign()).phase(DNS).status is PhaseStatus.IN_PROGRESS


def test_a_step_that_ends_while_a_pause_takes_hold_waits_for_both() -> None:
    given = of(USER_PAUSE, state=STEPPING)
    assert decide(given, account(done(0, 100, phase=GENERATION)))[1:] == (
        PhaseCompleted(phase=GENERATION),
        HolderAdded(holder="step", reason="the next phase waits to be started"),
    )


def test_a_step_that_was_requested_and_then_skipped_does_not_start_the_one_after_it() -> None:
    given = heard(WAITING, StartPhase(phase=DNS), SkipPhase(phase=DNS))
    assert decide(given, BeginCampaign()) == (CampaignBegun(), *STEP_PAUSE)


def test_a_step_with_nothing_to_do_waits_for_the_next_one() -> None:
    resolving = heard(WAITING, StartPhase(phase=DNS), BeginCampaign())
    waiting = of(accounted(DNS, 10, {"unresolved": 100}), PhaseCompleted(phase=DNS), *STEP_PAUSE, state=resolving)
    assert decide(heard(waiting, StartPhase(phase=HTTP)), BeginCampaign()) == (
        CampaignBegun(),
        PhaseStarted(phase=HTTP, run=1, width=1000, batches=0, total=0),
        PhaseCompleted(phase=HTTP),
        *STEP_PAUSE,
    )


def test_when_every_step_that_was_left_is_skipped_a_resume_completes_the_campaign() -> None:
    given = heard(WAITING, SkipPhase(phase=DNS), SkipPhase(phase=HTTP), SkipPhase(phase=ANALYSIS))
    assert decide(given, ResumeCampaign()) == (HolderLifted(holder="step"), CampaignQueued())
    assert heard(given, ResumeCampaign(), BeginCampaign()).status is CampaignStatus.COMPLETED


def test_a_window_does_not_lift_a_step_even_where_no_step_is_left() -> None:
    given = heard(WAITING, SkipPhase(phase=DNS), SkipPhase(phase=HTTP), SkipPhase(phase=ANALYSIS))
    with pytest.raises(CommandRejected, match="window:night does not hold this campaign; held by step"):
        decide(given, ResumeCampaign(holder="window:night"))


def test_step_by_step_a_rerun_is_of_one_phase() -> None:
    given = of(replace(CREATED, mode=Mode.STEP_BY_STEP), state=LIVES["completed"])
    given = replace(given, phases=LIVES["completed"].phases)
    begun = heard(given, RerunPhase(phase=DNS), BeginCampaign())
    assert begun.phase(DNS).run == 2
    event = DoneBatch(1, DNS, 2, 9, (("resolved", 10),))
    almost = of(accounted(DNS, 9, {"resolved": 90}, run=2), state=begun)
    assert decide(almost, account(event))[1:] == (PhaseCompleted(phase=DNS), CampaignCompleted())
