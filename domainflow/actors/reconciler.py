"""The reconciler: compares what should be alive with what is, and acts on the difference; again and again.

Orphaned campaigns get an actor here, items of dead runtimes go back, deleted campaigns lose their rows in slices.
Level-triggered: it remembers nothing, so nothing is missed.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.effects import Wake
from domainflow.errors import Unavailable
from domainflow.store import commands, leases, results, work_items
from domainflow.store.postgres import Postgres
from domainflow.vocabulary import CampaignStatus

MOST_TAKEN_OVER: Final = 100  # a sweep
SLICE_ROWS: Final = 5_000
HOUSEKEEPING_S: Final = 60.0
EXECUTING: Final = frozenset({CampaignStatus.QUEUED, CampaignStatus.RUNNING, CampaignStatus.PAUSING})

_log = structlog.get_logger()


class Actors(NamedTuple):
    """The campaigns' actors of this runtime."""

    activate: Callable[[str], None]  # starts a stream's actor; must not wait
    is_live: Callable[[str], bool]  # whether a stream has one


class Reconciler(Behaviour[object]):
    """One sweep after the other."""

    def __init__(self, store: Postgres, actors: "Actors", *, runtime: str, sweep_s: float, takes_over: bool) -> None:
        """Wire it. `takes_over`: whether orphans are this runtime's to execute."""
        self._store = store
        self._activate, self._is_live = actors.activate, actors.is_live
        self._runtime = runtime
        self._sweep_s = sweep_s
        self._takes_over = takes_over
        self._kept_house_at_s = 0.0

    def on_start(self) -> None:
        self.cell.signal(Wake())

    def on_idle(self) -> None:
        """Sweep; again after a while."""
        try:
            self._sweep()
            if self.cell.clock.monotonic_s() - self._kept_house_at_s > HOUSEKEEPING_S:
                self._keep_house()
        except Unavailable as error:
            _log.warning("reconciler_waits_for_store", error=str(error)[:200])
        self.cell.start_timer("sweep", self._sweep_s, Wake())

    def _sweep(self) -> None:
        with self._store.upkeep() as connection:
            rescued = work_items.rescue(connection, self._runtime)
            orphans = leases.orphans(connection, limit=MOST_TAKEN_OVER) if self._takes_over else []
            held = leases.held(connection, self._runtime)
        idle = [each.stream for each in held if each.status in EXECUTING and not self._is_live(each.stream)]
        if rescued or orphans or idle:
            _log.info("reconciled", rescued=rescued, taken_over=len(orphans), revived=len(idle))
        for stream in (*orphans, *idle):
            self._activate(stream)

    def _keep_house(self) -> None:
        with self._store.upkeep() as connection:
            leases.forget_dead(connection)
            commands.prune(connection)
            doomed = results.deleted_campaign(connection)
            if doomed is not None:
                results.delete_slice(connection, doomed, rows=SLICE_ROWS)
        if doomed is None:
            self._kept_house_at_s = self.cell.clock.monotonic_s()
