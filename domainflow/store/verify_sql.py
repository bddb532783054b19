"""Verify's own SQL: what the write path did is read and recomputed here by other statements than those that wrote it.

One transaction of REPEATABLE READ, so that a live runtime beside it raises no false alarm; it writes nothing, hence
holds no reader of the feed back. Everything streams: pages by key, or a cursor on the server. Decoding is one floor up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, LiteralString

import psycopg
from msgspec import Struct
from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow

from domainflow.errors import Corrupt, StoreUnavailable
from domainflow.store import pool
from domainflow.store.faults import Fault, Kind
from domainflow.store.port import Recorded
from domainflow.store.transaction import transaction

STATEMENT_TIMEOUT_MS: Final = 3_600_000  # one statement walks the chains of all streams
IDLE_TIMEOUT_MS: Final = 600_000  # of a reader that thinks about a fault
PAGE: Final = 500  # rows; a keyword list makes an event of 1 MB, so not more
SLIM_PAGE: Final = 5000  # of rows below 100 bytes
CHUNK_PAGE: Final = 4  # of up to 1 MB each

IDLE: Final[LiteralString] = "select set_config('idle_in_transaction_session_timeout', %s, true)"

# The preimage as `chain` has it. A time that is no number of microseconds cannot have been hashed: no hash fits it.
CHAINS: Final[LiteralString] = """
with walked as (
  select stream, version, tenant, hash,
         coalesce(lag(version) over w, 0) + 1 as expected,
         first_value(tenant) over w as first_tenant,
         sha256('domainflow event 1'::bytea || sha256(convert_to(stream, 'UTF8')) || int8send(version)
                || coalesce(lag(hash) over w, decode(repeat('00', 32), 'hex'))
                || sha256(convert_to(tenant, 'UTF8'))
                || int8send((extract(epoch from case when isfinite(recorded_at) then recorded_at end) * 1000000)::bigint)
                || sha256(convert_to(type, 'UTF8')) || int4send(type_version::int)
                || sha256(context) || sha256(body)) as recomputed
    from domainflow.event window w as (partition by stream order by version)
), judged as (
  select stream, version,
         case when version <> expected then 'version_gap'
              when hash is distinct from recomputed then 'chain_broken'
              when tenant <> first_tenant then 'tenant_differs' end as kind,
         expected, tenant, first_tenant
    from walked
)
select kind, stream,
       case kind when 'version_gap' then format('version %%s stands where %%s should', version, expected)
                 when 'chain_broken' then format('the hash of version %%s does not cover what is stored', version)
                 else format('version %%s is of tenant %%s, the stream of %%s', version, tenant, first_tenant) end
  from judged where kind is not null
"""
HEADS: Final[LiteralString] = """
select case when e.version is null then 'head_without_events' else 'head_differs' end, h.stream,
       case when e.version is null then format('its head is at version %%s', h.version)
            when e.version <> h.version then format('its head is at version %%s, its last event at %%s', h.version, e.version)
            when e.hash <> h.hash then format('the hash of its head is not that of version %%s', e.version)
            else format('its head is of tenant %%s, its last event of %%s', h.tenant, e.tenant) end
  from domainflow.head h
  left join lateral (select version, hash, tenant from domainflow.event
                      where stream = h.stream order by version desc limit 1) e on true
 where (e.version, e.hash, e.tenant) is distinct from (h.version, h.hash, h.tenant)
"""
HEADLESS: Final[LiteralString] = """
select 'events_without_head', e.stream, format('%%s events', count(*)) from domainflow.event e
 where not exists (select 1 from domainflow.head h where h.stream = e.stream) group by e.stream
"""
OWNERSHIP: Final[LiteralString] = """
select 'ownership_wrong', stream,
       case when epoch is not null then 'a shared stream has an owner epoch'
            when owner is not null then 'it has an owner and no owner epoch'
            else 'an owned stream has no owner epoch' end
  from domainflow.head
 where (epoch is null and (owner is not null or stream like 'campaign/%%' or stream like 'schedule/%%'))
    or (epoch is not null and not (stream like 'campaign/%%' or stream like 'schedule/%%'))
"""
SNAPSHOTS: Final[LiteralString] = """
select 'snapshot_misplaced', s.stream,
       case when h.stream is null then 'it has a snapshot and no head'
            when s.version > h.version then format('its snapshot is at version %%s, its head at %%s', s.version, h.version)
            when s.version < 1 then format('its snapshot is at version %%s', s.version)
            else format('its snapshot is of tenant %%s, its head of %%s', s.tenant, h.tenant) end
  from domainflow.snapshot s left join domainflow.head h using (stream)
 where h.stream is null or s.version > h.version or s.version < 1 or s.tenant <> h.tenant
"""
COMMANDS: Final[LiteralString] = """
select 'command_inconsistent', 'command/' || c.id,
       case when (c.answered_at is null) <> (c.answer is null) then 'it is half answered'
            else format('it is of tenant %%s, its stream %%s of %%s', c.tenant, c.stream, h.tenant) end
  from domainflow.command c left join domainflow.head h using (stream)
 where (c.answered_at is null) <> (c.answer is null) or c.tenant <> h.tenant
"""
ROWS: Final[LiteralString] = """
select 'campaign_row_without_stream', 'campaign/' || c.id, 'its row is listed, and there is no such stream'
  from domainflow.campaign c
 where not exists (select 1 from domainflow.head h where h.stream = 'campaign/' || c.id)
"""
ORPHANED_ITEMS: Final[LiteralString] = """
select 'item_unexpected', 'campaign/' || w.campaign, format('%%s work items of a campaign that does not exist', count(*))
  from domainflow.work_item w
 where not exists (select 1 from domainflow.head h where h.stream = 'campaign/' || w.campaign) group by w.campaign
"""
ORPHANED_BATCHES: Final[LiteralString] = """
select 'result_stray', 'campaign/' || b.campaign, format('%%s results of a campaign that does not exist', count(*))
  from domainflow.batch b
 where not exists (select 1 from domainflow.head h where h.stream = 'campaign/' || b.campaign) group by b.campaign
"""
ORPHANED_HITS: Final[LiteralString] = """
select 'hit_stray', 'campaign/' || i.campaign, format('%%s rows of a campaign that does not exist', count(*))
  from domainflow.hit i
 where not exists (select 1 from domainflow.head h where h.stream = 'campaign/' || i.campaign) group by i.campaign
"""
SETS: Final[tuple[tuple[str, LiteralString], ...]] = (
    ("chains", CHAINS),
    ("heads", HEADS),
    ("heads", HEADLESS),
    ("heads", OWNERSHIP),
    ("snapshots", SNAPSHOTS),
    ("commands", COMMANDS),
    ("campaign rows", ROWS),
    ("ledger", ORPHANED_ITEMS),
    ("results", ORPHANED_BATCHES),
    ("results", ORPHANED_HITS),
)

STREAMS: Final[LiteralString] = """
select h.stream, h.tenant, h.status, s.version, s.fold_version, s.state
  from domainflow.head h left join domainflow.snapshot s on s.stream = h.stream and s.version <= h.version
 where h.stream like %s and h.stream > %s order by h.stream limit %s
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


@contextmanager
def instant(dsn: str) -> Iterator[Connection[TupleRow]]:
    """Open a connection that sees every tenant as of one instant and can write nothing.

    Raises StoreUnavailable; Corrupt when Postgres itself cannot read what it stored.
    """
    connection = pool.connect(dsn, "upkeep")
    connection.isolation_level = IsolationLevel.REPEATABLE_READ  # said with BEGIN: it must come before any query
    connection.read_only = True
    try:
        with connection, transaction(connection, statement_timeout_ms=STATEMENT_TIMEOUT_MS):
            connection.execute(IDLE, (str(IDLE_TIMEOUT_MS),))
            yield connection
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise StoreUnavailable(f"Postgres cannot be used just now: {str(error).strip()}") from error
    except psycopg.InternalError as error:
        raise Corrupt(f"Postgres cannot read what it stored: {str(error).strip()}") from error


def faults_of_sets(connection: Connection[TupleRow], query: LiteralString) -> Iterator[Fault]:
    """Yield what one of SETS finds wrong."""
    with connection.cursor(name="faults") as cursor:
        cursor.itersize = PAGE
        # Parameters, if none, so that a doubled percent sign is one in every statement here.
        for kind, where, text in cursor.execute(query, ()):
            yield Fault(Kind(kind), where, text)


def streams(connection: Connection[TupleRow], prefix: str) -> Iterator[StreamRow]:
    """Yield the streams whose names begin with `prefix`, in one fixed order; a snapshot is at most 1 MB or so."""
    after = ""
    while rows := connection.execute(STREAMS, (prefix + "%", after, 20)).fetchall():
        yield from (StreamRow(*row) for row in rows)
        after = rows[-1][0]


def events(connection: Connection[TupleRow], stream: str, *, page: int = PAGE) -> Iterator[Recorded]:
    """Yield all events of a stream, in order."""
    after = 0
    while rows := connection.execute(EVENTS, (stream, after, page)).fetchall():
        yield from (Recorded(**dict(zip(Recorded.__struct_fields__, row, strict=True))) for row in rows)
        after = rows[-1][1]


def first_event(connection: Connection[TupleRow], stream: str) -> Recorded | None:
    """Return a stream's first event; None: there is no such stream."""
    return next(events(connection, stream, page=1), None)


def campaign_row(connection: Connection[TupleRow], campaign: str) -> CampaignRow | None:
    """Return a campaign's row; None: it has none."""
    row = connection.execute(CAMPAIGN_ROW, (campaign,)).fetchone()
    return CampaignRow(*row) if row else None


def campaigns_of_source(connection: Connection[TupleRow], tenant: str, stream: str) -> int:
    """Return how many campaign rows name a source's stream."""
    row = connection.execute(OF_SOURCE, (tenant, stream)).fetchone()
    return int(row[0]) if row else 0


def items(connection: Connection[TupleRow], campaign: str) -> Iterator[ItemRow]:
    """Yield the open items of a campaign by (phase, run, batch)."""
    after = (-1, -1, -1)
    while rows := connection.execute(ITEMS, (campaign, *after, SLIM_PAGE)).fetchall():
        yield from (ItemRow(*row) for row in rows)
        after = rows[-1][:3]


def results(connection: Connection[TupleRow], campaign: str) -> Iterator[ResultRow]:
    """Yield the results of a campaign by (phase, run, batch)."""
    after = (-1, -1, -1)
    while rows := connection.execute(RESULTS, (campaign, *after, PAGE)).fetchall():
        yield from (ResultRow(*row) for row in rows)
        after = rows[-1][:3]


def hits(connection: Connection[TupleRow], campaign: str) -> Iterator[HitRow]:
    """Yield what the phases of a campaign kept, by (phase, run, position)."""
    after = (-1, -1, -1)
    while rows := connection.execute(HITS, (campaign, *after, PAGE)).fetchall():
        yield from (HitRow(*row) for row in rows)
        after = rows[-1][:3]


def sources(connection: Connection[TupleRow]) -> Iterator[SourceRow]:
    """Yield the stored sources by (tenant, hash)."""
    after = ("", "")
    while rows := connection.execute(SOURCES, (*after, PAGE)).fetchall():
        yield from (SourceRow(*row) for row in rows)
        after = rows[-1][:2]


def source_exists(connection: Connection[TupleRow], tenant: str, sha256: str) -> bool:
    """Whether a source is stored."""
    return connection.execute(SOURCE_EXISTS, (tenant, sha256)).fetchone() is not None


def chunks(connection: Connection[TupleRow], source: SourceRow) -> Iterator[tuple[int, bytes]]:
    """Yield (number, zlib data) of a source's chunks, in order."""
    after = -1
    while rows := connection.execute(CHUNKS, (source.tenant, source.sha256, after, CHUNK_PAGE)).fetchall():
        yield from ((row[0], row[1]) for row in rows)
        after = rows[-1][0]
