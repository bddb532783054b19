"""A runtime's presence in the database: its row, its lease, its session lock, its ear.

One connection for its whole life, and another one when that is lost: the lock ends with the session.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final, LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import StoreUnavailable
from domainflow.store import leases
from domainflow.store.transaction import Kind, transaction

LISTEN: Final[LiteralString] = "listen domainflow"
RENEWALS_A_LEASE: Final = 5
TRUSTED: Final = 0.9  # of a lease: two clocks may differ a little in how long it is
LATE: Final = 0.25  # of a lease: with less of it left a renewal is late; one in time leaves at least 0.4
LOCK_BITS: Final = 63  # of chance: nobody else's lock is ever waited for


class Presence:
    """Appears, stays, leaves. For one thread, but for `holds_lease`."""

    def __init__(self, connect: Callable[[], Connection[TupleRow]], runtime: str, *, lease_s: float) -> None:
        """`connect` opens a connection of the role upkeep; raises StoreUnavailable."""
        self._connect = connect
        self._runtime = runtime
        self._lease_s = lease_s
        self._connection: Connection[TupleRow] | None = None
        self._registered = False
        self._renewed_at_s = 0.0  # when the renewal that succeeded last began: the lease lasts from then on at least
        self._held_until_s = 0.0
        self.lapses = 0  # times that the lease had run out before it was renewed, by either clock
        self.late = 0  # renewals that came late, or too late

    def holds_lease(self) -> bool:
        """Whether the lease is not over yet, by this process's own clock: known with no connection, after any sleep.

        Once it is over others may own what this runtime owned. No guard but an early end: what is committed all the
        same is refused by the owner epoch and by fences. For any thread.
        """
        return time.monotonic() < self._held_until_s

    def is_late(self) -> bool:
        """Whether it should have renewed its lease by now. For any thread."""
        return self._held_until_s - time.monotonic() < LATE * self._lease_s

    def appear(self) -> None:
        """Be there: take the lock, write the row or renew it. Raises StoreUnavailable."""
        self.disconnect()
        connection, began_s = self._connect(), time.monotonic()
        try:
            lapsed = self._register(connection)
            connection.execute(LISTEN)
        except psycopg.Error as error:
            connection.close()
            raise StoreUnavailable(f"cannot register this runtime: {error}") from error
        self._connection = connection
        self._renewed(began_s, lapsed=lapsed)

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
            while self._gives_back_more(self._connection):
                pass
            with transaction(self._connection, Kind.OWNERSHIP):
                leases.unregister(self._connection, self._runtime)
        except psycopg.Error as error:
            raise StoreUnavailable(f"cannot say good-bye: {error}") from error
        finally:
            self.disconnect()

    def _gives_back_more(self, connection: Connection[TupleRow]) -> bool:
        with transaction(connection, Kind.OWNERSHIP):
            return leases.release_some(connection, self._runtime)

    def _register(self, connection: Connection[TupleRow]) -> bool:
        """Write the row, or renew it and say whether the lease was over."""
        lapsed = leases.renew(connection, self._runtime, lease_s=self._lease_s) if self._registered else None
        if lapsed is not None:
            leases.move_lock(connection, self._runtime, secrets.randbits(LOCK_BITS))
            return lapsed
        host, lock_key = leases.Host(socket.gethostname(), os.getpid()), secrets.randbits(LOCK_BITS)
        leases.register(connection, self._runtime, host=host, lock_key=lock_key, lease_s=self._lease_s)
        self._registered = True
        return False

    def _listen(self, wait_s: float) -> list[str]:
        if self._connection is None:
            raise psycopg.OperationalError("not connected")
        hints = [notice.payload for notice in self._connection.notifies(timeout=wait_s, stop_after=1)]
        began_s = time.monotonic()
        if began_s - self._renewed_at_s <= self._lease_s / RENEWALS_A_LEASE:
            return hints
        lapsed = leases.renew(self._connection, self._runtime, lease_s=self._lease_s)
        if lapsed is None:
            self._registered = False
            self.appear()
        else:
            self._renewed(began_s, lapsed=lapsed)
        return hints

    def _renewed(self, began_s: float, *, lapsed: bool) -> None:
        if self._held_until_s > 0.0:  # not the first time
            self.lapses += lapsed or self._held_until_s < began_s
            self.late += lapsed or self._held_until_s - began_s < LATE * self._lease_s
        self._renewed_at_s = began_s
        self._held_until_s = began_s + TRUSTED * self._lease_s
