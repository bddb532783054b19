"""One owner a campaign: others ask it, follow it at once when it dies, and are safe from it when it was only asleep."""

import signal
from pathlib import Path
from typing import Final, LiteralString

import psycopg
from child import Child, eventually
from durable import row_lock
from unguarded_commit import in_place_of

from domainflow import Runtime
from domainflow.settings import Settings
from domainflow.verify import verify
from domainflow.vocabulary import CampaignStatus, Phase

from members import ALICE, NAMES_EACH, Database, history, is_gapless, owner, spec  # isort: skip  # beside this file

FOLLOWED_S: Final = 2.0  # after the death of an owner, whatever its lease
SHORT_LEASE_S: Final = 2.0
FOREVER_S: Final = 600.0
BOXED: Final[LiteralString] = "select count(*), count(answered_at) from domainflow.command where stream = %s"
LIVE: Final[LiteralString] = "select count(*) from domainflow.live_runtime"
ACCOUNTED: Final[LiteralString] = (
    "select count(*) from domainflow.event where stream = %s and type = 'campaign.batches_accounted'"
)
THEIR_ROW: Final[LiteralString] = "select 1 from domainflow.runtime where id = %s for no key update"
NO_DOUBT: Final = "domainflow.store.presence:Presence.holds_lease=multi.unguarded:lease_without_end"
NO_EPOCH: Final = in_place_of("multi.unguarded")
CLAIMED_BY: Final[LiteralString] = "select count(*) from domainflow.work_item where state = 1 and runtime = %s"


def test_a_campaign_that_another_runtime_holds_is_commanded_through_the_box(database: Database, home: Path) -> None:
    with (
        Child("multi.members:host", dsn=database.dsn, home=str(home), lease_s=FOREVER_S) as host,
        Runtime.open(database.dsn, home=home) as runtime,
    ):
        held_by, campaign = host.wait_line("runtime"), host.wait_line("campaign")
        handle = runtime.as_principal(ALICE).campaign(campaign)
        before = owner(database, campaign)
        ack = handle.pause()

        assert _number(database, BOXED, f"campaign/{campaign}") == (1, 1)
        assert owner(database, campaign) == before
        assert before[0] == held_by
        assert (ack.version, "campaign.pause_requested") in history(database, campaign)
        assert handle.view().held_by is not None
        assert str(host.pid) in str(handle.view().held_by)
        host.finish()


def test_a_campaign_started_by_a_runtime_that_executes_none_is_executed_by_another(
    database: Database, home: Path
) -> None:
    with (
        Runtime.open(database.dsn, home=home) as executing,
        Runtime.open(database.dsn, home=home, campaigns=False, work=False) as asking,
    ):
        handle = asking.as_principal(ALICE).create_campaign(spec(NAMES_EACH, only=Phase.DOMAIN_GENERATION))
        handle.start()

        assert handle.wait(30.0).status is CampaignStatus.COMPLETED
        assert owner(database, handle.id)[0] == executing.id


def test_a_killed_owner_is_followed_within_two_seconds_whatever_its_lease(database: Database, home: Path) -> None:
    with (
        Child("multi.members:host", dsn=database.dsn, home=str(home), lease_s=FOREVER_S) as host,
        Runtime.open(database.dsn, home=home, settings=Settings(lease_s=FOREVER_S)) as runtime,
    ):
        campaign = host.wait_line("campaign")
        stream = f"campaign/{campaign}"
        eventually(lambda: _number(database, ACCOUNTED, stream) > (2,), "its owner works")
        before = owner(database, campaign)
        host.kill9()
        followed_s = eventually(lambda: owner(database, campaign)[0] == runtime.id, "it has a new owner")
        claimed_s = eventually(lambda: _number(database, CLAIMED_BY, runtime.id) > (0,), "its work goes on")

        print(f"followed after {followed_s:.2f} s, working after {followed_s + claimed_s:.2f} s")  # noqa: T201
        assert followed_s <= FOLLOWED_S
        assert owner(database, campaign)[1] > before[1]
        assert is_gapless(history(database, campaign))
        assert [fault.line for fault in verify(runtime.store)] == []


def test_who_slept_past_its_lease_does_nothing_before_it_has_appeared_again(database: Database, home: Path) -> None:
    assert _answers_of_one_that_cannot_appear(database, home) == ["Unavailable", "done"]


def test_it_is_its_own_clock_that_keeps_it_from_it(database: Database, home: Path) -> None:
    assert _answers_of_one_that_cannot_appear(database, home, NO_DOUBT) == ["done"]


# By its own clock it would not even try, if it was slow to appear again: here it never doubts.
def test_an_owner_that_slept_through_a_takeover_can_commit_nothing(database: Database, home: Path) -> None:
    assert _answer_of_a_sleeper(database, home, NO_DOUBT) == "Fenced"


def test_it_is_the_epoch_that_keeps_a_sleeper_from_committing(database: Database, home: Path) -> None:
    assert _answer_of_a_sleeper(database, home, NO_DOUBT, *NO_EPOCH) == "done"


def test_results_of_an_owner_that_slept_through_a_takeover_count_once(database: Database, home: Path) -> None:
    with (
        Child("multi.members:host", dsn=database.dsn, home=str(home), lease_s=SHORT_LEASE_S) as zombie,
        Runtime.open(database.dsn, home=home) as runtime,
    ):
        sleeper, campaign = zombie.wait_line("runtime"), zombie.wait_line("campaign")
        stream = f"campaign/{campaign}"
        eventually(lambda: _number(database, CLAIMED_BY, sleeper) > (0,), "it has work in hand")
        zombie.signal(signal.SIGSTOP)
        eventually(lambda: owner(database, campaign)[0] == runtime.id, "it has a new owner")
        epoch = owner(database, campaign)[1]
        accounted = _number(database, ACCOUNTED, stream)
        eventually(lambda: _number(database, ACCOUNTED, stream) > accounted, "the new owner works")
        zombie.signal(signal.SIGCONT)  # with the results of its workers in its ears
        eventually(lambda: _number(database, CLAIMED_BY, sleeper) > (0,), "it lives again and takes work")
        handle = runtime.as_principal(ALICE).campaign(campaign)
        handle.pause()

        assert handle.wait(30.0).status is CampaignStatus.PAUSED
        assert owner(database, campaign) == (runtime.id, epoch)
        assert is_gapless(history(database, campaign))
        assert [fault.line for fault in verify(runtime.store)] == []
        zombie.finish()


def _answers_of_one_that_cannot_appear(database: Database, home: Path, *patch: str) -> list[str]:
    """Have a process sleep past its lease, and wake where it cannot renew it: its answers until it has done something.

    Nobody takes its campaign over, so that no epoch keeps it from anything.
    """
    with Child(
        "multi.members:sleeper", patch=patch, dsn=database.dsn, home=str(home), lease_s=SHORT_LEASE_S
    ) as sleeper:
        campaign, runtime = sleeper.wait_line("campaign"), sleeper.wait_line("runtime")
        before = history(database, campaign)
        sleeper.signal(signal.SIGSTOP)
        with row_lock(database.admin_dsn, THEIR_ROW, runtime):
            eventually(lambda: _number(database, LIVE) == (0,), "its lease has run out")
            sleeper.signal(signal.SIGCONT)
            sleeper.tell("pause")
            answers = [sleeper.wait_line("answer")]
            assert (history(database, campaign) == before) == (answers == ["Unavailable"])
        while answers[-1] != "done":
            sleeper.tell("pause")
            if (answer := sleeper.wait_line("answer")) != answers[-1]:
                answers.append(answer)
        sleeper.finish()
    return answers


def _answer_of_a_sleeper(database: Database, home: Path, *patch: str) -> str:
    """Take a campaign over from an owner that sleeps, wake it and have it command its own actor; its answer."""
    with (
        Child("multi.members:sleeper", patch=patch, dsn=database.dsn, home=str(home), lease_s=SHORT_LEASE_S) as zombie,
        Runtime.open(database.dsn, home=home, work=False) as runtime,
    ):
        campaign = zombie.wait_line("campaign")
        before = history(database, campaign)
        zombie.signal(signal.SIGSTOP)
        eventually(lambda: _number(database, LIVE) == (1,), "its lease has run out")
        # It is paused already: the takeover moves no version, so that nothing but the epoch tells the zombie apart.
        ack = runtime.as_principal(ALICE).campaign(campaign).pause()
        new_owner = owner(database, campaign)
        zombie.tell("pause")
        zombie.signal(signal.SIGCONT)
        answer = zombie.wait_line("answer")

        assert ack.version == len(before)
        assert new_owner[0] == runtime.id
        assert owner(database, campaign) == new_owner
        assert (history(database, campaign) == before) == (answer == "Fenced")
        assert [fault.line for fault in verify(runtime.store)] == []
        zombie.finish()
    return answer


def _number(database: Database, query: LiteralString, *values: str) -> tuple[int, ...]:
    with psycopg.connect(database.admin_dsn) as connection:
        row = connection.execute(query, values or None).fetchone()
    assert row is not None
    return tuple(row)
