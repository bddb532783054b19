"""The store as the runtime holds it: two pools, and what they are used for in one transaction each.

Waits for Postgres: only for threads that may. Whatever goes wrong with the connection is StoreUnavailable.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from msgspec.structs import replace
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from domainflow.errors import StoreUnavailable
from domainflow.store import leases, pool, sources, streams, work_items
from domainflow.store.port import HeldElsewhere, Loaded
from domainflow.store.transaction import transaction


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
    def tenants(self, *tenants: str) -> Iterator[Connection[TupleRow]]:
        """Open a transaction that sees these tenants."""
        with _translated(), self._data.connection() as connection, transaction(connection, tenants=tenants):
            yield connection

    @contextmanager
    def upkeep(self, *, one_instant: bool = False) -> Iterator[Connection[TupleRow]]:
        """Open a transaction that sees every tenant, for what the runtime does by itself."""
        with (
            _translated(),
            self._upkeep.connection() as connection,
            transaction(connection, one_instant=one_instant),
        ):
            yield connection

    def connect_lane(self) -> Connection[TupleRow]:
        """Open a connection for a commit lane: prepared from the first statement on."""
        connection = self._connect("app")
        connection.prepare_threshold = 0
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

    def store_results(self, results: Sequence[work_items.Result], tenants: Sequence[str]) -> list[bool]:
        """Store results under their fences in one transaction; say which were still wanted."""
        with self.tenants(*sorted(set(tenants))) as connection:
            return [work_items.complete(connection, result) for result in results]

    def source_file(self, tenant: str, sha256: str, folder: Path) -> Path:
        """Return a file with the canonical bytes of a source, fetched once a host."""
        with self.tenants(tenant) as connection:
            return sources.fetch(connection, tenant, sha256, folder)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed, TooManyRequests) as error:
        raise StoreUnavailable(f"Postgres cannot be used just now: {str(error).strip()}") from error
