"""What the monitor reads: what may have come to a stop, and whose alerts there are. It writes nothing."""

from typing import Final, LiteralString

from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.store import reconcile_sql
from domainflow.store.watched import MOST, Behind, Overdue, Silent, Still, Waiting, Watched, Writer
from domainflow.store.work_items import SUSPECT_AFTER

LIVE: Final[LiteralString] = "with live as materialized (select id from domainflow.live_runtime)"
STILL: Final[LiteralString] = """
select h.stream, h.tenant, h.version, h.status, e.type,
       extract(epoch from clock_timestamp() - e.recorded_at)::float8,
       (select count(*) from domainflow.work_item w where w.campaign = substr(h.stream, 10)::uuid and w.state = 2)
  from domainflow.head h join domainflow.event e on e.stream = h.stream and e.version = h.version
 where h.status in ('running', 'pausing') and h.stream like 'campaign/%%'
   and e.recorded_at < clock_timestamp() - make_interval(secs => %(stall_s)s)
   and not exists (select 1 from domainflow.work_item w
                    where w.campaign = substr(h.stream, 10)::uuid and w.state in (0, 1))
 order by e.recorded_at limit %(most)s
"""
# Whoever runs alone waits for a worker without anything else in hand, and is passed by until then.
READY: Final[LiteralString] = f"""
{LIVE}, newest as materialized (
  select run_at, id from domainflow.work_item
   where state = 1 and runtime in (select id from live) order by run_at desc, id desc limit 1
)
select w.id, w.fence, h.stream, w.tenant, null,
       not exists (select 1 from newest) or exists (select 1 from newest n where (n.run_at, n.id) > (w.run_at, w.id))
  from domainflow.work_item w join domainflow.head h on h.stream = 'campaign/' || w.campaign and h.status = 'running'
 where w.state = 0 and w.run_at < clock_timestamp() - make_interval(secs => %(stall_s)s)
   and (w.losses < %(suspect_after)s or not exists (select 1 from newest))
 order by w.run_at, w.id limit %(most)s
"""  # noqa: S608 - constants of this file
# Also by the dead: what they had is put back within a sweep, unless somebody else holds its row.
CLAIMED: Final[LiteralString] = """
select w.id, w.fence, 'campaign/' || w.campaign, w.tenant, w.runtime::text, false
  from domainflow.work_item w
 where w.state = 1 and w.run_at < clock_timestamp() - make_interval(secs => %(held_s)s)
 order by w.run_at, w.id limit %(most)s
"""
OVERDUE: Final[LiteralString] = f"""
{LIVE}
select c.stream, c.tenant, h.owner::text, count(*),
       max(extract(epoch from clock_timestamp() - c.deadline))::float8
  from domainflow.command c join domainflow.head h on h.stream = c.stream
 where c.answered_at is null and c.deadline < clock_timestamp() - make_interval(secs => %(stall_s)s)
   and h.owner in (select id from live)
 group by c.stream, c.tenant, h.owner order by 5 desc limit %(most)s
"""  # noqa: S608 - constants of this file
# How old it is Postgres hides, of whoever's it is not; which one it is and whose it does not.
WRITERS: Final[LiteralString] = """
select xid::text::bigint, pid, coalesce(database, ''), coalesce(usename, ''), coalesce(application, ''),
       coalesce(state, '')
  from (select backend_xid as xid, pid, datname as database, usename, application_name as application, state
          from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
        union all select transaction, 0, database, owner, gid, 'prepared' from pg_prepared_xacts) writer
 order by age(xid) desc limit %(most)s
"""
# A projection's place moves past whatever it looked at, so the next event behind it tells, whoever's it is.
BEHIND: Final[LiteralString] = """
select p.tenant, p.name, p.version, p.generation, extract(epoch from clock_timestamp() - e.recorded_at)::float8
  from domainflow.projection p cross join lateral (
    select era, xid, recorded_at from domainflow.event where (era, xid, seq) > (p.era, p.xid, p.seq)
     order by event.era, event.xid, event.seq limit 1) e
 where p.live and e.recorded_at < clock_timestamp() - make_interval(secs => %(lag_s)s)
   and (e.era, e.xid) < ((select max(era) from domainflow.era), pg_snapshot_xmin(pg_current_snapshot()))
 order by e.recorded_at limit %(most)s
"""
SILENT: Final[LiteralString] = """
select r.id::text, r.host, r.pid, extract(epoch from clock_timestamp() - r.lease_until)::float8
  from domainflow.runtime r
 where r.lease_until < clock_timestamp()
   and exists (select 1 from pg_locks l
                where l.locktype = 'advisory' and l.granted and l.objsubid = 1
                  and l.database = (select d.oid from pg_database d where d.datname = current_database())
                  and (l.classid::bigint << 32) | l.objid::bigint = r.lock_key)
 order by r.lease_until limit %(most)s
"""
# Their quarantine is over, and whether they can live now is to be seen.
ON_TRIAL: Final[LiteralString] = """
select q.stream from domainflow.quarantine q join domainflow.head h on h.stream = q.stream and h.version = q.version
 where q.rounds > 0 and q.until <= clock_timestamp()
   and greatest(q.last_at, q.until) > clock_timestamp() - make_interval(secs => %(window_s)s)
 order by q.until limit %(most)s
"""
ALIVE: Final[LiteralString] = "select id::text from domainflow.live_runtime order by id"
TENANTS: Final[LiteralString] = "select tenant from domainflow.head where stream like 'monitor/%' order by tenant"
TENANT_OF: Final[LiteralString] = """
select tenant from (
  select 1 as n, tenant from domainflow.head where stream = %(stream)s
  union all (select 2, tenant from domainflow.event where stream = %(stream)s order by version limit 1)
  union all select 3, tenant from domainflow.snapshot where stream = %(stream)s) known
 order by n limit 1
"""


def observe(connection: Connection[TupleRow], *, stall_s: float, held_s: float, lag_s: float) -> Watched:
    """Return what is as it is for `stall_s`, `held_s` or `lag_s`, or may be; in a transaction of REPEATABLE READ."""
    values = {"stall_s": stall_s, "held_s": held_s, "lag_s": lag_s, "most": MOST, "suspect_after": SUSPECT_AFTER}
    trial = {"window_s": reconcile_sql.WINDOW_S, "most": MOST}
    connection.execute(reconcile_sql.READ_ONLY)
    still = tuple(Still(*row) for row in connection.execute(STILL, values).fetchall())
    waiting = [
        *connection.execute(READY, values).fetchall(),
        *connection.execute(CLAIMED, values).fetchall(),
    ]
    return Watched(
        still=still,
        waiting=tuple(Waiting(*row) for row in waiting),
        overdue=tuple(Overdue(*row) for row in connection.execute(OVERDUE, values).fetchall()),
        alone=tuple(reconcile_sql.in_quarantine(connection)),
        on_trial=tuple(row[0] for row in connection.execute(ON_TRIAL, trial).fetchall()),
        writers=tuple(Writer(*row) for row in connection.execute(WRITERS, values).fetchall()),
        behind=tuple(Behind(*row) for row in connection.execute(BEHIND, values).fetchall()),
        silent=tuple(Silent(*row) for row in connection.execute(SILENT, values).fetchall()),
        alive=tuple(row[0] for row in connection.execute(ALIVE).fetchall()),
    )


def tenants(connection: Connection[TupleRow]) -> list[str]:
    """Return those that the monitor has recorded something for; reads every head, so not for each look."""
    return [row[0] for row in connection.execute(TENANTS).fetchall()]


def tenant_of(connection: Connection[TupleRow], stream: str) -> str | None:
    """Return whose stream it is, by whatever is left of it; None: by nothing."""
    row = connection.execute(TENANT_OF, {"stream": stream}).fetchone()
    return row[0] if row else None
