"""Results as they are read: vectors of batches, rows of what was found."""

from collections.abc import Iterator
from typing import Final, LiteralString

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

BATCHES: Final[LiteralString] = """
select batch, start, stop, counts, outcomes from domainflow.batch
 where campaign = %s and phase = %s and run = %s and start >= %s order by start limit %s
"""
HITS: Final[LiteralString] = """
select position, body from domainflow.hit
 where campaign = %s and phase = %s and run = %s and position >= %s and position < %s order by position
"""
DELETE_HITS: Final[LiteralString] = """
with doomed as (select campaign, phase, run, position from domainflow.hit where campaign = %s limit %s)
delete from domainflow.hit h using doomed d
 where h.campaign = d.campaign and h.phase = d.phase and h.run = d.run and h.position = d.position
"""
DELETE_BATCHES: Final[LiteralString] = """
with doomed as (select campaign, phase, run, batch from domainflow.batch where campaign = %s limit %s)
delete from domainflow.batch b using doomed d
 where b.campaign = d.campaign and b.phase = d.phase and b.run = d.run and b.batch = d.batch
"""


class StoredBatch(Struct, frozen=True):
    """One batch's result."""

    batch: int
    start: int
    stop: int
    counts: bytes
    outcomes: bytes


def batches(
    connection: Connection[TupleRow], campaign: str, phase: int, run: int, *, page: int = 200
) -> Iterator[StoredBatch]:
    """Yield the batches of one run of a phase by position, `page` rows at a time (constant memory)."""
    start = 0
    while True:
        rows = connection.execute(BATCHES, (campaign, phase, run, start, page)).fetchall()
        yield from (StoredBatch(*row) for row in rows)
        if len(rows) < page:
            return
        start = rows[-1][1] + 1


def hits(
    connection: Connection[TupleRow], campaign: str, phase: int, run: int, start: int, stop: int
) -> list[tuple[int, bytes]]:
    """Return (position, body) of what one run of a phase kept in [start, stop), by position."""
    return [(row[0], row[1]) for row in connection.execute(HITS, (campaign, phase, run, start, stop)).fetchall()]


def delete_slice(connection: Connection[TupleRow], campaign: str, *, rows: int) -> bool:
    """Delete up to `rows` rows of a deleted campaign's results; True: there may be more."""
    hit = connection.execute(DELETE_HITS, (campaign, rows)).rowcount
    return hit + connection.execute(DELETE_BATCHES, (campaign, rows)).rowcount > 0
