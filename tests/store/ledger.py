"""What the tests of the ledger share: campaigns with work, and one who claims and finishes it."""

from both import Both
from durable import item, new_uuid

from domainflow.store.port import OpenItem
from domainflow.store.work_items import Claim, LedgerCounts, Result

COUNTS = (("resolved", 7), ("unresolved", 3))


def open_work(actor: Both, batches: int = 1, status: str = "running") -> str:
    """A campaign with so many ready items of 10 positions each."""
    campaign = new_uuid()
    opens = tuple(OpenItem(1, 1, n, 10 * n, 10 * n + 10, parked=False) for n in range(batches))
    actor.commit(item(f"campaign/{campaign}", epoch=1, status=status, campaign=campaign, opens=opens))
    return campaign


def claim(actor: Both, limit: int = 100) -> list[Claim]:
    return actor.work_items.claim(actor.upkeep, actor.runtime, limit, suspects=limit)


def claim_one(actor: Both) -> Claim:
    (only,) = claim(actor)
    return only


def result(claimed: Claim, fence: int | None = None) -> Result:
    hits = ((claimed.start + 1, b"hit"), (claimed.start + 2, b"other"))
    return Result(
        item=claimed.id, fence=claimed.fence if fence is None else fence, counts=COUNTS, outcomes=b"v", hits=hits
    )


def complete(actor: Both, result_: Result) -> bool:
    return actor.complete(result_)


def counts(actor: Both, campaign: str) -> LedgerCounts | None:
    return actor.work_items.ledger(actor.upkeep, [campaign]).get(campaign)


def again_at_once(actor: Both) -> None:
    actor.make_due()
