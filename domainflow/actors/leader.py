"""The leader of the upkeep: of all runtimes one at a time does what need not be done twice. Pinned, for it waits.

What somebody waits for (orphans, items of the dead) is no chore of its: a leader that is slow or gone strands nobody.
"""

from typing import ClassVar, Final

import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.effects import Wake
from domainflow.errors import DomainFlowError, Unavailable
from domainflow.store import commands, leaders, leases, results
from domainflow.store.leaders import Term
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

UPKEEP: Final = "upkeep"
TERM_S: Final = 10.0
RENEWALS_A_TERM: Final = 3
CHORES_S: Final = 60.0
# Each does a slice, in a transaction of its own, and says whether there may be more.
CHORES: Final = (leases.forget_dead, commands.prune, results.delete_deleted)

_log = structlog.get_logger()


class Leader(Behaviour[object]):
    """Holds the term, or waits for it."""

    blocks: ClassVar[bool] = True

    def __init__(self, store: Postgres, *, runtime: str) -> None:
        """Wire it."""
        self._store = store
        self._runtime = runtime
        self._next_chores_s = 0.0

    def on_start(self) -> None:
        self.cell.signal(Wake())

    def on_idle(self) -> None:
        """Lead for another while; at once, where a chore is not done yet."""
        wait_s = TERM_S / RENEWALS_A_TERM
        try:
            if self._lead():
                wait_s = 0.0
        except Unavailable as error:
            _log.warning("leader_waits_for_store", error=str(error)[:200])
        self.cell.start_timer("tick", wait_s, Wake())

    def _lead(self) -> bool:
        """Begin a term or go on with it; do the chores when they are due. True: there is more to do."""
        with self._store.upkeep(Kind.UPKEEP) as connection:
            term = leaders.hold(connection, UPKEEP, self._runtime, term_s=TERM_S)
        now_s = self.cell.clock.monotonic_s()
        if term is None or now_s < self._next_chores_s:
            return False
        if self._do_chores(term):
            return True
        self._next_chores_s = now_s + CHORES_S
        return False

    def _do_chores(self, term: Term) -> bool:
        """Do a slice of each; one that fails keeps none of the others waiting."""
        more = False
        for chore in CHORES:
            try:
                with self._store.upkeep(Kind.UPKEEP) as connection:
                    if not leaders.holds(connection, term):  # and if so, until the slice is committed
                        return True
                    more |= chore(connection)
            except DomainFlowError as error:
                _log.error("chore_failed", chore=chore.__name__, error=str(error)[:200])
        return more
