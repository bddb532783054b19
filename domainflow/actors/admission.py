"""Admission and accounting: who may begin, what is done, what the ledger says; for the campaigns this runtime holds.

Level-triggered: at each tick it compares ledger and campaigns and tells them the difference. A hint that is lost
costs a tick; a report that is heard twice is refused by the ledger.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.campaign.actor import campaign_of
from domainflow.actors.campaign.messages import AccountBatches, BeginCampaign, CampaignReport, DoneBatch, ObserveLedger
from domainflow.actors.effects import Wake
from domainflow.actors.ref import Ref
from domainflow.actors.signals import Answer
from domainflow.errors import Unavailable
from domainflow.ids import new_id
from domainflow.security.context import Context, system
from domainflow.store import leases, work_items
from domainflow.store.leases import Held
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind
from domainflow.store.work_items import NO_ITEMS, Done, LedgerCounts
from domainflow.vocabulary import PHASES, CampaignStatus

REPORT_S: Final = 30.0
EXECUTING: Final = frozenset({CampaignStatus.RUNNING, CampaignStatus.PAUSING})

_log = structlog.get_logger()

FindCampaign = Callable[[str], Ref[CampaignReport] | None]  # by uuid; None: no actor of it lives here


class Admission(Behaviour[object]):
    """Looks at the ledger for all campaigns of this runtime at once."""

    blocks: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913 - what admission needs, from three sides
        self,
        store: Postgres,
        find: FindCampaign,
        *,
        runtime: str,
        holds_lease: Callable[[], bool],
        most_running: int,
        tick_s: float,
    ) -> None:
        """Wire it.

        Args:
            store: where the ledger is.
            find: the campaigns' actors.
            runtime: whose campaigns these are.
            holds_lease: whether it still counts as alive; one that may not tells its campaigns nothing.
            most_running: campaigns that execute at once here.
            tick_s: between two looks.
        """
        self._store = store
        self._find = find
        self._runtime = runtime
        self._holds_lease = holds_lease
        self._most_running = most_running
        self._tick_s = tick_s
        self._reported: set[str] = set()  # campaigns that have a report to answer

    def on_start(self) -> None:
        self.cell.signal(Wake())

    def on_signal(self, signal: object) -> None:
        if isinstance(signal, Answer):
            self._reported.discard(str(signal.token))
            if signal.error is not None:
                _log.info("report_refused", campaign=signal.token, error=str(signal.error))

    def on_idle(self) -> None:
        """Look; again after a tick."""
        try:
            if self._holds_lease():
                self._look()
        except Unavailable as error:
            _log.warning("admission_waits_for_store", error=str(error)[:200])
        self.cell.start_timer("tick", self._tick_s, Wake())

    def _look(self) -> None:
        with self._store.upkeep(Kind.LEDGER) as connection:
            held = leases.held(connection, self._runtime)
            # Of those whose actor has ended nobody takes a report, and there may be thousands of them.
            campaigns = [campaign for each in held if self._find(campaign := campaign_of(each.stream)) is not None]
            done = work_items.done(connection, campaigns) if campaigns else {}
            ledger = work_items.ledger(connection, campaigns) if campaigns else {}
        self._admit(held)
        for each in held:
            campaign = campaign_of(each.stream)
            if campaign in done:
                self._report(each, AccountBatches(done=tuple(map(_done_batch, done[campaign]))))
            elif each.status in EXECUTING:
                self._observe(each, ledger.get(campaign, NO_ITEMS))

    def _admit(self, held: Sequence[Held]) -> None:
        running = sum(each.status in EXECUTING or self._is_beginning(each) for each in held)
        for each in held:
            if each.status == CampaignStatus.QUEUED and running < self._most_running:
                running += self._report(each, BeginCampaign())

    def _is_beginning(self, held: Held) -> bool:
        """Whether it has been given a slot and the store does not show it yet."""
        return held.status == CampaignStatus.QUEUED and campaign_of(held.stream) in self._reported

    def _observe(self, held: Held, counts: LedgerCounts) -> None:
        drained = held.status == CampaignStatus.PAUSING and counts.claimed == 0 and counts.done == 0
        if drained or counts.dead:
            report = ObserveLedger(
                ready=counts.ready,
                claimed=counts.claimed,
                done=counts.done,
                dead=counts.dead,
                reason=counts.dead_reason,
            )
            self._report(held, report)

    def _report(self, held: Held, report: CampaignReport) -> bool:
        """Tell a campaign, unless it still has the last report to answer."""
        campaign = campaign_of(held.stream)
        ref = self._find(campaign)
        if ref is None or campaign in self._reported:
            return False
        context = Context(principal=system(held.tenant), correlation_id=new_id())
        self.cell.request(ref, report, context, token=campaign, timeout_s=REPORT_S)
        self._reported.add(campaign)
        return True


def _done_batch(done: Done) -> DoneBatch:
    return DoneBatch(done.item, PHASES[done.phase], done.run, done.batch, done.counts)
