"""What the reconciler reads and writes: differences between what should be alive and what is, and its quarantine.

Read as of one instant, and never more than MOST rows of a kind: what is left is there at the next look.
"""

from collections.abc import Callable, Iterator
from typing import Final, LiteralString

from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.store.observed import LostClaim, Observed, Quarantined, Tried, Wanted, Why

MOST: Final = 500  # rows of a kind
WINDOW_S: Final = 60.0  # tries that lie further apart have nothing to do with each other
FORGET_S: Final = 3600.0

READ_ONLY: Final[LiteralString] = "set transaction read only"
# Left out here rather than by the plan: more of them than a look holds would hide all others.
NOT_IN_QUARANTINE: Final[LiteralString] = """
   and not exists (select 1 from domainflow.quarantine q
                    where q.stream = h.stream and q.version = h.version and q.until > clock_timestamp())
"""
LIVE: Final[LiteralString] = "with live as materialized (select id from domainflow.live_runtime)"
OWNERLESS: Final[LiteralString] = "(h.owner is null or h.owner not in (select id from live))"
ORPHANED: Final[LiteralString] = f"""
{LIVE}
select h.stream, h.tenant, h.version, h.status, h.owner::text, 0
  from domainflow.head h
 where h.status in ('queued', 'running', 'pausing') and {OWNERLESS} {NOT_IN_QUARANTINE}
 order by h.stream limit %(most)s
"""  # noqa: S608 - constants of this file
OWNED: Final[LiteralString] = f"""
select h.stream, h.tenant, h.version, h.status, h.owner::text, 0
  from domainflow.head h
 where h.owner = %(runtime)s::uuid and h.status in ('queued', 'running', 'pausing') {NOT_IN_QUARANTINE}
"""  # noqa: S608 - constants of this file
DONE: Final[LiteralString] = f"""
{LIVE}, done as materialized (
  select 'campaign/' || campaign as stream, count(*) as batches
    from domainflow.work_item where state = 2 group by campaign
)
select h.stream, h.tenant, h.version, h.status, h.owner::text, d.batches
  from done d join domainflow.head h on h.stream = d.stream
 where h.status in ('paused', 'failed') and (h.owner = %(runtime)s::uuid or {OWNERLESS}) {NOT_IN_QUARANTINE}
"""  # noqa: S608 - constants of this file
UNHEARD: Final[LiteralString] = f"""
{LIVE}, waiting as materialized (
  select stream, count(*) as commands from domainflow.command
   where answered_at is null and deadline > clock_timestamp() group by stream
)
select h.stream, h.tenant, h.version, h.status, h.owner::text, w.commands
  from waiting w join domainflow.head h on h.stream = w.stream
 where h.stream like 'campaign/%%' and {OWNERLESS} {NOT_IN_QUARANTINE}
 order by h.stream limit %(most)s
"""  # noqa: S608 - constants of this file
LOST: Final[LiteralString] = f"""
{LIVE}
select w.id, w.tenant, w.runtime::text from domainflow.work_item w
 where w.state = 1 and w.runtime <> %(runtime)s::uuid and w.runtime not in (select id from live)
 order by w.id limit %(most)s
"""  # noqa: S608 - constants of this file
TRIED: Final[LiteralString] = """
select stream, version, tries, rounds, reason from domainflow.quarantine
 where stream = any(%(streams)s)
   and greatest(last_at, until) > clock_timestamp() - make_interval(secs => %(window_s)s)
"""
# Skip locked: who meets another reconciler, or a completion in flight, leaves the row to it.
PUT_BACK: Final[LiteralString] = """
with lost as materialized (
  select w.id from domainflow.work_item w
   where w.id = any(%(items)s) and w.state = 1 and w.runtime = %(dead)s::uuid
     and w.runtime not in (select id from domainflow.live_runtime)
   order by w.id for update skip locked
)
update domainflow.work_item w set state = 0, fence = w.fence + 1, runtime = null from lost where w.id = lost.id
"""
FORGET: Final[LiteralString] = """
delete from domainflow.quarantine
 where greatest(last_at, until) < clock_timestamp() - make_interval(secs => %(forget_s)s)
"""
COUNT: Final[LiteralString] = """
insert into domainflow.quarantine as q (stream, tenant, version, tries, rounds, reason)
values (%(stream)s, %(tenant)s, %(version)s, 1, 0, %(reason)s)
on conflict (stream) do update
   set (version, tries, rounds, first_at, until) =
       (select excluded.version, case when again then q.tries + 1 else 1 end, case when again then q.rounds else 0 end,
               case when again then q.first_at else excluded.first_at end, case when again then q.until end
          from (select q.version = excluded.version and greatest(q.last_at, q.until)
                       > clock_timestamp() - make_interval(secs => %(window_s)s) as again) as known),
       last_at = excluded.last_at, reason = excluded.reason
"""
# Of two that decide this at once, one does it.
CONFINE: Final[LiteralString] = """
update domainflow.quarantine
   set rounds = rounds + 1, tries = %(tries)s, until = clock_timestamp() + make_interval(secs => %(for_s)s)
 where stream = %(stream)s and version = %(version)s and rounds = %(rounds)s
"""
IN_QUARANTINE: Final[LiteralString] = """
select q.stream, q.tenant, q.version, q.rounds, q.reason,
       to_char(q.first_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       to_char(q.until at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
  from domainflow.quarantine q join domainflow.head h on h.stream = q.stream and h.version = q.version
 where q.until > clock_timestamp() and (%(stream)s::text is null or q.stream = %(stream)s)
 order by q.until, q.stream limit %(most)s
"""
RELEASE: Final[LiteralString] = "delete from domainflow.quarantine where stream = %s"


def observe(connection: Connection[TupleRow], runtime: str, is_live: Callable[[str], bool]) -> Observed:
    """Return what should be otherwise, as `runtime` would mend it; in a transaction of REPEATABLE READ.

    `is_live`: whether an actor of a stream lives in `runtime`. A stream may be wanted for several reasons.
    """
    connection.execute(READ_ONLY)
    values = {"runtime": runtime, "most": MOST}
    wanted = (
        *(_wanted(row, Why.ORPHANED) for row in connection.execute(ORPHANED, values).fetchall()),
        *_missing(connection, OWNED, runtime, is_live, Why.UNTENDED),
        *_missing(connection, DONE, runtime, is_live, Why.UNACCOUNTED),
        *(_wanted(row, Why.UNHEARD) for row in connection.execute(UNHEARD, values).fetchall()),
    )
    lost = tuple(LostClaim(*row) for row in connection.execute(LOST, values).fetchall())
    return Observed(wanted, lost, _tried(connection, [each.stream for each in wanted]))


def put_back(connection: Connection[TupleRow], dead: str, items: tuple[int, ...]) -> int:
    """Put back these items, as far as that dead runtime still has them; return how many."""
    return connection.execute(PUT_BACK, {"dead": dead, "items": list(items)}).rowcount


def count_try(connection: Connection[TupleRow], wanted: Wanted, reason: str) -> None:
    """Count a start that came to nothing; tries at another version, or long ago, count no more."""
    connection.execute(FORGET, {"forget_s": FORGET_S})
    about = {"stream": wanted.stream, "tenant": wanted.tenant, "version": wanted.version}
    connection.execute(COUNT, {**about, "reason": reason, "window_s": WINDOW_S})


def confine(connection: Connection[TupleRow], tried: Tried, *, for_s: float, tries: int) -> None:
    """Leave a stream alone for a while; `tries`: what it is taken to have had when that is over."""
    about = {"stream": tried.stream, "version": tried.version, "rounds": tried.rounds}
    connection.execute(CONFINE, {**about, "for_s": for_s, "tries": tries})


def in_quarantine(connection: Connection[TupleRow], stream: str | None = None) -> list[Quarantined]:
    """Return up to MOST streams that are left alone just now, by when that ends; `stream`: that one, if it is."""
    rows = connection.execute(IN_QUARANTINE, {"most": MOST, "stream": stream}).fetchall()
    return [Quarantined(*row) for row in rows]


def release(connection: Connection[TupleRow], stream: str) -> None:
    """Forget what was tried with a stream, and so its quarantine."""
    connection.execute(RELEASE, (stream,))


def _missing(
    connection: Connection[TupleRow], query: LiteralString, runtime: str, is_live: Callable[[str], bool], why: Why
) -> Iterator[Wanted]:
    """Yield up to MOST streams of a query without an actor. Of the others there may be any number: read by and by."""
    found = 0
    with connection.cursor(name=why.value) as cursor:
        for row in cursor.execute(query, {"runtime": runtime}):
            if found < MOST and not is_live(row[0]):
                found += 1
                yield _wanted(row, why)


def _wanted(row: TupleRow, why: Why) -> Wanted:
    stream, tenant, version, status, owner, waiting = row
    return Wanted(stream, tenant, version, status, owner, waiting, why)


def _tried(connection: Connection[TupleRow], streams: list[str]) -> tuple[Tried, ...]:
    if not streams:
        return ()
    rows = connection.execute(TRIED, {"streams": streams, "window_s": WINDOW_S}).fetchall()
    return tuple(Tried(*row) for row in rows)
