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
DELETED_CAMPAIGN: Final[LiteralString] = """
select c.id::text from domainflow.campaign c
 where c.deleted_at is not null and exists (select 1 from domainflow.batch b where b.campaign = c.id) limit 1
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
DELETED_AT_ONCE: Final = 5_000


class StoredBatch(Struct, frozen=True):
    """One batch's result."""

    batch: int
    start: int
    stop: int
    counts: bytes
    outcomes: bytes


class Run(Struct, frozen=True):
    """One run of one phase of one campaign."""

    campaign: str
    phase: int
    run: int


def batches(connection: Connection[TupleRow], run: Run, *, page: int = 200) -> Iterator[StoredBatch]:
    """Yield the batches of a run by position, `page` rows at a time (constant memory)."""
    start = 0
    while True:
        rows = connection.execute(BATCHES, (run.campaign, run.phase, run.run, start, page)).fetchall()
        yield from (StoredBatch(*row) for row in rows)
        if len(rows) < page:
            return
        start = rows[-1][1] + 1


def hits(connection: Connection[TupleRow], run: Run, start: int, stop: int) -> list[tuple[int, bytes]]:
    """Return (position, body) of what a run kept in [start, stop), by position."""
    rows = connection.execute(HITS, (run.campaign, run.phase, run.run, start, stop)).fetchall()
    return [(position, body) for position, body in rows]


def deleted_campaign(connection: Connection[TupleRow]) -> str | None:
    """Return a deleted campaign that still has results."""
    row = connection.execute(DELETED_CAMPAIGN).fetchone()
    return str(row[0]) if row else None


def delete_slice(connection: Connection[TupleRow], campaign: str, *, rows: int) -> bool:
    """Delete up to `rows` rows of a deleted campaign's results; True: there may be more."""
    if connection.execute(DELETE_HITS, (campaign, rows)).rowcount > 0:
        return True
    return connection.execute(DELETE_BATCHES, (campaign, rows)).rowcount > 0


def delete_deleted(connection: Connection[TupleRow]) -> bool:
    """Delete some results of some deleted campaign; True: there may be more."""
    campaign = deleted_campaign(connection)
    return campaign is not None and delete_slice(connection, campaign, rows=DELETED_AT_ONCE)
