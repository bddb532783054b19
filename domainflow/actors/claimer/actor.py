"""The claimer actor: as many items in hand as the engine has slots, results stored under their fences.

Pinned, since it waits for Postgres. What it holds in memory is in the ledger too: whatever it forgets, the fence of
the item tells apart from what was done.
"""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final, TypeAlias

import msgspec
import structlog
from msgspec import Struct

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.claimer.specs import Running, SpecMaker
from domainflow.actors.effects import Wake
from domainflow.backoff import delay_s
from domainflow.engines.local import LocalEngine
from domainflow.engines.port import LostWorker
from domainflow.errors import Corrupt, DomainFlowError, NotFound, StoreUnavailable, Unavailable, WrittenByNewer
from domainflow.store import work_items
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind
from domainflow.store.work_items import Claim, Result, Unstorable
from domainflow.work.port import BatchFailure, BatchResult

STOP_S: Final = 3.0
PUT_OFF_S: Final = 5.0  # before what this host lacked is looked for again

_log = structlog.get_logger()


EngineFactory: TypeAlias = Callable[[Callable[[object], None]], LocalEngine]


class Tick(Struct, frozen=True):
    """Time to look, hint or not."""


class Claimer(Behaviour[object]):
    """Hands out work and takes in results."""

    blocks: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913 - what a claim needs, from four sides
        self,
        store: Postgres,
        engine: EngineFactory,
        *,
        runtime: str,
        holds_lease: Callable[[], bool],
        home: Path,
        tick_s: float,
    ) -> None:
        """`engine` makes an engine, given whom to tell what comes back (called on the engine's thread).

        `holds_lease`: whether `runtime` still counts as alive; from one that may not, claims would be taken at once.
        """
        self._store = store
        self._runtime = runtime
        self._holds_lease = holds_lease
        self._tick_s = tick_s
        self._specs = SpecMaker(store, home)
        self._running: dict[int, Running] = {}
        self._came: list[BatchResult] = []
        self._ended: list[BatchFailure | LostWorker] = []
        self._make_engine = engine
        self._engine: LocalEngine | None = None
        # The store may hold claims of ours that we never heard of or did not hand out: at first a former claimer's.
        self._in_doubt = True
        self._tick_is_due = True

    def on_start(self) -> None:
        self._engine = self._make_engine(self.cell.ref.signal)
        self._engine.start()
        self.cell.signal(Wake())

    def on_signal(self, signal: object) -> None:
        match signal:
            case BatchResult():
                self._came.append(signal)
            case BatchFailure() | LostWorker():
                self._ended.append(signal)
            case Tick():
                self._tick_is_due = True
            case _:
                pass

    def on_idle(self) -> None:
        """Store what came, then claim for what is free; again after a tick, hint or not."""
        try:
            self._store_results()
            self._settle_ended()
            if self._tick_is_due:
                self._cancel_unwanted()
            self._claim()
        except Unavailable as error:
            _log.warning("claimer_waits_for_store", error=str(error)[:200])
            self._in_doubt = True
        if self._tick_is_due:
            self._tick_is_due = False
            self.cell.start_timer("tick", self._tick_s, Tick())

    def on_stop(self) -> None:
        if self._engine is not None:
            self._engine.stop(STOP_S)

    # --- in

    def _store_results(self) -> None:
        wanted = [(came, running) for came in self._came if (running := self._held(came.item, came.fence)) is not None]
        if not wanted:
            self._came.clear()
            return
        results = [_result(came) for came, _ in wanted]
        stored = self._store.store_results(results, [running.claim.tenant for _, running in wanted])
        self._came.clear()
        for (came, running), what in zip(wanted, stored, strict=True):
            if isinstance(what, Unstorable):
                reason = f"its result cannot be stored: {what.kind}"
                self._ended.append(BatchFailure(item=came.item, fence=came.fence, reason=reason))
                continue
            if not what:
                _log.info("result_refused", item=came.item, campaign=running.claim.campaign)
                self._in_doubt = True  # it was rescued from us, and may be claimed again without our knowing
            del self._running[came.item]

    def _settle_ended(self) -> None:
        while self._ended:
            match self._ended[0]:
                case BatchFailure() as failure:
                    self._fail(failure)
                case LostWorker() as lost:
                    self._lose(lost)
            del self._ended[0]

    def _fail(self, failure: BatchFailure) -> None:
        running = self._held(failure.item, failure.fence)
        if running is None:
            return
        claim = running.claim
        _log.warning(
            "batch_failed", item=claim.id, campaign=claim.campaign, attempt=claim.failures + 1, reason=failure.reason
        )
        self._return(claim, failure.reason, retries=running.retries)
        del self._running[claim.id]

    def _return(self, claim: Claim, reason: str, *, retries: int) -> None:
        failed = work_items.Failure(
            reason=reason, retries=retries, delay_s=delay_s(claim.failures + 1, self.cell.environment.chance())
        )
        with self._store.upkeep(Kind.CLAIM) as connection:
            work_items.fail(connection, claim.id, claim.fence, failed)

    def _lose(self, lost: LostWorker) -> None:
        with self._store.upkeep(Kind.CLAIM) as connection:
            for item, fence in lost.items:
                work_items.return_lost(connection, item, fence, alone=len(lost.items) == 1)
        for item, fence in lost.items:
            if self._held(item, fence) is not None:
                del self._running[item]

    def _held(self, item: int, fence: int) -> Running | None:
        """What runs under this claim; None: it was another claim of the item, given back meanwhile or rescued."""
        running = self._running.get(item)
        return running if running is not None and running.claim.fence == fence else None

    # --- out

    def _cancel_unwanted(self) -> None:
        """End what runs for nobody: its campaign was cancelled or deleted, or it was rescued from us.

        A pause, or the failure of another batch, leaves the claim: what is in hand then is finished and counts.
        """
        if self._engine is None or not self._running:
            return
        held = [running.claim for running in self._running.values()]
        with self._store.upkeep(Kind.CLAIM) as connection:
            unwanted = work_items.unwanted(connection, held)
        for item in unwanted:
            _log.info("batch_cancelled", item=item, campaign=self._running[item].claim.campaign)
            self._engine.cancel(item)
            del self._running[item]
            self._in_doubt = True  # as when a result is refused

    def _claim(self) -> None:
        engine = self._engine
        if engine is None:
            return
        free, suspects = engine.free(), engine.free(alone=True)
        if not (free or suspects) or not self._holds_lease():
            return
        if self._in_doubt:
            self._store.give_back(self._runtime, but=list(self._running))
        with self._store.upkeep(Kind.CLAIM) as connection:
            claims = work_items.claim(connection, self._runtime, free, suspects=suspects)
        self._in_doubt = False
        for claim in claims:
            if self._running.pop(claim.id, None) is not None:  # it was rescued from us: what runs of it is unwanted
                engine.cancel(claim.id)
            self._hand_out(engine, claim)

    def _put_off(self, claim: Claim, reason: str) -> None:
        """What the host lacks is not the item's fault: its retries are for what the work itself does."""
        _log.warning("batch_put_off", item=claim.id, campaign=claim.campaign, reason=reason)
        with self._store.upkeep(Kind.CLAIM) as connection:
            work_items.put_off(connection, claim.id, claim.fence, reason=reason, delay_s=PUT_OFF_S)

    def _hand_out(self, engine: LocalEngine, claim: Claim) -> None:
        try:
            spec = self._specs.make(claim)
            retries = self._specs.state(claim).spec.retries
        except StoreUnavailable:
            raise
        except WrittenByNewer as error:  # there is a runtime that can read it
            self._put_off(claim, str(error)[:500])
            return
        except (Corrupt, NotFound, msgspec.MsgspecError) as error:
            # It will not be there the next time either: the campaign fails with the reason rather than stand still.
            self._return(claim, str(error)[:500], retries=0)
            return
        except (DomainFlowError, OSError) as error:  # a full disk, say
            self._put_off(claim, str(error)[:500])
            return
        if engine.submit(spec, alone=claim.suspected):
            self._running[claim.id] = Running(claim, retries)
        else:
            with self._store.upkeep(Kind.CLAIM) as connection:
                work_items.unclaim(connection, claim.id, claim.fence)


def _result(came: BatchResult) -> Result:
    hits = tuple((hit.position, hit.body) for hit in came.hits)
    return Result(item=came.item, fence=came.fence, counts=came.counts, outcomes=came.outcomes, hits=hits)
