"""The store as the runtime holds it: two pools, and what they are used for in one transaction each.

Waits for Postgres: only for threads that may. Whatever goes wrong is an error of ours: StoreUnavailable where another
try may help; StoreRefused, SchemaMismatch or Corrupt where none will.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from msgspec.structs import replace
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from domainflow.errors import StoreRefused, StoreUnavailable
from domainflow.store import leases, pool, sources, streams, work_items
from domainflow.store.pool import CONNECTION_S
from domainflow.store.port import HeldElsewhere, Loaded
from domainflow.store.sqlstates import meaning
from domainflow.store.transaction import transaction

UNDONE: Final = "nothing was done"
UNKNOWN: Final = "it is not known whether it was done"


class Postgres:
    """Connections of one runtime, by purpose."""

    def __init__(self, dsn: Callable[[], str], *, revive: Callable[[], None], connections: int = 4) -> None:
        """Open the pools. Raises StoreUnavailable.

        Args:
            dsn: how to connect; asked each time.
            revive: called when a connection could not be made, before another try; raises StoreUnavailable.
            connections: of each pool, at most.
        """
        self._dsn = dsn
        self._revive = revive
        pool.connect(dsn(), "upkeep").close()  # says clearly what is wrong, which a pool does not
        self._data = pool.open_pool(dsn, "app", size=connections)
        self._upkeep = pool.open_pool(dsn, "upkeep", size=connections)

    @property
    def dsn(self) -> str:
        """How to connect just now."""
        return self._dsn()

    def close(self) -> None:
        """Close the pools."""
        self._data.close()
        self._upkeep.close()

    @contextmanager
    def tenants(self, *tenants: str, timeout_s: float = CONNECTION_S) -> Iterator[Connection[TupleRow]]:
        """Open a transaction that sees these tenants; a connection is waited for at most `timeout_s`."""
        with _opened(self._data, timeout_s, tenants=tenants) as connection:
            yield connection

    @contextmanager
    def upkeep(self, *, one_instant: bool = False, timeout_s: float = CONNECTION_S) -> Iterator[Connection[TupleRow]]:
        """Open a transaction that sees every tenant, for what the runtime does by itself; waits as `tenants` does."""
        with _opened(self._upkeep, timeout_s, one_instant=one_instant) as connection:
            yield connection

    def connect_lane(self) -> Connection[TupleRow]:
        """Open a connection for a commit lane."""
        return self._connect("app")

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
        with self.upkeep() as connection:
            epoch = leases.claim_stream(connection, runtime, stream)
            holder = None if epoch else leases.owner(connection, stream)
        if holder is not None:
            return HeldElsewhere(f"{holder[0]} ({holder[1]})")
        # With the epoch that was claimed, not the one that is read: it may be another owner's by now.
        return replace(self.peek(stream, fold_version=fold_version), epoch=epoch)

    def peek(self, stream: str, *, fold_version: int) -> Loaded:
        """Load a stream as of one instant, claiming nothing."""
        with self.upkeep(one_instant=True) as connection:
            return streams.load(connection, stream, fold_version=fold_version)

    # --- work

    def store_results(
        self, results: Sequence[work_items.Result], tenants: Sequence[str]
    ) -> list[bool | work_items.Unstorable]:
        """Store results under their fences in one transaction; say which were still wanted, which cannot be stored."""
        try:
            with self.tenants(*sorted(set(tenants))) as connection:
                return [work_items.complete(connection, result) for result in results]
        except StoreRefused:  # one of them
            with self.tenants(*sorted(set(tenants))) as connection:
                return work_items.complete_each(connection, results)

    def source_file(self, tenant: str, sha256: str, folder: Path) -> Path:
        """Return a file with the canonical bytes of a source, fetched once a host."""
        with self.tenants(tenant) as connection:
            return sources.fetch(connection, tenant, sha256, folder)


@contextmanager
def _opened(
    source: ConnectionPool[Connection[TupleRow]],
    timeout_s: float,
    *,
    tenants: Sequence[str] = (),
    one_instant: bool = False,
) -> Iterator[Connection[TupleRow]]:
    """Open a transaction on a connection of a pool. Raises errors of ours alone, which say what is true then."""
    wait_s = min(timeout_s, CONNECTION_S)
    connection, committing = None, False
    try:
        with (
            pool.lend(source, wait_s) as connection,
            transaction(connection, tenants=tenants, one_instant=one_instant),
        ):
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
