"""The only opener of transactions.

Connections are in autocommit; a transaction is opened here, with its tenants and its limits, and nowhere else.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, LiteralString

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import TupleRow

# A writing transaction holds the feed's horizon of the whole cluster: none of ours may live longer than a moment.
STATEMENT_TIMEOUT_MS: Final = 30_000
LOCK_TIMEOUT_MS: Final = 10_000
IDLE_TIMEOUT_MS: Final = 10_000

LIMITS: Final[LiteralString] = """
select set_config('domainflow.tenants', %s, true),
       set_config('statement_timeout', %s, true),
       set_config('lock_timeout', %s, true),
       set_config('idle_in_transaction_session_timeout', %s, true)
"""


@contextmanager
def transaction(
    connection: Connection[TupleRow],
    *,
    tenants: Sequence[str] = (),
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    one_instant: bool = False,
) -> Iterator[Connection[TupleRow]]:
    """Open a transaction that sees `tenants`; commit at the end, roll back on an exception.

    Tenants hold no comma (`security.input.check_identifier`). Not for use inside another one.
    `one_instant`: all its statements see the same snapshot (REPEATABLE READ); for reading only.
    """
    level = IsolationLevel.REPEATABLE_READ if one_instant else None
    with _in_step(connection):
        connection.isolation_level = level
        with connection.transaction():
            connection.execute(LIMITS, _limits(tenants, statement_timeout_ms))
            yield connection


@contextmanager
def at_once(connection: Connection[TupleRow], *, tenants: Sequence[str]) -> Iterator[Connection[TupleRow]]:
    """Open a transaction that sees `tenants`, sent as one at the end: one round trip; READ COMMITTED.

    Answers are there after the end. What stands between two syncs of a pipeline is one transaction, so there is
    neither BEGIN nor COMMIT, and no moment at which an error could belong to one of them.
    """
    with _in_step(connection), connection.pipeline():
        connection.execute(LIMITS, _limits(tenants, STATEMENT_TIMEOUT_MS))
        yield connection


def _limits(tenants: Sequence[str], statement_timeout_ms: int) -> tuple[str, ...]:
    return ",".join(tenants), str(statement_timeout_ms), str(LOCK_TIMEOUT_MS), str(IDLE_TIMEOUT_MS)


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
    wire = connection.pgconn
    return wire.transaction_status == TransactionStatus.IDLE and wire.pipeline_status == PipelineStatus.OFF
