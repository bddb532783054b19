"""Work items: finished under a fence, returned or given up by rules. Both stores; real threads."""

import pytest
from both import Both, actor, joined, on_postgres, other
from databases import Database
from durable import SOON_S, acting, await_blocked, emptied, in_thread, migrated, new_uuid
from msgspec.structs import replace
from psycopg import OperationalError
from stage import nothing_to_revive

from domainflow.store import results, work_items
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind, transaction
from domainflow.store.work_items import Done, Failure, LedgerCounts, Unstorable

from ledger import COUNTS, again_at_once, claim, claim_one, complete, counts, open_work, result  # isort: skip  # beside this file

__all__ = ["actor", "emptied", "joined", "migrated", "other"]  # fixtures


# --- finishing


def test_a_finished_item_has_its_result_and_waits_to_be_accounted(actor: Both) -> None:
    campaign = open_work(actor)
    claimed = claim_one(actor)
    assert complete(actor, result(claimed))
    assert actor.work_items.done(actor.upkeep, [campaign]) == {campaign: [Done(claimed.id, 1, 1, 0, COUNTS)]}
    assert counts(actor, campaign) == LedgerCounts(0, 0, 1, 0, "")
    run = results.Run(campaign, 1, 1)
    (stored,) = actor.results.batches(actor.upkeep, run)
    assert (stored.batch, stored.start, stored.stop, stored.outcomes) == (0, 0, 10, b"v")
    assert actor.results.hits(actor.upkeep, run, 0, 10) == [(1, b"hit"), (2, b"other")]
    assert actor.results.hits(actor.upkeep, run, 2, 10) == [(2, b"other")]


def test_a_zombies_result_is_refused_and_leaves_nothing(actor: Both) -> None:
    campaign = open_work(actor)
    zombie = claim_one(actor)
    actor.work_items.unclaim(actor.upkeep, zombie.id, zombie.fence)
    assert not complete(actor, result(zombie))  # it is ready
    successor = claim_one(actor)
    assert not complete(actor, result(zombie))  # it is somebody else's
    assert complete(actor, result(successor))
    assert not complete(actor, result(successor))  # it is done
    assert len(actor.rows("batches")["batches"]) == 1
    assert len(actor.work_items.done(actor.upkeep, [campaign])[campaign]) == 1


def test_a_result_of_a_cancelled_campaign_never_lands(actor: Both) -> None:
    campaign = open_work(actor)
    claimed = claim_one(actor)
    actor.drop(campaign)
    assert not complete(actor, result(claimed))
    assert actor.rows("batches") == {"batches": []}
    assert counts(actor, campaign) is None


@on_postgres
def test_a_result_that_lands_while_its_campaign_is_being_cancelled_goes_with_it(actor: Both, emptied: Database) -> None:
    campaign = open_work(actor)
    claimed = claim_one(actor)

    with acting(emptied.dsn) as worker, transaction(worker.app, Kind.TOOL, tenants=["acme"]):
        assert work_items.complete(worker.app, result(claimed))
        cancelling = in_thread(lambda: actor.drop(campaign))
        await_blocked(emptied.admin_dsn, 1)
    cancelling.result(SOON_S)
    assert actor.see("select count(*) from domainflow.batch") == [0]
    assert actor.see("select count(*) from domainflow.hit") == [0]


@on_postgres
def test_a_result_that_cannot_be_stored_takes_no_other_with_it(actor: Both) -> None:
    campaign = open_work(actor, 3)
    first, second, zombie = claim(actor)
    actor.work_items.unclaim(actor.upkeep, zombie.id, zombie.fence)
    twice = replace(result(first), hits=((first.start, b"hit"), (first.start, b"again")))
    beyond = replace(result(second), hits=((1 << 63, b"hit"),))
    store = Postgres(lambda: actor.dsn, revive=nothing_to_revive, connections=1)
    try:
        stored = store.store_results([twice, beyond, result(second), result(zombie)], ["acme"] * 4)
    finally:
        store.close()
    assert stored == [Unstorable("UniqueViolation"), Unstorable("NumericValueOutOfRange"), True, False]
    assert counts(actor, campaign) == LedgerCounts(1, 1, 1, 0, "")
    assert actor.see("select batch from domainflow.batch") == [second.batch]
    assert actor.see("select count(*) from domainflow.hit") == [2]


@on_postgres
def test_a_lost_connection_is_no_fault_of_the_results(actor: Both) -> None:
    open_work(actor)
    claimed = claim_one(actor)
    actor.app.close()
    with pytest.raises(OperationalError):
        work_items.complete_each(actor.app, [result(claimed)])


def test_what_is_held_and_no_longer_claimed_is_unwanted(actor: Both, other: Both) -> None:
    wanted, cancelled = open_work(actor, 4), open_work(actor)
    mine = {(each.campaign, each.batch): each for each in claim(actor)}
    rescued, again, done = (mine[wanted, batch] for batch in (1, 2, 3))
    actor.drop(cancelled)
    for each in (rescued, again):
        actor.work_items.unclaim(actor.upkeep, each.id, each.fence)
    assert len(claim(other)) == 2
    actor.work_items.give_back(actor.upkeep, other.runtime, but=[rescued.id])
    assert [each.id for each in claim(actor)] == [again.id]
    complete(actor, result(done))
    unwanted = actor.work_items.unwanted(actor.upkeep, list(mine.values()))
    assert sorted(unwanted) == sorted([mine[cancelled, 0].id, rescued.id, again.id, done.id])
    assert actor.work_items.unwanted(actor.upkeep, []) == []


@on_postgres
@pytest.mark.parametrize("status", ["pausing", "failed"])
def test_what_a_paused_or_failed_campaign_has_in_hand_is_wanted_still(actor: Both, status: str) -> None:
    campaign = open_work(actor)
    claimed = claim_one(actor)
    actor.upkeep.execute("update domainflow.head set status = %s where stream = %s", (status, f"campaign/{campaign}"))
    assert actor.work_items.unwanted(actor.upkeep, [claimed]) == []


# --- failing


def test_a_failed_item_comes_back_after_its_delay_until_its_retries_are_used_up(actor: Both) -> None:
    campaign = open_work(actor)
    for attempt in range(3):
        claimed = claim_one(actor)
        assert claimed.failures == attempt
        actor.work_items.fail(
            actor.upkeep, claimed.id, claimed.fence, Failure(reason=f"try {attempt}", retries=2, delay_s=3600)
        )
        assert claim(actor) == []
        again_at_once(actor)
    assert counts(actor, campaign) == LedgerCounts(0, 0, 0, 1, "try 2")
    assert claim(actor) == []


def test_a_failure_under_an_old_fence_counts_nothing(actor: Both) -> None:
    campaign = open_work(actor)
    claimed = claim_one(actor)
    actor.work_items.fail(actor.upkeep, claimed.id, claimed.fence - 1, Failure(reason="late", retries=0, delay_s=0))
    assert counts(actor, campaign) == LedgerCounts(0, 1, 0, 0, "")


def test_what_the_host_lacks_puts_an_item_off_and_uses_up_no_retry(actor: Both) -> None:
    open_work(actor)
    for _ in range(5):
        claimed = claim_one(actor)
        actor.work_items.put_off(
            actor.upkeep, claimed.id, claimed.fence - 1, reason="late", delay_s=0
        )  # a zombie's word
        actor.work_items.put_off(actor.upkeep, claimed.id, claimed.fence, reason="no lab", delay_s=3600)
        assert claim(actor) == []
        again_at_once(actor)
    assert claim_one(actor).failures == 0


# --- losing


def test_a_lost_worker_counts_as_no_failure(actor: Both) -> None:
    open_work(actor)
    for losses in range(5):
        claimed = claim_one(actor)
        assert (claimed.failures, claimed.losses) == (0, losses)
        actor.work_items.return_lost(actor.upkeep, claimed.id, claimed.fence, alone=False)


def test_an_item_that_was_lost_ten_times_on_its_own_is_poison(actor: Both) -> None:
    campaign = open_work(actor)
    for alone in (True, False, *[True] * 9):
        claimed = claim_one(actor)
        actor.work_items.return_lost(actor.upkeep, claimed.id, claimed.fence, alone=alone)
    assert counts(actor, campaign) == LedgerCounts(0, 0, 0, 1, "poison: its worker died each time")


def test_items_of_dead_runtimes_are_put_back_and_count_nothing(actor: Both, other: Both) -> None:
    open_work(actor, 3)
    (mine,), (theirs,) = claim(actor, 1), claim(other, 1)
    assert actor.work_items.rescue(actor.upkeep, actor.runtime) == 0  # both live
    other.die()
    assert actor.work_items.rescue(actor.upkeep, actor.runtime) == 1
    again = {each.id: each for each in claim(actor)}
    assert (again[theirs.id].failures, again[theirs.id].losses) == (0, 0)
    assert mine.id not in again
    assert not complete(other, result(theirs))  # its former holder is a zombie


def test_a_runtime_that_ends_in_order_gives_back_what_it_does_not_work_on(actor: Both) -> None:
    open_work(actor, 2)
    first, second = claim(actor)
    actor.work_items.give_back(actor.upkeep, actor.runtime, but=[second.id])
    assert [each.id for each in claim(actor)] == [first.id]


# --- looking


def test_done_and_ledger_speak_only_of_the_campaigns_they_were_asked_about(actor: Both) -> None:
    mine, theirs = open_work(actor, 3), open_work(actor, 1)
    for claimed in claim(actor, 2):
        complete(actor, result(claimed))
    assert [done.batch for done in actor.work_items.done(actor.upkeep, [mine])[mine]] == [0, 1]
    assert actor.work_items.ledger(actor.upkeep, [mine]) == {mine: LedgerCounts(1, 0, 2, 0, "")}
    assert set(actor.work_items.ledger(actor.upkeep, [mine, theirs, new_uuid()])) == {mine, theirs}
    assert actor.work_items.done(actor.upkeep, [theirs]) == {}


def test_batches_are_read_page_by_page_in_order(actor: Both) -> None:
    campaign = open_work(actor, 7)
    for claimed in reversed(claim(actor)):
        complete(actor, result(claimed))
    run = results.Run(campaign, 1, 1)
    assert [stored.start for stored in actor.results.batches(actor.upkeep, run, page=3)] == [0, 10, 20, 30, 40, 50, 60]


@on_postgres
def test_a_deleted_campaigns_results_go_in_slices(actor: Both) -> None:
    campaign = open_work(actor, 3)
    for claimed in claim(actor):
        complete(actor, result(claimed))
    assert results.deleted_campaign(actor.upkeep) is None
    actor.upkeep.execute("reset role")
    slices = 0
    with acting(actor.dsn) as upkeep:
        while results.delete_slice(upkeep.upkeep, campaign, rows=2):
            slices += 1
            assert slices < 10
        assert upkeep.see("select count(*) from domainflow.batch") == [0]
        assert upkeep.see("select count(*) from domainflow.hit") == [0]
    assert slices == 5  # six hits, three batches, two at a time
