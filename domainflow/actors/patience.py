"""How long one thing after the other is waited for, with one timer for all of them."""

from domainflow.actors.behaviour import BehaviourCell
from domainflow.actors.pending import Overdue


class Patience:
    """Looks after one wait at a time. Its timer outlives a wait: one for each would cost as much as an ask."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since_s: float | None = None
        self._watching = False

    def begin(self, cell: BehaviourCell) -> None:
        """A wait begins; if it ends in time, nobody hears of it. Else `cell` hears `Overdue`, at the latest then."""
        self._since_s = cell.clock.monotonic_s()
        if not self._watching:
            self._watch(cell, self._limit_s)

    def end(self) -> None:
        """It is over."""
        self._since_s = None

    def is_over(self, cell: BehaviourCell) -> bool:
        """Whether it has taken too long; for whoever has heard `Overdue`, which may have been due to an older one."""
        self._watching = False
        if self._since_s is None:
            return False
        left_s = self._since_s + self._limit_s - cell.clock.monotonic_s()
        if left_s > 0:
            self._watch(cell, left_s)
        return left_s <= 0

    def _watch(self, cell: BehaviourCell, delay_s: float) -> None:
        self._watching = True
        cell.start_timer("overdue", delay_s, Overdue())
