"""A process that migrates and stops after each statement of a step, to be killed there. Run as a child."""

from typing import Any

from child import Talk
from psycopg import Connection, Cursor
from psycopg.pq import TransactionStatus

from domainflow.store import migrate

EXECUTE = Connection.execute


def execute(connection: Connection[Any], query: Any, *values: Any, **how: Any) -> Cursor[Any]:  # noqa: ANN401 - psycopg's
    """Take the place of psycopg's: in a transaction, say what was done, and wait."""
    cursor = EXECUTE(connection, query, *values, **how)
    if connection.info.transaction_status is TransactionStatus.INTRANS:
        Talk().say("executed", " ".join(str(query).split())[:80])
        Talk().hear()
    return cursor


def up(_: Talk, dsn: str) -> None:
    migrate.up(dsn)


def down(_: Talk, dsn: str, to: int) -> None:
    migrate.down(dsn, to=to)
