"""Admission: no more campaigns execute than may, and those that nobody can tell anything do not hide the others."""

import time
from functools import partial
from typing import Any

from child import eventually
from databases import Database
from durable import SOON_S, Actor, await_blocked, emptied, migrated, row_lock
from shell_stage import a_campaign, actor, ask, house, lock, types
from stage import Stage, context

from domainflow.actors.admission import Admission
from domainflow.actors.campaign.messages import BeginCampaign, StartCampaign
from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import StartChild
from domainflow.actors.ref import Ref
from domainflow.security.context import system
from domainflow.store import work_items
from domainflow.store.transaction import Kind
from domainflow.store.work_items import Result

__all__ = ["actor", "emptied", "house", "migrated"]  # fixtures

LOOKS = 5


class Finder:
    """Finds these campaigns' actors, and counts how often the first one was looked for."""

    def __init__(self, refs: dict[str, Ref[Any]]) -> None:
        self.refs = refs
        self.first = min(refs)
        self.looks = 0

    def __call__(self, campaign: str) -> Ref[Any] | None:
        self.looks += campaign == self.first
        return self.refs.get(campaign)

    def await_looks(self, number: int) -> None:
        wanted, deadline_s = self.looks + number, time.monotonic() + SOON_S
        while self.looks < wanted:
            assert time.monotonic() < deadline_s, "it looks no more"
            time.sleep(0.005)


def queued(house: Stage) -> tuple[str, Ref[Any]]:
    ref, stream = a_campaign(house)
    ask(ref, StartCampaign())
    return stream.removeprefix("campaign/"), ref


def admit(house: Stage, find: Finder, most_running: int) -> None:
    made = partial(
        Admission,
        house.store,
        find,
        runtime=house.actor.runtime,
        holds_lease=house.ask_lease,
        most_running=most_running,
        tick_s=0.01,
    )
    spec = ChildSpec(name="admission", factory=made, dispatcher="pinned")
    house.find("actors").ask(StartChild(spec), context(system("")), timeout_s=SOON_S)


def test_a_slot_that_was_granted_is_not_granted_again_while_its_commit_is_under_way(
    house: Stage, emptied: Database
) -> None:
    find = Finder(dict((queued(house), queued(house))))
    with row_lock(emptied.admin_dsn, lock(f"campaign/{find.first}")) as blocker:
        admit(house, find, most_running=1)
        await_blocked(emptied.admin_dsn, 1)
        find.await_looks(LOOKS)
        blocker.rollback()
    find.await_looks(LOOKS)
    statuses = {campaign: ask(ref, StartCampaign()).status for campaign, ref in find.refs.items()}
    assert statuses == {campaign: "running" if campaign == find.first else "queued" for campaign in find.refs}


FORGOTTEN = """
insert into domainflow.work_item (campaign, tenant, phase, run, batch, start, stop, state)
select %(campaign)s, 'acme', 0, 1, n, n, n + 1, 2 from generate_series(1, 2000) n;
"""
THEIR_RESULTS = """
insert into domainflow.batch (campaign, tenant, phase, run, batch, start, stop, counts, outcomes)
select %(campaign)s, 'acme', 0, 1, n, n, n + 1, '\\x80', '' from generate_series(1, 2000) n;
"""


def test_what_campaigns_without_an_actor_left_undone_does_not_hide_what_others_have_done(
    house: Stage, actor: Actor
) -> None:
    failed, (live, ref) = a_campaign(house)[1].removeprefix("campaign/"), queued(house)
    for sql in (FORGOTTEN, THEIR_RESULTS):
        actor.upkeep.execute(sql, {"campaign": failed})
    actor.upkeep.execute("update domainflow.head set status = 'failed' where stream = %s", (f"campaign/{failed}",))
    ask(ref, BeginCampaign(), context(system("acme")))
    (claim,) = work_items.claim(actor.upkeep, actor.runtime, 10)
    counts = (("generated", claim.stop - claim.start),)
    with house.store.tenants(Kind.TOOL, "acme") as connection:
        assert work_items.complete(
            connection, Result(item=claim.id, fence=claim.fence, counts=counts, outcomes=b"", hits=())
        )
    find = Finder({live: ref})
    admit(house, find, most_running=1)
    for _ in range(100):
        if accounted := "campaign.batches_accounted" in types(actor, f"campaign/{live}"):
            break
        find.await_looks(1)
    assert accounted


def test_a_runtime_whose_lease_may_be_over_grants_no_slot(house: Stage, actor: Actor) -> None:
    campaign, ref = queued(house)
    find = Finder({campaign: ref})
    house.holds_lease, house.leases_asked = False, 0
    admit(house, find, most_running=1)
    eventually(lambda: house.leases_asked >= LOOKS, "it asks again and again")
    assert (find.looks, types(actor, f"campaign/{campaign}")[-1]) == (0, "campaign.queued")
    house.holds_lease = True
    eventually(lambda: types(actor, f"campaign/{campaign}")[-1] != "campaign.queued", "it is admitted")
