"""One commit lane's connection: sends batches, says what an error means, finds out what became of a lost one.

What waits and in which order is the coordinator's; here is what only Postgres can tell.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final, LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import StoreUnavailable
from domainflow.store import commit, streams
from domainflow.store.port import Item, Outcome

# Only these are safe to send again: the server says that nothing was written.
RETRIED: Final = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)
# Planned anew for each batch, the statement of the commit takes twice as long; and a plan from when the tables were
# empty would read them whole until somebody analyses them.
PLANS: Final[LiteralString] = """
select set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false)
"""
# Of a value that has no form in which it could be sent, such as half a surrogate pair. Not of psycopg's own making.
UNSENDABLE: Final = (UnicodeError, OverflowError, struct.error)


class TryAgainError(Exception):
    """Nothing was written; the same may be sent again."""


class OutcomeUnknownError(Exception):
    """The connection is gone, or its generation was raised: only `reopen` and `was_committed` can tell."""


class PoisonError(Exception):
    """The statement raised; nothing was written. `race`: somebody else took a key a moment ago, and now it shows."""

    def __init__(self, reason: str, *, race: bool) -> None:
        super().__init__(reason)
        self.race = race


class CommitConnection:
    """A connection of the role `app`, under one generation of its lane at a time."""

    def __init__(self, connect: Callable[[], Connection[TupleRow]], runtime: str, lane: int) -> None:
        """`connect` raises StoreUnavailable. Nothing is opened before `reopen`."""
        self.lane = commit.Lane(runtime, lane)
        self._connect = connect
        self._connection: Connection[TupleRow] | None = None

    def reopen(self) -> int:
        """Connect anew, waiting for what the old connection may still be doing and barring the rest.

        Returns the database clock, microseconds since 1970. Raises StoreUnavailable.
        """
        self.close()
        try:
            self._connection = self._connect()
            # From the first on: of one that psycopg counted first, it does not notice that preparing it failed.
            self._connection.prepare_threshold = 0
            self._connection.execute(PLANS)
            self.lane.raise_generation(self._connection)
            return streams.now_us(self._connection)
        except psycopg.Error as error:
            raise StoreUnavailable(f"commit lane {self.lane.number}: {error}") from error

    def send(self, groups: Sequence[tuple[Item, ...]]) -> list[Outcome]:
        """Commit one group alone, or items of different streams; outcomes in order.

        Raises TryAgainError, OutcomeUnknownError or PoisonError.
        """
        try:
            if commit.needs_group(groups[0]):
                return [commit.commit_group(self._open, self.lane, groups[0])]
            return commit.commit_batch(self._open, self.lane, [group[0] for group in groups])
        except commit.BarredError as error:
            raise OutcomeUnknownError("the lane's generation was raised") from error
        except psycopg.Error as error:
            raise self._meaning(error) from error
        except UNSENDABLE as error:
            raise PoisonError(f"cannot be sent: {error}", race=False) from error

    def was_committed(self, item: Item) -> bool:
        """Whether an item sent before `reopen` is in the store. Raises StoreUnavailable."""
        try:
            return commit.was_committed(self._open, item)
        except psycopg.Error as error:
            raise StoreUnavailable(f"commit lane {self.lane.number}: {error}") from error

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()

    @property
    def _open(self) -> Connection[TupleRow]:
        if self._connection is None:
            raise psycopg.OperationalError("not connected")
        return self._connection

    def _meaning(self, error: psycopg.Error) -> Exception:
        if self._connection is None or self._connection.closed or self._connection.broken:
            return OutcomeUnknownError(str(error))
        if isinstance(error, RETRIED):
            return TryAgainError(f"{error.sqlstate}")
        return PoisonError(f"{error.sqlstate}: {error}", race=isinstance(error, psycopg.errors.UniqueViolation))
