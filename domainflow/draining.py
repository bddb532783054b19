"""How a pause takes hold where no runtime would see it through: whoever commanded it accounts what is done.

For a runtime that owns the campaign for the length of a command and executes none. Elsewhere `admission` does this.
"""

import time

from domainflow.actors.campaign.actor import campaign_of
from domainflow.actors.campaign.messages import AccountBatches, CampaignReport, DoneBatch, ObserveLedger
from domainflow.actors.rules import Ack
from domainflow.security.context import Context, system
from domainflow.store import work_items
from domainflow.store.transaction import Kind
from domainflow.store.work_items import NO_ITEMS
from domainflow.tree import Parts
from domainflow.vocabulary import PHASES


def drain(parts: Parts, stream: str, context: Context, *, deadline_s: float) -> Ack | None:
    """Account what is done of a campaign that lives here, and tell it what is in hand: `paused`, if that is nothing.

    Work in hand of runtimes that died is put back first; what a live one has in hand keeps it `pausing`. Returns where
    the campaign stands then; None: it does not live here. Raises Unavailable, Conflict; the pause stands all the same.
    """
    campaign = campaign_of(stream)
    ref = parts.find_campaign(campaign)
    if ref is None:
        return None
    reporter = Context(principal=system(context.principal.tenant), correlation_id=context.correlation_id)
    before: object = None
    while True:
        report = _report(parts, campaign, deadline_s)
        answer = ref.ask(report, reporter, timeout_s=deadline_s - time.monotonic())
        assert isinstance(answer, Ack)  # noqa: S101 - campaigns answer reports with nothing else
        if isinstance(report, ObserveLedger) or answer == before:  # what it does not account now it never will
            return answer
        before = answer


def _report(parts: Parts, campaign: str, deadline_s: float) -> CampaignReport:
    parts.store.rescue(parts.runtime)
    with parts.store.upkeep(Kind.LEDGER, timeout_s=deadline_s - time.monotonic()) as connection:
        done = work_items.done(connection, [campaign]).get(campaign, [])
        counts = work_items.ledger(connection, [campaign]).get(campaign, NO_ITEMS)
    if done:
        batches = (DoneBatch(one.item, PHASES[one.phase], one.run, one.batch, one.counts) for one in done)
        return AccountBatches(done=tuple(batches))
    return ObserveLedger(
        ready=counts.ready, claimed=counts.claimed, done=counts.done, dead=counts.dead, reason=counts.dead_reason
    )
