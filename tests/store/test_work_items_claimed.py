"""Work items are claimed by one who lives, the oldest first, and suspects apart. Both stores; real threads."""

import pytest
from both import Both, actor, joined, on_postgres, other
from databases import Database
from durable import SOON_S, emptied, in_thread, migrated, row_lock

from domainflow.store.work_items import LedgerCounts

from ledger import claim, claim_one, counts, open_work  # isort: skip  # beside this file

__all__ = ["actor", "emptied", "joined", "migrated", "other"]  # fixtures


def test_a_claim_is_the_oldest_ready_items_with_all_that_a_worker_needs(actor: Both) -> None:
    campaign = open_work(actor, 3)
    first, second = claim(actor, 2)
    assert (first.campaign, first.tenant, first.phase, first.run) == (campaign, "acme", 1, 1)
    assert (first.batch, first.start, first.stop, first.failures, first.losses) == (0, 0, 10, 0, 0)
    assert (second.batch, second.start, second.stop) == (1, 10, 20)
    assert counts(actor, campaign) == LedgerCounts(1, 2, 0, 0, "")


@pytest.mark.parametrize("status", ["pending", "queued", "pausing", "paused", "completed", "failed", "cancelled"])
def test_only_running_campaigns_are_worked_on(actor: Both, status: str) -> None:
    open_work(actor, status=status)
    assert claim(actor) == []


def test_what_is_to_be_tried_later_is_not_claimed_now(actor: Both) -> None:
    open_work(actor)
    claimed = claim_one(actor)
    actor.work_items.put_off(actor.upkeep, claimed.id, claimed.fence, reason="later", delay_s=3600)
    assert claim(actor) == []


@pytest.mark.parametrize("death", ["session", "lease", "unknown"])
def test_a_runtime_that_is_not_alive_claims_nothing(actor: Both, death: str) -> None:
    open_work(actor)
    if death == "session":
        actor.die()
    elif death == "lease":
        actor.expire()
    else:
        actor.leases.unregister(actor.upkeep, actor.runtime)
    assert claim(actor) == []


def test_two_claimers_never_share_an_item(actor: Both, other: Both) -> None:
    open_work(actor, 60)

    def claim_all(claimer: Both) -> list[int]:
        found: list[int] = []
        while mine := claim(claimer, 3):
            found += [each.id for each in mine]
        return found

    theirs = in_thread(lambda: claim_all(other))
    mine = claim_all(actor)
    both = [*mine, *theirs.result(SOON_S)]  # type: ignore[misc]  # a list
    assert sorted(both) == sorted(actor.item_ids())
    assert len(set(both)) == 60


@on_postgres
def test_an_item_that_another_is_claiming_is_passed_over_without_waiting(actor: Both, emptied: Database) -> None:
    open_work(actor, 2)
    with row_lock(emptied.admin_dsn, "select 1 from domainflow.work_item where batch = 0 for update"):
        assert [each.batch for each in claim(actor)] == [1]


def test_items_that_must_run_alone_are_claimed_apart_and_come_first(actor: Both) -> None:
    open_work(actor, 6)
    for losses in range(3):
        for each in claim(actor):
            if each.batch == 0 or (each.batch == 1 and losses == 2):
                actor.work_items.unclaim(actor.upkeep, each.id, each.fence)
            else:
                actor.work_items.return_lost(actor.upkeep, each.id, each.fence, alone=False)
    claims = actor.work_items.claim(actor.upkeep, actor.runtime, 4, suspects=2)
    assert [each.suspected for each in claims] == [True, True, False, False]
    assert sorted(each.batch for each in claims) == [0, 1, 2, 3]
    assert actor.work_items.claim(actor.upkeep, actor.runtime, 4) == []
    assert [each.batch for each in actor.work_items.claim(actor.upkeep, actor.runtime, 0, suspects=1)] == [4]
