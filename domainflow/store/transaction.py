"""The only opener of transactions.

Connections are in autocommit; a transaction is opened here, with its kind, its limits, its role and its tenants, and
nowhere else. All of that is set for the transaction alone, so that it holds behind a pooler too, where the next one may
have another session; only a commit lane's own connection keeps it, and sends nothing but the commit. What is open
stands in `open_transactions`, what became of it in the metrics.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, LiteralString, NamedTuple

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from domainflow.held import holding
from domainflow.meters import METERS
from domainflow.store import open_transactions

WHOLE_SINCE: Final = 170_000  # the version since which Postgres itself ends a transaction that takes too long


class Kind(StrEnum):
    """What a transaction is for: it decides how long it may take, and is what metrics and logs call it."""

    COMMIT = "commit"  # items of different streams, each for itself
    GROUP = "group"  # items that are committed all or none
    RESOLVE = "resolve"  # what became of a lost commit
    LOAD = "load"  # a stream for its actor
    OWNERSHIP = "ownership"  # who owns a stream, and who is there
    BOX = "box"  # commands for another runtime's actors, as their sender sees them
    DELIVER = "deliver"  # the same, as their owner sees them
    CLAIM = "claim"  # work items taken, and given back
    RESULT = "result"  # what batches found
    LEDGER = "ledger"  # what is ready, in hand, done
    SWEEP = "sweep"  # what the dead left
    UPKEEP = "upkeep"  # what is too old, or deleted
    SOURCE = "source"  # bytes of word lists
    VIEW = "view"  # what people look at
    FEED = "feed"  # what subscribers read on
    PROJECT = "project"  # what a host's function makes of it, and how far it has come
    TOOL = "tool"  # a question of whoever looks after the database
    VERIFY = "verify"
    MIGRATE = "migrate"


class Limits(NamedTuple):
    """How long a transaction may take, ms; 0: as long as it likes."""

    statement_ms: int
    lock_ms: int  # that a statement waits for a lock
    idle_ms: int  # between two statements
    whole_ms: int


# A writing transaction holds the feed's horizon of the whole cluster, so none of ours is made to take longer than a
# second: these are for a slow machine, and for what goes wrong.
WRITING: Final = Limits(5_000, 2_000, 5_000, 8_000)
READING: Final = Limits(10_000, 2_000, 10_000, 20_000)
LIMITS: Final[dict[Kind, Limits]] = {
    Kind.COMMIT: WRITING,
    Kind.GROUP: WRITING,
    Kind.RESOLVE: READING,
    Kind.LOAD: READING,
    Kind.OWNERSHIP: WRITING,
    Kind.BOX: WRITING,
    Kind.DELIVER: WRITING,
    Kind.CLAIM: WRITING,
    Kind.RESULT: WRITING,
    Kind.LEDGER: READING,
    Kind.SWEEP: WRITING,
    Kind.UPKEEP: WRITING,
    Kind.SOURCE: Limits(5_000, 2_000, 5_000, 120_000),  # a gigabyte of names is there whole or not at all
    Kind.VIEW: READING,
    Kind.FEED: READING,
    Kind.PROJECT: WRITING,
    Kind.TOOL: Limits(30_000, 10_000, 10_000, 60_000),
    Kind.VERIFY: Limits(3_600_000, 10_000, 600_000, 0),
    Kind.MIGRATE: Limits(0, 5_000, 0, 0),  # better to fail than to queue everybody behind us
}

SET: Final[LiteralString] = """
select set_config('role', coalesce(%(role)s, current_setting('role')), %(local)s),
       set_config('domainflow.tenants', %(tenants)s, %(local)s),
       set_config('statement_timeout', %(statement)s, %(local)s), set_config('lock_timeout', %(lock)s, %(local)s),
       set_config('idle_in_transaction_session_timeout', %(idle)s, %(local)s)
"""
SET_WITH_WHOLE: Final[LiteralString] = f"{SET}, set_config('transaction_timeout', %(whole)s, %(local)s)"
BY_INDEX: Final[LiteralString] = """
select set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true)
"""


@contextmanager
def transaction(
    connection: Connection[TupleRow],
    kind: Kind,
    *,
    role: str | None = None,
    tenants: Sequence[str] = (),
    one_instant: bool = False,
) -> Iterator[Connection[TupleRow]]:
    """Open a transaction that sees `tenants`; commit at the end, roll back on an exception.

    Raises OperationalError, and closes the connection, inside another one; see `nested`.

    Args:
        connection: in autocommit.
        kind: decides the limits.
        role: to act as, such as "app". None: as the connection does.
        tenants: hold no comma (`security.input.check_identifier`).
        one_instant: all its statements see the same snapshot (REPEATABLE READ); for reading only.
    """
    level = IsolationLevel.REPEATABLE_READ if one_instant else None
    with _recorded(kind, connection), _in_step(connection):
        connection.isolation_level = level
        with connection.transaction():
            _set(connection, kind, role, tenants)
            yield connection


@contextmanager
def alone(connection: Connection[TupleRow], kind: Kind) -> Iterator[Connection[TupleRow]]:
    """One statement, which is a transaction by itself: one round trip; READ COMMITTED. See `set_session`."""
    with _recorded(kind, connection), _in_step(connection):
        yield connection


def set_session(connection: Connection[TupleRow], kind: Kind, tenants: Sequence[str]) -> None:
    """Give every statement of a connection that is no pool's the limits of `kind`, and have it see `tenants`."""
    with _recorded(kind, connection), _in_step(connection):
        _set(connection, kind, None, tenants, local=False)


def _set(
    connection: Connection[TupleRow], kind: Kind, role: str | None, tenants: Sequence[str], *, local: bool = True
) -> None:
    statement_ms, lock_ms, idle_ms, whole_ms = map(str, LIMITS[kind])
    values = {
        "role": role and f"domainflow_{role}",
        "tenants": ",".join(tenants),
        "statement": statement_ms,
        "lock": lock_ms,
        "idle": idle_ms,
        "whole": whole_ms,
        "local": local,
    }
    connection.execute(SET_WITH_WHOLE if connection.info.server_version >= WHOLE_SINCE else SET, values)


def by_index(connection: Connection[TupleRow]) -> None:
    """Have the statements of this transaction planned once a connection, which may cost more than to run them.

    By indexes alone: a plan from when a table was short, or by statistics of such a moment, would read or sort all of
    it each time.
    """
    connection.execute(BY_INDEX)


@contextmanager
def nested(connection: Connection[TupleRow]) -> Iterator[None]:
    """Open a savepoint in the open transaction: on an exception what was done since is undone, and it goes on.

    It sees the tenants of the transaction: what is set in a savepoint that is released lasts to the transaction's end.
    """
    if connection.info.transaction_status is TransactionStatus.IDLE:
        raise psycopg.ProgrammingError("a savepoint needs a transaction around it")
    with connection.transaction():
        yield


@contextmanager
def _in_step(connection: Connection[TupleRow]) -> Iterator[None]:
    """Close a connection that is not idle before and after. Raises OperationalError when that alone was wrong.

    A cancel at a bad moment, such as during a rollback, can leave it in a transaction, or with answers that nobody
    took. The next transaction would be a savepoint of the one, which is never committed, or take the others for its
    own; either way it would be told of a commit that never was.
    """
    try:
        _check_idle(connection)
        yield
        _check_idle(connection)
    finally:
        if not _is_idle(connection):
            connection.close()


def _check_idle(connection: Connection[TupleRow]) -> None:
    if not _is_idle(connection):
        raise psycopg.OperationalError("the connection is closed, or out of step with its server")


def _is_idle(connection: Connection[TupleRow]) -> bool:
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


@contextmanager
def _recorded(kind: Kind, connection: Connection[TupleRow]) -> Iterator[None]:
    opened = open_transactions.Open(kind, connection, whole_ms=LIMITS[kind].whole_ms)
    number = open_transactions.enter(opened)
    ended = "transactions_rolled_back"
    try:
        with holding(kind):
            yield
        ended = "transactions_committed"
    except psycopg.Error as error:
        METERS.count("transactions_failed", kind, error.sqlstate or "lost")
        raise
    finally:
        open_transactions.leave(number)
        METERS.count(ended, kind)
        METERS.time("transaction_seconds", time.monotonic() - opened.opened_s, kind)
