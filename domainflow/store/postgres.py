"""The store as the runtime holds it: pools by purpose, and what they are used for in one transaction each.

Waits for Postgres: only for threads that may. Whatever goes wrong is an error of ours: StoreUnavailable where another
try may help; StoreRefused, SchemaMismatch or Corrupt where none will.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import psycopg
from msgspec.structs import replace
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from domainflow.backoff import delay_s
from domainflow.errors import StoreRefused, StoreUnavailable
from domainflow.meters import METERS
from domainflow.store import era, leases, pool, sources, streams, work_items
from domainflow.store.pool import CONNECTION_S, PoolState
from domainflow.store.port import HeldElsewhere, Loaded, Recorded
from domainflow.store.sqlstates import meaning
from domainflow.store.transaction import Kind, transaction

UNDONE: Final = "nothing was done"
UNKNOWN: Final = "it is not known whether it was done"
# What actors look for again and again, and what they need to start: hosts' calls must not keep it waiting.
POLLED: Final = frozenset({Kind.CLAIM, Kind.DELIVER, Kind.LEDGER, Kind.LOAD, Kind.SWEEP, Kind.UPKEEP})
RETRIED: Final = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)
MOST_TRIES: Final = 5
RETRY_BASE_S: Final = 0.02
RETRY_CAP_S: Final = 0.5

T = TypeVar("T")
Work: TypeAlias = Callable[[Connection[TupleRow]], T]


class Postgres:
    """Connections of one runtime, by purpose."""

    def __init__(
        self,
        dsn: Callable[[], str],
        *,
        revive: Callable[[], None],
        connections: int = 4,
        pooled_dsn: str | None = None,
    ) -> None:
        """Open the pools. Raises StoreUnavailable.

        Args:
            dsn: how to connect; asked each time.
            revive: called when a connection could not be made, before another try; raises StoreUnavailable.
            connections: of each pool, at most.
            pooled_dsn: how the pools connect, through a pooler in transaction mode. None: as `dsn` says.
        """
        self._dsn = dsn
        self._revive = revive
        pool.check_roles(dsn())  # says clearly what is wrong, which a pool does not
        where = dsn if pooled_dsn is None else lambda: pooled_dsn
        self._data, self._poll = (
            pool.open_pool(where, purpose, size=connections, pooled=pooled_dsn is not None)
            for purpose in ("data", "poll")
        )

    @property
    def dsn(self) -> str:
        """How to connect just now."""
        return self._dsn()

    def close(self) -> None:
        """Close the pools."""
        self._data.close()
        self._poll.close()

    def pools(self) -> tuple[PoolState, ...]:
        """Return how the pools are just now."""
        return tuple(pool.state(each) for each in (self._data, self._poll))

    @contextmanager
    def tenants(
        self, kind: Kind, *tenants: str, one_instant: bool = False, timeout_s: float = CONNECTION_S
    ) -> Iterator[Connection[TupleRow]]:
        """Open a transaction that sees these tenants; a connection is waited for at most `timeout_s`."""
        with self._opened(kind, timeout_s, role="app", tenants=tenants, one_instant=one_instant) as connection:
            yield connection

    @contextmanager
    def upkeep(
        self, kind: Kind, *, one_instant: bool = False, timeout_s: float = CONNECTION_S
    ) -> Iterator[Connection[TupleRow]]:
        """Open a transaction that sees every tenant, for what the runtime does by itself; waits as `tenants` does."""
        with self._opened(kind, timeout_s, role="upkeep", one_instant=one_instant) as connection:
            yield connection

    def retrying(self, open_: Callable[[], AbstractContextManager[Connection[TupleRow]]], work: Work[T]) -> T:
        """Do `work` in a transaction that `open_` opens; again, a few times, when others held the same rows.

        Nothing else is done again: of a connection that is lost over its commit nobody knows whether it was done.
        """
        for tries in range(1, MOST_TRIES):
            try:
                with open_() as connection:
                    return work(connection)
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, RETRIED):
                    raise
                METERS.count("transactions_retried", error.__cause__.sqlstate or "")
            chance = random.random()  # noqa: S311 - jitter
            time.sleep(delay_s(tries, chance, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S))
        with open_() as connection:
            return work(connection)

    def in_slices(self, kind: Kind, work: Work[int], *, most: int, timeout_s: float = CONNECTION_S) -> int:
        """Do `work`, which touches up to `most` rows and says how many, in one upkeep transaction after the other.

        Until it touches fewer. Returns how many it were in all; what was done stays done if a later one fails.
        """
        touched, last = 0, most
        while last >= most:
            last = self.retrying(partial(self.upkeep, kind, timeout_s=timeout_s), work)
            touched += last
        return touched

    def connect_lane(self) -> Connection[TupleRow]:
        """Open a connection for a commit lane, which writes in the right era."""
        connection = self._connect("app")
        try:
            era.current(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def connect_listener(self) -> Connection[TupleRow]:
        """Open a connection that will hold the runtime's lock and listen."""
        return self._connect("upkeep")

    def _connect(self, role: str) -> Connection[TupleRow]:
        try:
            return pool.connect(self._dsn(), role)
        except StoreUnavailable:
            self._revive()
            return pool.connect(self._dsn(), role)

    # --- streams

    def read(self, stream: str, *, runtime: str, owned: bool, fold_version: int) -> Loaded | HeldElsewhere:
        """Load a stream for the actor that will write it; an owned one is claimed first."""
        if not owned:
            return self.peek(stream, fold_version=fold_version)
        with self.upkeep(Kind.LOAD) as connection:
            epoch = leases.claim_stream(connection, runtime, stream)
            holder = None if epoch else leases.owner(connection, stream)
        if holder is not None:
            return HeldElsewhere(f"{holder[0]} ({holder[1]})")
        loaded = self.peek(stream, fold_version=fold_version)
        if epoch is None and loaded.epoch is not None:
            return HeldElsewhere("somebody who has let go of it in this moment")
        # With the epoch that was claimed, not the one that is read: it may be another owner's by now.
        return replace(loaded, epoch=epoch)

    def peek(self, stream: str, *, fold_version: int) -> Loaded:
        """Load a stream as of one instant, claiming nothing."""
        with self.upkeep(Kind.LOAD, one_instant=True) as connection:
            return streams.load(connection, stream, fold_version=fold_version)

    def events(self, stream: str, *, after: int, limit: int) -> list[Recorded]:
        """Return up to `limit` events above a version, in order."""
        with self.upkeep(Kind.LOAD) as connection:
            return streams.events(connection, stream, after=after, limit=limit)

    def beginning(self, stream: str) -> tuple[int, bytes]:
        """Return the version, and its hash, behind which a stream begins."""
        with self.upkeep(Kind.LOAD) as connection:
            return streams.beginning(connection, stream)

    def replace_snapshot(self, loaded: Loaded, state: bytes) -> bool:
        """Put a state in the place of the snapshot that was loaded; false: another one has come there since."""
        with self.tenants(Kind.SWEEP, loaded.tenant) as connection:
            return streams.replace_snapshot(connection, loaded, state)

    # --- work

    def rescue(self, runtime: str) -> int:
        """Put back what dead runtimes had claimed; return how many items."""
        most = work_items.SLICE_ROWS
        return self.in_slices(Kind.SWEEP, lambda connection: work_items.rescue(connection, runtime), most=most)

    def give_back(self, runtime: str, *, but: list[int], timeout_s: float = CONNECTION_S) -> int:
        """Put back what `runtime` claimed and does not work on; return how many items. Waits as `upkeep` does."""
        work = partial(work_items.give_back, runtime=runtime, but=but)
        return self.in_slices(Kind.CLAIM, work, most=work_items.SLICE_ROWS, timeout_s=timeout_s)

    def store_results(
        self, results: Sequence[work_items.Result], tenants: Sequence[str]
    ) -> list[bool | work_items.Unstorable]:
        """Store results under their fences in one transaction; say which were still wanted, which cannot be stored."""
        open_ = partial(self.tenants, Kind.RESULT, *sorted(set(tenants)))
        try:
            return self.retrying(open_, lambda connection: [work_items.complete(connection, each) for each in results])
        except StoreRefused:  # one of them
            return self.retrying(open_, lambda connection: work_items.complete_each(connection, results))

    def source_file(self, tenant: str, sha256: str, folder: Path) -> Path:
        """Return a file with the canonical bytes of a source, fetched once a host."""

        def read(number: int) -> bytes | None:
            with self.tenants(Kind.SOURCE, tenant) as connection:
                return sources.chunk(connection, tenant, sha256, number)

        return sources.fetch(read, tenant, sha256, folder)

    @contextmanager
    def _opened(
        self, kind: Kind, timeout_s: float, *, role: str, tenants: Sequence[str] = (), one_instant: bool = False
    ) -> Iterator[Connection[TupleRow]]:
        """Open a transaction on a connection of its pool. Raises errors of ours alone, which say what is true then."""
        source = self._poll if kind in POLLED else self._data
        wait_s, began_s = min(timeout_s, CONNECTION_S), time.monotonic()
        connection, committing = None, False
        try:
            with pool.lend(source, wait_s) as connection:
                METERS.time("connection_wait_seconds", time.monotonic() - began_s, kind)
                with transaction(connection, kind, role=role, tenants=tenants, one_instant=one_instant):
                    yield connection
                    committing = True
        except PoolTimeout as error:
            raise StoreUnavailable(f"no connection to Postgres within {max(wait_s, 0.0):.3g} s; {UNDONE}") from error
        except TooManyRequests as error:
            raise StoreUnavailable(f"too many calls wait for a connection to Postgres; {UNDONE}") from error
        except PoolClosed as error:
            raise StoreUnavailable(f"this runtime is closed; {UNDONE}") from error
        except psycopg.Error as error:
            lost = connection is not None and (connection.closed or connection.broken)
            raise meaning(error, lost=lost, outcome=UNKNOWN if lost and committing else UNDONE) from error
