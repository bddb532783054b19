"""Reads the feed as it grows, by SQL of its own: what was seen on the way must be all that is there, in order."""

from dataclasses import dataclass, field
from typing import Final, LiteralString

import psycopg
from chaos.checker import Found, Violation
from psycopg import Connection
from psycopg.rows import TupleRow

# Below the horizon nothing can come any more. Aliased: ordering by a text would put 10 before 9.
PAGE: Final[LiteralString] = """
with horizon as materialized (select pg_snapshot_xmin(pg_current_snapshot()) as xmin)
select e.stream, e.version, e.era, e.xid::text as at_xid, e.seq from domainflow.event e, horizon
 where (e.era, e.xid, e.seq) > (%s::int, %s::xid8, %s::bigint) and e.xid < horizon.xmin
 order by e.era, e.xid, e.seq limit 1000
"""
LAST: Final[LiteralString] = "select stream, max(version) from domainflow.event group by stream"


@dataclass
class Feed:
    """One subscriber with a bookmark."""

    dsn: str
    bookmark: tuple[int, str, int] = (0, "0", 0)
    versions: dict[str, int] = field(default_factory=dict)  # stream -> the last one seen
    found: Found = field(default_factory=list)

    def read(self) -> None:
        """Read on to the horizon. A server that is gone just now is asked again the next time."""
        try:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                while page := connection.execute(PAGE, self.bookmark).fetchall():
                    for stream, version, *bookmark in page:
                        self._see(stream, version)
                        self.bookmark = (bookmark[0], bookmark[1], bookmark[2])
        except psycopg.OperationalError:
            return

    def compare(self, connection: Connection[TupleRow]) -> Found:
        """Read on, and return what went wrong on the way and what was never seen. For when nobody writes."""
        self.read()
        lost = [
            Violation("not in the feed", f"{stream}: {self.versions.get(stream, 0)} of {last} seen")
            for stream, last in connection.execute(LAST)
            if self.versions.get(stream, 0) != last
        ]
        return self.found + lost

    def _see(self, stream: str, version: int) -> None:
        before = self.versions.get(stream, 0)
        if version != before + 1:
            self.found.append(Violation("feed out of order", f"{stream}: {version} came after {before}"))
        self.versions[stream] = max(before, version)
