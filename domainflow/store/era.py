"""Which life of the database it is: restored on another server it begins a new era, since stored xids end with theirs.

What is older is complete then, and stands in the feed before everything that is new.
"""

from typing import Final, LiteralString

from psycopg import Connection
from psycopg.rows import TupleRow

CURRENT: Final[LiteralString] = "select domainflow.current_era()"


def current(connection: Connection[TupleRow]) -> int:
    """Return the era that events are written in, after beginning a new one if this is a restored database.

    For whoever connects in order to write, before it does.
    """
    row = connection.execute(CURRENT).fetchone()
    assert row is not None  # noqa: S101 - a select without from
    return int(row[0])
