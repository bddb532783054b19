"""Questions about the server and who uses it, for people who look for what is wrong. Reads only."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, LiteralString

import psycopg
from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import StoreUnavailable

RUNTIMES: Final[LiteralString] = """
select r.id::text, r.host, r.pid, r.started_at, r.lease_until, r.id in (select id from domainflow.live_runtime)
  from domainflow.runtime r order by r.started_at
"""
# Of the whole cluster: the feed ends where the oldest transaction that may still write began, in whatever database.
# What another user's session does is hidden from who may not see it: null.
HORIZON: Final[LiteralString] = """
select pid, coalesce(datname, ''), coalesce(usename, ''), coalesce(application_name, ''), coalesce(state, ''),
       extract(epoch from clock_timestamp() - xact_start)::float8
  from pg_stat_activity
 where backend_xid is not null and pid <> pg_backend_pid()
 order by age(backend_xid) desc limit 1
"""
PREPARED: Final[LiteralString] = """
select count(*), coalesce(max(extract(epoch from clock_timestamp() - prepared)), 0)::float8 from pg_prepared_xacts
"""
SERVER: Final[LiteralString] = """
select current_setting('server_version'), current_setting('server_version_num')::int, current_setting('fsync') = 'on',
       current_setting('max_connections')::int,
       (select count(*)::int from pg_stat_activity where backend_type = 'client backend'),
       pg_database_size(current_database())
"""


class RuntimeRow(Struct, frozen=True, kw_only=True):
    """One runtime that announced itself."""

    id: str
    host: str
    pid: int
    started_at: datetime
    lease_until: datetime
    alive: bool

    def __str__(self) -> str:
        return f"{self.host} pid {self.pid}"


class Holder(Struct, frozen=True, kw_only=True):
    """The session with the oldest transaction that may still write."""

    pid: int
    database: str
    user: str
    application: str
    state: str  # empty: hidden from us, likewise above
    age_s: float | None  # None: hidden from us


class Server(Struct, frozen=True, kw_only=True):
    """The server, as it describes itself."""

    version: str
    version_num: int  # 180006 for 18.6
    fsync: bool
    most_connections: int
    connections: int
    size_bytes: int  # of this database


@contextmanager
def translated() -> Iterator[None]:
    """Turn what Postgres refuses into StoreUnavailable, for what works beneath the runtime, or before there is one."""
    try:
        yield
    except psycopg.Error as error:
        raise StoreUnavailable(f"Postgres refused: {str(error).strip()}") from error


def runtimes(connection: Connection[TupleRow]) -> list[RuntimeRow]:
    """Return every runtime with a row, the oldest first; any of our roles may ask."""
    return [
        RuntimeRow(id=id_, host=host, pid=pid, started_at=started_at, lease_until=lease_until, alive=bool(alive))
        for id_, host, pid, started_at, lease_until, alive in connection.execute(RUNTIMES).fetchall()
    ]


def horizon_holder(connection: Connection[TupleRow]) -> Holder | None:
    """Return who holds the feed's horizon back, but for us; None: nobody."""
    row = connection.execute(HORIZON).fetchone()
    if row is None:
        return None
    pid, database, user, application, state, age_s = row
    return Holder(pid=pid, database=database, user=user, application=application, state=state, age_s=age_s)


def prepared(connection: Connection[TupleRow]) -> tuple[int, float]:
    """Return how many prepared transactions wait for their second phase, and the age of the oldest in seconds."""
    row = connection.execute(PREPARED).fetchone()
    return (int(row[0]), float(row[1])) if row else (0, 0.0)


def server(connection: Connection[TupleRow]) -> Server:
    """Return what the server says of itself."""
    row = connection.execute(SERVER).fetchone()
    assert row is not None  # noqa: S101 - a select without from
    version, version_num, fsync, most_connections, connections, size_bytes = row
    return Server(
        version=version,
        version_num=version_num,
        fsync=fsync,
        most_connections=most_connections,
        connections=connections,
        size_bytes=size_bytes,
    )
