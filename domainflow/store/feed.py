"""The feed: the events of all streams in one order, with a cursor below which nothing can come any more.

Reads only. It keeps the order of each stream; between streams the order of (era, transaction, sequence) says nothing.
An event shows once every transaction that began before its own has ended, in whatever database of the server: `doctor`
names the one that holds it back.
"""

import re
from typing import Final, LiteralString, Self

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import BookmarkLost, InvalidInput
from domainflow.store.port import Recorded
from domainflow.store.transaction import by_index

MOST: Final = 500  # events a page
# One statement, so one snapshot: rows first and a horizon later would pass over what was committed in between. `at` is
# no text while it is ordered by: "10" stands before "9". Tenant and prefix are looked at outside of the page, or a
# tenant with few events would read the whole log for each of them.
# What looks into `event` is written so that the index alone can answer it, whatever the planner believes to be there.
# A place is behind an event that is there, or before all that is to come: any other was given by a history that is not
# this database's, whose events may all stand before it.
PAGE: Final[LiteralString] = """
with horizon as materialized (
  select (select max(era) from domainflow.era) as era, pg_snapshot_xmin(pg_current_snapshot()) as xmin,
         pg_snapshot_xmax(pg_current_snapshot()) as xmax
), newest as materialized (
  select era, xid from domainflow.event order by era desc, xid desc, seq desc limit 1
), page as materialized (
  select stream, version, tenant, era, xid as at, seq, recorded_at, type, type_version, context, body, hash
    from domainflow.event
   where (era, xid, seq) > (%(era)s::int, %(xid)s::xid8, %(seq)s::bigint)
     and (era, xid) < ((select era from horizon), (select xmin from horizon))
   order by event.era, event.xid, event.seq limit %(limit)s
), scanned as (
  select era, at, seq from page order by page.era desc, page.at desc, page.seq desc limit 1
)
select (select count(*) from page), exists (select 1 from newest n where (n.era, n.xid) >= (z.era, z.xmin)),
       s.era, s.at::text, s.seq, p.era, p.at::text, p.seq,
       p.stream, p.version, p.tenant, (extract(epoch from p.recorded_at) * 1000000)::bigint, p.type, p.type_version,
       p.context, p.body, p.hash,
       (%(seq)s::bigint = 0 and (%(era)s::int, %(xid)s::xid8) <= (z.era, z.xmax))
         or exists (select 1 from domainflow.event
                     where (era, xid, seq) = (%(era)s::int, %(xid)s::xid8, %(seq)s::bigint))
         or exists (select 1 from domainflow.archive
                     where (last_era, last_xid, last_seq) >= (%(era)s::int, %(xid)s::xid8, %(seq)s::bigint)
                       and (first_era, first_xid, first_seq) <= (%(era)s::int, %(xid)s::xid8, %(seq)s::bigint))
  from horizon z left join scanned s on true
  left join page p on p.tenant = coalesce(%(tenant)s, p.tenant) and starts_with(p.stream, %(prefix)s)
 order by p.era, p.at, p.seq
"""
NOW: Final[LiteralString] = """
select era, xid::text, seq from domainflow.event
 where (era, xid) < ((select max(era) from domainflow.era), pg_snapshot_xmin(pg_current_snapshot()))
 order by event.era desc, event.xid desc, event.seq desc limit 1
"""
END: Final[LiteralString] = """
select (select max(era) from domainflow.era), pg_snapshot_xmax(pg_current_snapshot())::text, 0::bigint
"""
BOOKMARK: Final = re.compile(r"(\d{1,9})\.(\d{1,19})\.(\d{1,18})", re.ASCII)


class Position(Struct, frozen=True, order=True):
    """A place in the feed, behind an event or before the first one. Its text is the bookmark."""

    era: int = 0
    xid: int = 0
    seq: int = 0

    def __str__(self) -> str:
        return f"{self.era}.{self.xid}.{self.seq}"

    @classmethod
    def parse(cls, bookmark: str) -> Self:
        """Return the position that a bookmark names. Raises InvalidInput."""
        found = BOOKMARK.fullmatch(bookmark)
        if found is None:
            raise InvalidInput(f"bookmark: {bookmark[:60]!r} is none; keep what a change or a subscription gives")
        return cls(*map(int, found.groups()))


BEGINNING: Final = Position()


class Placed(Struct, frozen=True):
    """One event, and where it stands."""

    position: Position
    recorded: Recorded


class Page(Struct, frozen=True, kw_only=True):
    """What came next."""

    events: tuple[Placed, ...]  # those that were asked for, in order
    position: Position  # behind everything that was looked at, asked for or not
    full: bool  # there may be more at once
    held_back: bool  # there are events that a transaction which has not ended keeps from showing


def page(connection: Connection[TupleRow], after: Position, *, tenant: str | None = None, prefix: str = "") -> Page:
    """Return what stands behind a position among the next MOST events, of a tenant (None: of all) and of its streams.

    For the role upkeep, in a transaction that has not written: its own would hold back what comes after it. Raises
    BookmarkLost.
    """
    asked = {
        "era": after.era,
        "xid": str(after.xid),
        "seq": after.seq,
        "limit": MOST,
        "tenant": tenant,
        "prefix": prefix,
    }
    by_index(connection)
    rows = connection.execute(PAGE, asked).fetchall()
    if not rows[0][-1]:
        raise BookmarkLost(
            f"bookmark {after}: this feed has no such place. Its database was set back to an earlier moment, or is "
            "another one: what was told up to there may not have happened. Go on from an older bookmark, or from 0.0.0"
        )
    scanned, held_back, era, xid, seq = rows[0][:5]
    return Page(
        events=tuple(_placed(row) for row in rows if row[8] is not None),
        position=Position(era, int(xid), seq) if scanned else after,
        full=scanned == MOST,
        held_back=held_back,
    )


def now(connection: Connection[TupleRow]) -> Position:
    """Return a position that nothing which is committed from now on stands before: behind the last event that shows."""
    return _place(connection, NOW)


def end(connection: Connection[TupleRow]) -> Position:
    """Return a position that nothing which is committed by now stands behind."""
    return _place(connection, END)


def _place(connection: Connection[TupleRow], sql: LiteralString) -> Position:
    row = connection.execute(sql).fetchone()
    return Position(row[0], int(row[1]), row[2]) if row else BEGINNING


def _placed(row: TupleRow) -> Placed:
    era, xid, seq, stream, version, tenant, recorded_at_us, type_, type_version, context, body, hash_ = row[5:-1]
    recorded = Recorded(
        stream=stream,
        version=version,
        tenant=tenant,
        recorded_at_us=recorded_at_us,
        type=type_,
        type_version=type_version,
        context=context,
        body=body,
        hash=hash_,
    )
    return Placed(Position(era, int(xid), seq), recorded)
