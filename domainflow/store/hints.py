"""Hints: a word to all runtimes that there may be something to see. Nobody relies on one: polling is the truth.

On a connection of their own and in transactions of their own, since a notification holds up every other commit that
notifies; without a wait for the disk, since a hint that a crash loses is worth nothing after it.
"""

from collections.abc import Callable, Sequence
from typing import Final, LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import StoreUnavailable

UNSAFE: Final[LiteralString] = "set synchronous_commit = off"
NOTIFY: Final[LiteralString] = "select pg_notify('domainflow', payload) from unnest(%b::text[]) payload"


class Hints:
    """Sends hints. For one thread."""

    def __init__(self, connect: Callable[[], Connection[TupleRow]]) -> None:
        """`connect` raises StoreUnavailable; nothing is opened before there is something to send."""
        self._connect = connect
        self._connection: Connection[TupleRow] | None = None

    def send(self, payloads: Sequence[str]) -> None:
        """Send them, each of less than 8000 bytes. Raises StoreUnavailable: they may not have been sent."""
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._connection.execute(UNSAFE)
            self._connection.execute(NOTIFY, (list(payloads),))
        except psycopg.Error as error:
            self.close()
            raise StoreUnavailable(f"cannot send hints: {error}") from error

    def close(self) -> None:
        """Let go of the connection; `send` opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
