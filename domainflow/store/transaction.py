"""The only opener of transactions.

Connections are in autocommit; a transaction is opened here, with its tenants and its limits, and nowhere else.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, LiteralString

from psycopg import Connection, IsolationLevel
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

    Tenants hold no comma (`security.input.check_identifier`). Not for use inside another one: psycopg
    refuses that with ProgrammingError.
    `one_instant`: all its statements see the same snapshot (REPEATABLE READ); for reading only.
    """
    limits = (",".join(tenants), str(statement_timeout_ms), str(LOCK_TIMEOUT_MS), str(IDLE_TIMEOUT_MS))
    level = IsolationLevel.REPEATABLE_READ if one_instant else None
    if connection.isolation_level is not level:  # setting it costs a round trip within a pipeline
        connection.isolation_level = level
    with connection.transaction():
        connection.execute(LIMITS, limits)
        yield connection
