"""Verify's own SQL: what the write path did is read and recomputed here by other statements than those that wrote it.

One transaction of REPEATABLE READ, so that a live runtime beside it raises no false alarm; it writes nothing, hence
holds no reader of the feed back. Here is what whole sets are asked; rows that verify decodes and folds by itself
are read in `verify_rows`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import Corrupt, StoreUnavailable
from domainflow.store import pool
from domainflow.store.faults import Fault, Kind
from domainflow.store.transaction import transaction

STATEMENT_TIMEOUT_MS: Final = 3_600_000  # one statement walks the chains of all streams
IDLE_TIMEOUT_MS: Final = 600_000  # of a reader that thinks about a fault
FAULTS_AT_ONCE: Final = 500

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
                || int8send((extract(epoch from case when recorded_at between '1970-01-01 00:00+00'
                                                                           and '9999-12-31 00:00+00'
                                                     then recorded_at end) * 1000000)::bigint)
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
            when e.version <> h.version
              then format('its head is at version %%s, its last event at %%s', h.version, e.version)
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
            when s.version > h.version
              then format('its snapshot is at version %%s, its head at %%s', s.version, h.version)
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


@contextmanager
def instant(dsn: str) -> Iterator[Connection[TupleRow]]:
    """Open a connection that sees every tenant as of one instant and can write nothing.

    Raises StoreUnavailable; Corrupt when Postgres itself cannot read what it stored.
    """
    connection = pool.connect(dsn, "upkeep")
    connection.read_only = True
    try:
        with connection, transaction(connection, statement_timeout_ms=STATEMENT_TIMEOUT_MS, one_instant=True):
            connection.execute(IDLE, (str(IDLE_TIMEOUT_MS),))
            yield connection
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise StoreUnavailable(f"Postgres cannot be used just now: {str(error).strip()}") from error
    except psycopg.InternalError as error:
        raise Corrupt(f"Postgres cannot read what it stored: {str(error).strip()}") from error


def faults_of_sets(connection: Connection[TupleRow], query: LiteralString) -> Iterator[Fault]:
    """Yield what one of SETS finds wrong."""
    with connection.cursor(name="faults") as cursor:
        cursor.itersize = FAULTS_AT_ONCE
        # Parameters, if none, so that a doubled percent sign is one in every statement here.
        for kind, where, text in cursor.execute(query, ()):
            yield Fault(Kind(kind), where, text)
