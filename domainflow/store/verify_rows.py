"""Rows that verify decodes, folds and compares by itself, read page by page by key: memory does not grow with a table.

Reads only, in the transaction that `verify_sql.instant` opened. What is wrong with a row is judged one floor up.
"""

from collections.abc import Iterator
from typing import Final, LiteralString, TypeAlias

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.store.port import Recorded
from domainflow.store.streams import beginning
from domainflow.store.verify_sql import Span

Instant: TypeAlias = Connection[TupleRow]  # what `verify_sql.instant` opened; above this floor it is only passed on

PAGE: Final = 500  # rows; a keyword list makes an event of 1 MB, so not more
SLIM_PAGE: Final = 5000  # of rows below 100 bytes
STREAM_PAGE: Final = 20  # each may bring a snapshot of 1 MB
CHUNK_PAGE: Final = 4  # likewise
SOURCE_PAGE: Final = 50  # whose chunks are read as of one instant

STREAMS: Final[LiteralString] = """
select h.stream, h.tenant, h.status, s.version, s.fold_version, s.state, coalesce(a.version, 1)
  from domainflow.head h left join domainflow.snapshot s on s.stream = h.stream and s.version <= h.version
  left join domainflow.archive a on a.stream = h.stream
 where h.stream between %s and %s and h.stream > %s order by h.stream limit %s
"""
EVENTS: Final[LiteralString] = """
select stream, version, tenant, 0, type, type_version, context, body, hash
  from domainflow.event where stream = %s and version > %s order by version limit %s
"""
CAMPAIGN_ROW: Final[LiteralString] = """
select tenant, principal, name, source_stream, base, count, business_status, deleted_at is not null
  from domainflow.campaign where id = %s
"""
OF_SOURCE: Final[LiteralString] = """
select count(*) from domainflow.campaign where tenant = %s and source_stream = %s
"""
ITEMS: Final[LiteralString] = """
select w.phase, w.run, w.batch, w.tenant, w.start, w.stop, w.state, w.runtime is not null, r.id is not null,
       b.batch is not null
  from domainflow.work_item w
  left join domainflow.runtime r on r.id = w.runtime
  left join domainflow.batch b on b.campaign = w.campaign and b.phase = w.phase and b.run = w.run and b.batch = w.batch
 where w.campaign = %s and (w.phase, w.run, w.batch) > (%s, %s, %s) order by w.phase, w.run, w.batch limit %s
"""
RESULTS: Final[LiteralString] = """
select b.phase, b.run, b.batch, b.tenant, b.start, b.stop, b.counts, b.outcomes, coalesce(w.state = 2, false)
  from domainflow.batch b
  left join domainflow.work_item w
    on w.campaign = b.campaign and w.phase = b.phase and w.run = b.run and w.batch = b.batch
 where b.campaign = %s and (b.phase, b.run, b.batch) > (%s, %s, %s) order by b.phase, b.run, b.batch limit %s
"""
HITS: Final[LiteralString] = """
select phase, run, position, tenant, body from domainflow.hit
 where campaign = %s and (phase, run, position) > (%s, %s, %s) order by phase, run, position limit %s
"""
SOURCES: Final[LiteralString] = """
select tenant, sha256, size_bytes, lines from domainflow.source
 where (tenant, sha256) > (%s, %s) order by tenant, sha256 limit %s
"""
STREAM_EXISTS: Final[LiteralString] = "select 1 from domainflow.head where stream = %s"
SOURCE_EXISTS: Final[LiteralString] = "select 1 from domainflow.source where tenant = %s and sha256 = %s"
CHUNKS: Final[LiteralString] = """
select chunk, data from domainflow.source_chunk where tenant = %s and sha256 = %s and chunk > %s order by chunk limit %s
"""


class StreamRow(Struct, frozen=True):
    """A stream's head, with its snapshot if it has one that is not above it."""

    stream: str
    tenant: str
    status: str | None
    snapshot_version: int | None
    fold_version: int | None
    snapshot: bytes | None
    begins: int  # the version of its first event that is not archived


class CampaignRow(Struct, frozen=True):
    """A campaign's row in the read model."""

    tenant: str
    principal: str
    name: str
    source_stream: str
    base: int
    count: int
    business_status: str | None
    deleted: bool


class ItemRow(Struct, frozen=True):
    """An open work item, with what belongs to it."""

    phase: int
    run: int
    batch: int
    tenant: str
    start: int
    stop: int
    state: int  # 0 ready, 1 claimed, 2 done, 3 parked, 4 dead
    held: bool  # names a runtime
    holder_known: bool  # that is registered
    has_result: bool


class ResultRow(Struct, frozen=True):
    """A batch's result."""

    phase: int
    run: int
    batch: int
    tenant: str
    start: int
    stop: int
    counts: bytes
    outcomes: bytes
    done: bool  # its work item is still there, and done


class HitRow(Struct, frozen=True):
    """A row that a phase kept of a name."""

    phase: int
    run: int
    position: int
    tenant: str
    body: bytes


class SourceRow(Struct, frozen=True):
    """What is known of a stored source."""

    tenant: str
    sha256: str
    size_bytes: int
    lines: int


def streams(connection: Instant, span: Span) -> Iterator[StreamRow]:
    """Yield the streams of a span that have a head, in its order."""
    after = ""
    while rows := connection.execute(STREAMS, (span.first, span.last, after, STREAM_PAGE)).fetchall():
        yield from (StreamRow(*row) for row in rows)
        after = rows[-1][0]


def events(connection: Instant, stream: str, *, begins: int, page: int = PAGE) -> Iterator[Recorded]:
    """Yield the events of a stream from version `begins` on, in order."""
    after, found = begins - 1, page
    while found == page:
        rows = connection.execute(EVENTS, (stream, after, page)).fetchall()
        yield from (Recorded(**dict(zip(Recorded.__struct_fields__, row, strict=True))) for row in rows)
        found, after = len(rows), rows[-1][1] if rows else after


def first_event(connection: Instant, stream: str) -> Recorded | None:
    """Return a stream's first event that is not archived; None: there is no such stream."""
    begins = beginning(connection, stream)[0] + 1
    return next(events(connection, stream, begins=begins, page=1), None)


def stream_exists(connection: Instant, stream: str) -> bool:
    """Whether a stream has a head."""
    return connection.execute(STREAM_EXISTS, (stream,)).fetchone() is not None


def campaign_row(connection: Instant, campaign: str) -> CampaignRow | None:
    """Return a campaign's row; None: it has none."""
    row = connection.execute(CAMPAIGN_ROW, (campaign,)).fetchone()
    return CampaignRow(*row) if row else None


def campaigns_of_source(connection: Instant, tenant: str, stream: str) -> int:
    """Return how many campaign rows name a source's stream."""
    row = connection.execute(OF_SOURCE, (tenant, stream)).fetchone()
    return int(row[0]) if row else 0


def items(connection: Instant, campaign: str) -> Iterator[ItemRow]:
    """Yield the open items of a campaign by (phase, run, batch)."""
    after = (-1, -1, -1)
    while rows := connection.execute(ITEMS, (campaign, *after, SLIM_PAGE)).fetchall():
        yield from (ItemRow(*row) for row in rows)
        after = rows[-1][:3]


def results(connection: Instant, campaign: str) -> Iterator[ResultRow]:
    """Yield the results of a campaign by (phase, run, batch)."""
    after = (-1, -1, -1)
    while rows := connection.execute(RESULTS, (campaign, *after, PAGE)).fetchall():
        yield from (ResultRow(*row) for row in rows)
        after = rows[-1][:3]


def hits(connection: Instant, campaign: str) -> Iterator[HitRow]:
    """Yield what the phases of a campaign kept, by (phase, run, position)."""
    after = (-1, -1, -1)
    while rows := connection.execute(HITS, (campaign, *after, PAGE)).fetchall():
        yield from (HitRow(*row) for row in rows)
        after = rows[-1][:3]


def sources(connection: Instant, after: SourceRow | None) -> tuple[SourceRow, ...]:
    """Return the next stored sources behind one (None: the first) by (tenant, hash); empty: there are no more."""
    tenant, sha256 = (after.tenant, after.sha256) if after else ("", "")
    return tuple(SourceRow(*row) for row in connection.execute(SOURCES, (tenant, sha256, SOURCE_PAGE)).fetchall())


def source_exists(connection: Instant, tenant: str, sha256: str) -> bool:
    """Whether a source is stored."""
    return connection.execute(SOURCE_EXISTS, (tenant, sha256)).fetchone() is not None


def chunks(connection: Instant, source: SourceRow) -> Iterator[tuple[int, bytes]]:
    """Yield (number, zlib data) of a source's chunks, in order."""
    after = -1
    while rows := connection.execute(CHUNKS, (source.tenant, source.sha256, after, CHUNK_PAGE)).fetchall():
        yield from ((row[0], row[1]) for row in rows)
        after = rows[-1][0]
