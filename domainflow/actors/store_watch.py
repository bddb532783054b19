"""The watch of the store: ends transactions of this process that take longer than their kind may.

Since version 17 Postgres ends them too; before, this alone does. Nobody else hears where the slow one was opened.
"""

from typing import ClassVar

import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.effects import Wake
from domainflow.meters import METERS
from domainflow.store import open_transactions
from domainflow.store.open_transactions import Open

TICK_S = 0.25

_log = structlog.get_logger()


class StoreWatch(Behaviour[object]):
    """Looks again and again; what is overdue is cancelled, and cut off if that has not ended it by the next look."""

    blocks: ClassVar[bool] = True

    def __init__(self) -> None:
        self._cancelled: tuple[Open, ...] = ()

    def on_start(self) -> None:
        self.cell.signal(Wake())

    def on_idle(self) -> None:
        """Look; again after a tick."""
        now_s = self.cell.clock.monotonic_s()
        overdue = open_transactions.overdue(now_s)
        for each in overdue:
            if each in self._cancelled:
                open_transactions.cut(each)
            else:
                self._cancel(each, now_s)
        self._cancelled = overdue
        self.cell.start_timer("tick", TICK_S, Wake())

    def _cancel(self, late: Open, now_s: float) -> None:
        age_s = round(late.age_s(now_s), 3)
        _log.error("transaction_overdue", kind=late.kind, thread=late.thread, age_s=age_s, where=late.where)
        METERS.count("transactions_overdue", late.kind)
        open_transactions.cancel(late)
