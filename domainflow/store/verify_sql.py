"""Verify's own SQL: what the write path did is read and recomputed here by other statements than those that wrote it.

Streams are judged span by span, each in a transaction of REPEATABLE READ of its own: a live runtime beside it raises no
false alarm, vacuum waits for one span and not for all, and nothing is written that would hold a reader of the feed
back. Here is what whole sets are asked; rows that verify decodes and folds by itself are read in `verify_rows`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, LiteralString

import psycopg
from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import Corrupt, StoreUnavailable
from domainflow.store import pool
from domainflow.store.faults import Fault, Kind
from domainflow.store.sqlstates import meaning
from domainflow.store.transaction import Kind as TransactionKind
from domainflow.store.transaction import transaction

FAULTS_AT_ONCE: Final = 500
STREAMS_A_SPAN: Final = 2000
EVENTS_A_SPAN: Final = 50_000  # or those of one stream, if it alone has more

# What is behind a stream, whether a head, an event or a snapshot is there: nothing lies between two spans.
SPAN: Final[LiteralString] = """
with ahead as (
  select stream, row_number() over w as streams, sum(version) over w as events
    from (select stream, version from domainflow.head where stream > %(after)s order by stream limit %(streams)s) h
  window w as (order by stream)
)
select least((select min(stream) from domainflow.head where stream > %(after)s),
             (select min(stream) from domainflow.event where stream > %(after)s),
             (select min(stream) from domainflow.snapshot where stream > %(after)s)),
       coalesce((select min(stream) from ahead where streams = %(streams)s or events >= %(events)s),
                greatest((select max(stream) from domainflow.head),
                         (select max(stream) from domainflow.event),
                         (select max(stream) from domainflow.snapshot)))
"""
COUNT_STREAMS: Final[LiteralString] = "select count(*) from domainflow.head"
EVENTS_OF: Final[LiteralString] = """
select coalesce(sum(version), 0)::bigint from domainflow.head where stream between %(first)s and %(last)s
"""
COUNT_SOURCES: Final[LiteralString] = "select count(*) from domainflow.source"

# The preimage as `chain` has it. A time that is no number of microseconds cannot have been hashed: no hash fits it.
# What is archived is not looked at, be it still there: the seal's hash covers the one that is kept of the event before.
CHAINS: Final[LiteralString] = """
with walked as (
  select e.stream, e.version, e.tenant, e.hash,
         coalesce(lag(e.version) over w + 1, a.version, 1) as expected,
         first_value(e.tenant) over w as first_tenant,
         sha256('domainflow event 1'::bytea || sha256(convert_to(e.stream, 'UTF8')) || int8send(e.version)
                || coalesce(lag(e.hash) over w, a.previous, decode(repeat('00', 32), 'hex'))
                || sha256(convert_to(e.tenant, 'UTF8'))
                || int8send((extract(epoch from case when recorded_at between '1970-01-01 00:00+00'
                                                                           and '9999-12-31 00:00+00'
                                                     then recorded_at end) * 1000000)::bigint)
                || sha256(convert_to(type, 'UTF8')) || int4send(type_version::int)
                || sha256(context) || sha256(body)) as recomputed
    from domainflow.event e left join domainflow.archive a on a.stream = e.stream
   where e.stream between %(first)s and %(last)s and e.version >= coalesce(a.version, 1)
  window w as (partition by e.stream order by e.version)
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
            when e.version <> h.version
              then format('its head is at version %%s, its last event at %%s', h.version, e.version)
            when e.hash <> h.hash then format('the hash of its head is not that of version %%s', e.version)
            else format('its head is of tenant %%s, its last event of %%s', h.tenant, e.tenant) end
  from domainflow.head h
  left join lateral (select version, hash, tenant from domainflow.event
                      where stream = h.stream order by version desc limit 1) e on true
 where h.stream between %(first)s and %(last)s
   and (e.version, e.hash, e.tenant) is distinct from (h.version, h.hash, h.tenant)
"""
HEADLESS: Final[LiteralString] = """
select 'events_without_head', e.stream, format('%%s events', count(*)) from domainflow.event e
 where e.stream between %(first)s and %(last)s
   and not exists (select 1 from domainflow.head h where h.stream = e.stream) group by e.stream
"""
OWNERSHIP: Final[LiteralString] = """
select 'ownership_wrong', stream,
       case when epoch is not null then 'a shared stream has an owner epoch'
            when owner is not null then 'it has an owner and no owner epoch'
            else 'an owned stream has no owner epoch' end
  from domainflow.head
 where stream between %(first)s and %(last)s
   and (epoch is null and (owner is not null or stream like 'campaign/%%' or stream like 'schedule/%%')
        or epoch is not null and not (stream like 'campaign/%%' or stream like 'schedule/%%'))
"""
SNAPSHOTS: Final[LiteralString] = """
select 'snapshot_misplaced', s.stream,
       case when h.stream is null then 'it has a snapshot and no head'
            when s.version > h.version
              then format('its snapshot is at version %%s, its head at %%s', s.version, h.version)
            when s.version < coalesce(a.version, 1) then format('its snapshot is at version %%s', s.version)
            else format('its snapshot is of tenant %%s, its head of %%s', s.tenant, h.tenant) end
  from domainflow.snapshot s left join domainflow.head h using (stream) left join domainflow.archive a using (stream)
 where s.stream between %(first)s and %(last)s
   and (h.stream is null or s.version > h.version or s.version < coalesce(a.version, 1) or s.tenant <> h.tenant)
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
select 'item_unexpected', 'campaign/' || w.campaign,
       format('%%s work items of a campaign that does not exist', count(*))
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
OF_A_SPAN: Final[tuple[LiteralString, ...]] = (CHAINS, HEADS, HEADLESS, OWNERSHIP, SNAPSHOTS)
# No two statements of them need to agree on an instant.
ACROSS_STREAMS: Final[tuple[LiteralString, ...]] = (COMMANDS, ROWS, ORPHANED_ITEMS, ORPHANED_BATCHES, ORPHANED_HITS)


class Span(Struct, frozen=True):
    """The streams from `first` to `last`, both of them in it, in the database's order."""

    first: str
    last: str


@contextmanager
def instant(dsn: str) -> Iterator[Connection[TupleRow]]:
    """Open a connection that sees every tenant as of one instant and can write nothing.

    Raises StoreUnavailable; Corrupt when Postgres itself cannot read what it stored; StoreRefused when it refuses to.
    """
    connection = pool.connect(dsn, "upkeep")
    connection.read_only = True
    try:
        with connection, transaction(connection, TransactionKind.VERIFY, one_instant=True):
            yield connection
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise StoreUnavailable(f"Postgres cannot be used just now: {str(error).strip()}") from error
    except psycopg.InternalError as error:
        raise Corrupt(f"Postgres cannot read what it stored: {str(error).strip()}") from error
    except psycopg.Error as error:
        raise meaning(error, lost=False, outcome="nothing is known of what was read") from error


def span_after(connection: Connection[TupleRow], after: str, *, events: int | None = None) -> Span | None:
    """Return the next streams to be judged behind one ("": the first); None: there are no more.

    `events`: about how many of them, and those of one stream at least. None: EVENTS_A_SPAN.
    """
    bounds = {"after": after, "streams": STREAMS_A_SPAN, "events": EVENTS_A_SPAN if events is None else events}
    row = connection.execute(SPAN, bounds).fetchone()
    return Span(row[0], row[1]) if row and row[0] is not None else None


def events_of(connection: Connection[TupleRow], span: Span) -> int:
    """Return how many events the streams of a span have."""
    row = connection.execute(EVENTS_OF, {"first": span.first, "last": span.last}).fetchone()
    return int(row[0]) if row else 0


def faults_of_span(connection: Connection[TupleRow], span: Span) -> Iterator[Fault]:
    """Yield what is wrong with streams themselves, without a look at what their events say."""
    for query in OF_A_SPAN:
        yield from _faults(connection, query, {"first": span.first, "last": span.last})


def faults_across_streams(connection: Connection[TupleRow], query: LiteralString) -> Iterator[Fault]:
    """Yield what one of ACROSS_STREAMS finds wrong."""
    return _faults(connection, query, {})


def count(connection: Connection[TupleRow], query: LiteralString) -> int:
    """Return what COUNT_STREAMS or COUNT_SOURCES asks for."""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _faults(connection: Connection[TupleRow], query: LiteralString, values: dict[str, str]) -> Iterator[Fault]:
    with connection.cursor(name="faults") as cursor:
        cursor.itersize = FAULTS_AT_ONCE
        # Parameters, if none, so that a doubled percent sign is one in every statement here.
        for kind, where, text in cursor.execute(query, values):
            yield Fault(Kind(kind), where, text)
