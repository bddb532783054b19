"""How a campaign's phases follow one another, what is accounted, and what the ledger is told."""

import pytest
from msgspec.structs import replace
from story import (
    ALL_RESOLVED,
    CREATED,
    DNS,
    GENERATING,
    GENERATION,
    HTTP,
    IN_DNS,
    LIVES,
    RESOLVING,
    TELL_ADMISSION,
    TELL_CLAIMER,
    USER_PAUSE,
    WAITING,
    account,
    done,
    effects,
    heard,
    of,
)

from domainflow.actors.campaign.core import decide
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
    HolderAdded,
    PauseRequested,
    PhaseFailed,
)
from domainflow.actors.campaign.history import CampaignEvent
from domainflow.actors.campaign.messages import DoneBatch, StartPhase
from domainflow.actors.campaign.progress import resume
from domainflow.actors.effects import Account, Effect, Mark, Open, Shift
from domainflow.store.port import CampaignMark, Ledger, OpenItem

# --- accounting


def test_batches_are_accounted_whatever_order_they_come_in() -> None:
    (event,) = decide(IN_DNS, account(done(3, 7), done(1, 8)))
    assert event == BatchesAccounted(phase=DNS, run=1, batches=(1, 3), items=(1001, 1003), counts=(("resolved", 15),))
    after = of(event, state=IN_DNS).phase(DNS)
    assert (after.frontier, after.ahead, after.accounted, after.names) == (0, (1, 3), 2, 15)
    assert (
        of(BatchesAccounted(phase=DNS, run=1, batches=(0,), items=(1,), counts=()), state=of(event, state=IN_DNS))
        .phase(DNS)
        .frontier
        == 2
    )


def test_a_batch_that_was_accounted_before_is_ignored() -> None:
    given = heard(IN_DNS, account(done(0), done(2)))
    assert decide(given, account(done(0), done(2))) == ()
    assert decide(given, account(done(0), done(1), done(1)))[0] == BatchesAccounted(
        phase=DNS, run=1, batches=(1,), items=(1001,), counts=(("resolved", 10),)
    )


@pytest.mark.parametrize("other", [done(1, phase=GENERATION), done(1, phase=HTTP), done(1, run=2)])
def test_a_batch_of_another_phase_or_run_is_ignored(other: DoneBatch) -> None:
    assert decide(IN_DNS, account(other)) == ()


@pytest.mark.parametrize("status", ["pending", "completed", "cancelled"])
def test_where_no_phase_is_under_way_nothing_is_accounted(status: str) -> None:
    assert decide(LIVES[status], account(done(0, phase=GENERATION))) == ()


@pytest.mark.parametrize("status", ["pausing", "paused", "failed"])
def test_what_was_finished_before_a_pause_or_failure_counts_and_the_status_stays(status: str) -> None:
    after = heard(LIVES[status], account(done(0, 100, phase=GENERATION)))
    assert after.phase(GENERATION).names == 100
    assert after.status == status


# --- the window of open items


def test_a_phase_opens_as_many_batches_as_the_window_holds() -> None:
    opened, told = effects(of(CREATED, *GENERATING), *RESOLVING)
    assert opened == Open(tuple(OpenItem(1, 1, n, 10 * n, 10 * n + 10, parked=False) for n in (0, 1, 2, 3)))
    assert told == TELL_CLAIMER


def test_each_accounted_batch_opens_the_next_one() -> None:
    event = decide(IN_DNS, account(done(2), done(3)))[0]
    assert effects(IN_DNS, event)[:2] == (
        Account((1002, 1003)),
        Open((OpenItem(1, 1, 4, 40, 50, parked=False), OpenItem(1, 1, 5, 50, 60, parked=False))),
    )


def test_while_it_does_not_run_new_batches_are_parked() -> None:
    event = decide(IN_DNS, account(done(0)))[0]
    opened = effects(of(USER_PAUSE, state=IN_DNS), event)[1]
    assert opened == Open((OpenItem(1, 1, 4, 40, 50, parked=True),))


def test_the_last_batch_ends_with_the_last_name() -> None:
    given = of(replace(CREATED, count=95, window=20), *GENERATING)
    opened = effects(given, *RESOLVING)[0]
    assert isinstance(opened, Open)
    assert opened.items[-1] == OpenItem(1, 1, 9, 90, 95, parked=False)


# --- what the ledger, the read model and the others are told


@pytest.mark.parametrize(
    ("status", "event", "expected"),
    [
        ("running", PauseRequested(holder="user", reason=""), (Shift(Ledger.PARK),)),
        ("running", CampaignFailed(reason=""), (Shift(Ledger.PARK),)),
        ("pausing", CampaignResumed(), (Shift(Ledger.UNPARK), TELL_CLAIMER)),
        ("paused", CampaignQueued(), (TELL_ADMISSION,)),
        ("failed", CampaignQueued(), (Shift(Ledger.REVIVE), TELL_ADMISSION)),
        ("running", CampaignCancelled(reason=""), (Shift(Ledger.DROP),)),
        ("paused", CampaignDeleted(), (Shift(Ledger.DROP), Mark(CampaignMark(deleted=True)))),
        ("completed", CampaignArchived(), (Mark(CampaignMark(business_status="archived")),)),
        ("pausing", CampaignPaused(), (TELL_ADMISSION,)),
        ("running", CampaignCompleted(), (TELL_ADMISSION,)),
        ("running", HolderAdded(holder="user", reason=""), ()),
        ("running", PhaseFailed(phase=GENERATION, reason=""), ()),
    ],
)
def test_what_follows_from_an_event(status: str, event: CampaignEvent, expected: tuple[Effect, ...]) -> None:
    assert effects(LIVES[status], event) == expected


def test_what_was_parked_is_ready_again_when_the_campaign_begins_to_run() -> None:
    assert effects(of(CampaignQueued(), state=LIVES["paused"]), CampaignBegun()) == (Shift(Ledger.UNPARK), TELL_CLAIMER)


def test_a_campaign_that_begins_between_two_phases_has_nothing_parked() -> None:
    # It may go on to pause within the same command, and one commit cannot both unpark and park.
    assert effects(heard(WAITING, StartPhase(phase=DNS)), CampaignBegun()) == ()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pending", ()),
        ("queued", (TELL_ADMISSION,)),
        ("running", (TELL_CLAIMER,)),
        ("pausing", (TELL_CLAIMER,)),
        ("paused", ()),
        ("completed", ()),
        ("failed", ()),
        ("cancelled", ()),
    ],
)
def test_what_is_said_again_after_a_restart(status: str, expected: tuple[Effect, ...]) -> None:
    assert resume(LIVES[status]) == expected


def test_accounting_does_not_outlive_the_last_batch() -> None:
    assert ALL_RESOLVED.phase(DNS).accounted == 10
    assert decide(ALL_RESOLVED, account(*(done(n) for n in range(10)))) == ()
