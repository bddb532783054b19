"""Work items are claimed by one who lives, the oldest first, and suspects apart. Real Postgres, real threads."""

from collections.abc import Iterator

import pytest
from databases import Database
from durable import SOON_S, Actor, acting, await_gone, emptied, in_thread, migrated, row_lock

from domainflow.store import work_items
from domainflow.store.work_items import LedgerCounts

from ledger import claim, counts, open_work  # isort: skip  # beside this file

__all__ = ["emptied", "migrated"]  # fixtures


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


def test_a_claim_is_the_oldest_ready_items_with_all_that_a_worker_needs(actor: Actor) -> None:
    campaign = open_work(actor, 3)
    first, second = claim(actor, 2)
    assert (first.campaign, first.tenant, first.phase, first.run) == (campaign, "acme", 1, 1)
    assert (first.batch, first.start, first.stop, first.failures, first.losses) == (0, 0, 10, 0, 0)
    assert (second.batch, second.start, second.stop) == (1, 10, 20)
    assert counts(actor, campaign) == LedgerCounts(1, 2, 0, 0, "")


@pytest.mark.parametrize("status", ["pending", "queued", "pausing", "paused", "completed", "failed", "cancelled"])
def test_only_running_campaigns_are_worked_on(actor: Actor, status: str) -> None:
    open_work(actor, status=status)
    assert claim(actor) == []


def test_what_is_to_be_tried_later_is_not_claimed_now(actor: Actor) -> None:
    open_work(actor)
    actor.upkeep.execute("update domainflow.work_item set run_at = now() + interval '1 hour'")
    assert claim(actor) == []


@pytest.mark.parametrize("death", ["session", "lease", "unknown"])
def test_a_runtime_that_is_not_alive_claims_nothing(actor: Actor, emptied: Database, death: str) -> None:
    open_work(actor)
    if death == "session":
        pid = actor.session.info.backend_pid
        actor.die()
        await_gone(emptied.admin_dsn, pid)
    elif death == "lease":
        actor.upkeep.execute("update domainflow.runtime set lease_until = now() - interval '1 second'")
    else:
        actor.upkeep.execute("delete from domainflow.runtime")
    assert claim(actor) == []


def test_two_claimers_never_share_an_item(actor: Actor, other: Actor) -> None:
    open_work(actor, 60)

    def claim_all(claimer: Actor) -> list[int]:
        found: list[int] = []
        while mine := claim(claimer, 3):
            found += [each.id for each in mine]
        return found

    theirs = in_thread(lambda: claim_all(other))
    mine = claim_all(actor)
    both = [*mine, *theirs.result(SOON_S)]  # type: ignore[misc]  # a list
    assert sorted(both) == sorted(actor.see("select id from domainflow.work_item"))
    assert len(set(both)) == 60


def test_an_item_that_another_is_claiming_is_passed_over_without_waiting(actor: Actor, emptied: Database) -> None:
    open_work(actor, 2)
    with row_lock(emptied.admin_dsn, "select 1 from domainflow.work_item where batch = 0 for update"):
        assert [each.batch for each in claim(actor)] == [1]


def test_items_that_must_run_alone_are_claimed_apart_and_come_first(actor: Actor) -> None:
    open_work(actor, 6)
    actor.upkeep.execute("update domainflow.work_item set losses = case batch when 1 then 2 else 3 end where batch > 0")
    claims = work_items.claim(actor.upkeep, actor.runtime, 4, suspects=2)
    assert [each.suspected for each in claims] == [True, True, False, False]
    assert sorted(each.batch for each in claims) == [0, 1, 2, 3]
    assert work_items.claim(actor.upkeep, actor.runtime, 4) == []
    assert [each.batch for each in work_items.claim(actor.upkeep, actor.runtime, 0, suspects=1)] == [4]
