"""A runtime's presence in the database: its row, its lease, its session lock, its ear.

One connection for its whole life, and another one when that is lost: the lock ends with the session.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import StoreUnavailable
from domainflow.store import leases
from domainflow.store.transaction import transaction

LISTEN: Final[LiteralString] = "listen domainflow"
NOTIFY: Final[LiteralString] = "select pg_notify('domainflow', %s)"
RENEWALS_A_LEASE: Final = 5
LOCK_BITS: Final = 63  # of chance: nobody else's lock is ever waited for


def notify(connection: Connection[TupleRow], payload: str) -> None:
    """Send a hint to all runtimes; in a transaction of its own, since it serialises commits."""
    connection.execute(NOTIFY, (payload,))


class Presence:
    """Appears, stays, leaves. For one thread."""

    def __init__(self, connect: Callable[[], Connection[TupleRow]], runtime: str, *, lease_s: float) -> None:
        """`connect` opens a connection of the role upkeep; raises StoreUnavailable."""
        self._connect = connect
        self._runtime = runtime
        self._lease_s = lease_s
        self._lock_key = UUID(runtime).int >> 65  # 63 bits: of a uuid 7, time and some of its chance
        self._connection: Connection[TupleRow] | None = None
        self._registered = False
        self._renewed_at_s = 0.0

    def appear(self) -> None:
        """Be there: take the lock, write the row or renew it. Raises StoreUnavailable."""
        self.disconnect()
        connection = self._connect()
        try:
            self._register(connection)
            connection.execute(LISTEN)
        except psycopg.Error as error:
            connection.close()
            raise StoreUnavailable(f"cannot register this runtime: {error}") from error
        self._connection = connection
        self._renewed_at_s = time.monotonic()

    def listen(self, wait_s: float) -> list[str]:
        """Return the hints of the next `wait_s` seconds, at once when there is one; keep the lease meanwhile.

        A lost connection is replaced; then everything must be looked at anew, which an empty hint says.
        Raises StoreUnavailable when it cannot be replaced.
        """
        try:
            return self._listen(wait_s)
        except psycopg.Error:
            self.appear()
            return [""]

    def disconnect(self) -> None:
        """Let go of lock and connection; the row stays."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def leave(self) -> None:
        """Give back all streams, delete the row, disconnect. Raises StoreUnavailable; then the lease runs out."""
        try:
            self._connection = self._connection or self._connect()
            with transaction(self._connection):
                leases.unregister(self._connection, self._runtime)
        except psycopg.Error as error:
            raise StoreUnavailable(f"cannot say good-bye: {error}") from error
        finally:
            self.disconnect()

    def _register(self, connection: Connection[TupleRow]) -> None:
        if self._registered and leases.renew(connection, self._runtime, lease_s=self._lease_s):
            leases.move_lock(connection, self._runtime, secrets.randbits(LOCK_BITS))
            return
        host, lock_key = leases.Host(socket.gethostname(), os.getpid()), secrets.randbits(LOCK_BITS)
        leases.register(connection, self._runtime, host=host, lock_key=lock_key, lease_s=self._lease_s)
        self._registered = True

    def _listen(self, wait_s: float) -> list[str]:
        if self._connection is None:
            raise psycopg.OperationalError("not connected")
        hints = [notice.payload for notice in self._connection.notifies(timeout=wait_s, stop_after=1)]
        if time.monotonic() - self._renewed_at_s > self._lease_s / RENEWALS_A_LEASE:
            if not leases.renew(self._connection, self._runtime, lease_s=self._lease_s):
                self._registered = False
                self.appear()
            self._renewed_at_s = time.monotonic()
        return hints
