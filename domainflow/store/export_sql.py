"""Results as an export reads them: the outcome vectors of a few batches, what was kept of a range of positions.

Reads only, in a transaction of the campaign's tenant.
"""

from typing import Final, LiteralString, TypeAlias

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.store.results import Run

Reading: TypeAlias = Connection[TupleRow]  # a transaction of the tenant; above this floor it is only passed on

VECTORS: Final[LiteralString] = """
select batch, start, stop, outcomes from domainflow.batch
 where campaign = %s and phase = %s and run = %s and batch >= %s and batch < %s order by batch
"""


class Vector(Struct, frozen=True):
    """The packed outcomes of one batch, positions [start, stop)."""

    batch: int
    start: int
    stop: int
    outcomes: bytes


def vectors(connection: Reading, run: Run, first: int, end: int) -> list[Vector]:
    """Return the vectors of the batches [first, end) that are done, in order."""
    rows = connection.execute(VECTORS, (run.campaign, run.phase, run.run, first, end)).fetchall()
    return [Vector(*row) for row in rows]
