"""Archives: which streams are due for one, where the events before a seal are kept, and their deletion.

What is deleted was recorded here before, in a transaction that had ended: whoever does not find events finds where they
are, if it looks here afterwards. Files are not written here.
"""

from collections.abc import Collection
from typing import Final, LiteralString

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import Archived
from domainflow.store.feed import Position

SEALED: Final = "campaign.sealed"
MOST_DELETED: Final = 5_000  # events a transaction, some 50 ms

HEADS_A_LOOK: Final = 5_000  # of whatever streams; most campaigns of an old store are archived or not due

# By the last event: of an ended campaign it says since when nothing has happened. A seal is one too, and what was
# interrupted behind it is not to wait as long again.
DUE: Final[LiteralString] = """
with looked as materialized (
  select stream, tenant, version, status from domainflow.head where stream > %(after)s order by stream limit %(heads)s
), due as (
  select l.stream, l.tenant, l.version, e.type = %(sealed)s as is_sealed
    from looked l
    join domainflow.event e on e.stream = l.stream and e.version = l.version
    join domainflow.campaign c on c.id = substr(l.stream, 10)::uuid and c.deleted_at is null
   where l.stream like 'campaign/%%' and l.status in ('completed', 'failed', 'cancelled')
     and (%(tenant)s::text is null or l.tenant = %(tenant)s)
     and (e.type = %(sealed)s or e.recorded_at <= clock_timestamp() - make_interval(secs => %(older_than_s)s))
     and not exists (select 1 from domainflow.archive a where a.stream = l.stream)
   order by l.stream limit %(most)s
)
select (select max(stream) from looked having count(*) = %(heads)s), d.stream, d.tenant, d.version, d.is_sealed
  from (values (true)) as always left join due d on true order by d.stream
"""
RECORD: Final[LiteralString] = """
with archived as materialized (
  select era, xid, seq from domainflow.event where stream = %(stream)s and version < %(version)s
), oldest as (
  select era, xid, seq from archived order by era, xid, seq limit 1
), newest as (
  select era, xid, seq from archived order by archived.era desc, archived.xid desc, archived.seq desc limit 1
)
insert into domainflow.archive (stream, tenant, version, previous, first_era, first_xid, first_seq,
                                last_era, last_xid, last_seq, host, file, sha256)
select s.stream, s.tenant, s.version, p.hash, o.era, o.xid, o.seq, n.era, n.xid, n.seq,
       %(host)s, %(file)s, %(sha256)s
  from domainflow.event s join domainflow.event p on p.stream = s.stream and p.version = s.version - 1
 cross join oldest o cross join newest n
 where s.stream = %(stream)s and s.version = %(version)s and s.type = %(sealed)s
on conflict do nothing
"""
OF: Final[LiteralString] = """
select stream, tenant, version, host, file, sha256 from domainflow.archive where stream = %s
"""
ALL: Final[LiteralString] = """
select stream, tenant, version, host, file, sha256 from domainflow.archive where stream > %s order by stream limit %s
"""
COUNT: Final[LiteralString] = "select count(*) from domainflow.archive"
LEFT: Final[LiteralString] = "select stream from domainflow.archive where deleted_at is null order by stream limit 1"
DELETE: Final[LiteralString] = "select domainflow.delete_archived(%s, %s)"
BEGINNINGS: Final[LiteralString] = "select stream, version from domainflow.archive where stream = any(%s)"
TORN: Final[LiteralString] = """
select stream, tenant, version, host, file, sha256 from domainflow.archive
 where tenant = %(tenant)s and (last_era, last_xid, last_seq) > (%(era)s::int, %(xid)s::text::xid8, %(seq)s::bigint)
   and (first_era, first_xid, first_seq) <= (%(era)s::int, %(xid)s::text::xid8, %(seq)s::bigint)
 limit 1
"""


class Due(Struct, frozen=True):
    """A stream that is to be archived."""

    stream: str
    tenant: str
    version: int  # at which it stands
    sealed: bool  # whether that is a seal


class Look(Struct, frozen=True):
    """What is due among the streams that were looked at."""

    due: tuple[Due, ...]
    after: str  # where the next look begins; empty: behind these there are no more


class Archive(Struct, frozen=True):
    """Where the events of a stream are that were before its seal."""

    stream: str
    tenant: str
    version: int  # of the seal
    host: str
    file: str
    sha256: bytes  # of the file

    def error(self, what: str) -> Archived:
        """Return what is raised where the archived events are missed; `what` is to be done instead."""
        return Archived(
            f"versions 1 to {self.version - 1} of {self.stream} are archived in {self.file} on {self.host}: {what}"
        )


def due(
    connection: Connection[TupleRow], *, older_than_s: float, after: str = "", tenant: str | None = None, most: int
) -> Look:
    """Return up to `most` streams of ended campaigns behind one that stood still for so long, and sealed ones.

    In order, among the next HEADS_A_LOOK streams; `tenant` None: of all. For the role upkeep.
    """
    asked = {"older_than_s": older_than_s, "after": after, "tenant": tenant, "most": most}
    rows = connection.execute(DUE, {**asked, "sealed": SEALED, "heads": HEADS_A_LOOK}).fetchall()
    found = tuple(Due(*row[1:]) for row in rows if row[1] is not None)
    return Look(found, found[-1].stream if len(found) == most else rows[0][0] or "")


def record(connection: Connection[TupleRow], archive: Archive) -> Archive | None:
    """Record where a sealed stream's events are, unless that was done; return what is recorded; None: no such seal."""
    values = {name: getattr(archive, name) for name in ("stream", "version", "host", "file", "sha256")}
    connection.execute(RECORD, {**values, "sealed": SEALED})
    return of(connection, archive.stream)


def of(connection: Connection[TupleRow], stream: str) -> Archive | None:
    """Return a stream's archive; None: it has none."""
    row = connection.execute(OF, (stream,)).fetchone()
    return Archive(*row) if row else None


def page(connection: Connection[TupleRow], after: str, *, most: int) -> list[Archive]:
    """Return the next archives behind a stream, in order."""
    return [Archive(*row) for row in connection.execute(ALL, (after, most)).fetchall()]


def left(connection: Connection[TupleRow]) -> str | None:
    """Return a stream of whose archived events some may not be deleted yet."""
    row = connection.execute(LEFT).fetchone()
    return str(row[0]) if row else None


def delete_slice(connection: Connection[TupleRow], stream: str) -> int:
    """Delete some events that are archived; return how many, 0: none are left. Nothing else ever deletes an event."""
    row = connection.execute(DELETE, (stream, MOST_DELETED)).fetchone()
    return int(row[0]) if row else 0


def beginnings(connection: Connection[TupleRow], streams: Collection[str]) -> dict[str, int]:
    """Return the versions of the seals that these streams begin with; streams that have no archive are left out."""
    return dict(connection.execute(BEGINNINGS, (list(streams),)).fetchall())


def torn(connection: Connection[TupleRow], tenant: str, position: Position) -> Archive | None:
    """Return an archive of which some events stand up to a place in the feed, and some behind it."""
    place = {"tenant": tenant, "era": position.era, "xid": str(position.xid), "seq": position.seq}
    row = connection.execute(TORN, place).fetchone()
    return Archive(*row) if row else None
