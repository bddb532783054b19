"""Who is alive and who owns which stream: leases by the database clock, a session lock, owner epochs."""

from typing import Final, LiteralString, NamedTuple

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

REGISTER: Final[LiteralString] = """
insert into domainflow.runtime (id, host, pid, lock_key, lease_until)
values (%s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))
on conflict (id) do update set lock_key = excluded.lock_key, lease_until = excluded.lease_until
"""
TAKE_LOCK: Final[LiteralString] = "select pg_advisory_lock(%s)"
# By the database's clock, which is not ours and may have been set: whether it was over until now is for it to say.
RENEW: Final[LiteralString] = """
update domainflow.runtime r set lease_until = clock_timestamp() + make_interval(secs => %s)
  from (select id, lease_until < clock_timestamp() as lapsed from domainflow.runtime where id = %s) before
 where r.id = before.id returning before.lapsed
"""
MOVE_LOCK: Final[LiteralString] = "update domainflow.runtime set lock_key = %s where id = %s"
UNREGISTER: Final[LiteralString] = "delete from domainflow.runtime where id = %s"
# Long dead: nothing names them any more but heads that whoever activates them will take over.
FORGET_DEAD: Final[LiteralString] = """
delete from domainflow.runtime where id = any(array(
  select r.id from domainflow.runtime r where r.lease_until < clock_timestamp() - interval '1 hour'
     and not exists (select 1 from domainflow.work_item w where w.runtime = r.id and w.state = 1) limit %s))
"""
FORGOTTEN_AT_ONCE: Final = 1_000
# Epoch first: from this commit on, whatever the former owner sends is refused.
CLAIM_STREAM: Final[LiteralString] = """
update domainflow.head set epoch = epoch + 1, owner = %(runtime)s::uuid
 where stream = %(stream)s and epoch is not null
   and (owner is null or owner = %(runtime)s::uuid or owner not in (select id from domainflow.live_runtime))
returning epoch
"""
OWNER: Final[LiteralString] = """
select h.owner::text, r.host, r.pid, h.owner in (select id from domainflow.live_runtime)
  from domainflow.head h left join domainflow.runtime r on r.id = h.owner where h.stream = %s
"""
STANDING: Final[LiteralString] = """
select h.version, h.hash,
       case when h.owner in (select id from domainflow.live_runtime) then r.host || ' pid ' || r.pid end
  from domainflow.head h left join domainflow.runtime r on r.id = h.owner where h.stream = %s
"""
RELEASE: Final[LiteralString] = "update domainflow.head set owner = null where owner = %s"
RELEASE_SOME: Final[LiteralString] = """
update domainflow.head set owner = null where owner = %(runtime)s::uuid and stream = any(array(
  select stream from domainflow.head where owner = %(runtime)s::uuid order by stream limit %(most)s))
"""
RELEASED_AT_ONCE: Final = 1_000  # a runtime may own a hundred thousand
RELEASE_ONE: Final[LiteralString] = "update domainflow.head set owner = null where owner = %s and stream = %s"
# Each side by an index of its own: asked for many times a second by a runtime that owns all that ever ended under it.
HELD: Final[LiteralString] = """
select stream, tenant, status from domainflow.head
 where owner = %(runtime)s::uuid and status in ('queued', 'running', 'pausing')
union all
select h.stream, h.tenant, h.status
  from (select distinct 'campaign/' || campaign as stream from domainflow.work_item where state = 2) done
  join domainflow.head h on h.stream = done.stream
 where h.owner = %(runtime)s::uuid and h.status in ('paused', 'failed')
 order by stream
"""


class Host(Struct, frozen=True):
    """Where a runtime runs, for people."""

    name: str
    pid: int


def register(connection: Connection[TupleRow], runtime: str, *, host: Host, lock_key: int, lease_s: float) -> None:
    """Announce a runtime, once more if nobody heard that it was, and take its lock.

    `connection` must then be kept for its whole life.
    """
    connection.execute(TAKE_LOCK, (lock_key,))
    connection.execute(REGISTER, (runtime, host.name, host.pid, lock_key, lease_s))


def move_lock(connection: Connection[TupleRow], runtime: str, lock_key: int) -> None:
    """Stand by another lock, on a new connection: the server may hold the old one for hours without a client."""
    connection.execute(TAKE_LOCK, (lock_key,))
    connection.execute(MOVE_LOCK, (lock_key, runtime))


def renew(connection: Connection[TupleRow], runtime: str, *, lease_s: float) -> bool | None:
    """Extend the lease; return whether it was over until then. None: this runtime was forgotten."""
    row = connection.execute(RENEW, (lease_s, runtime)).fetchone()
    return bool(row[0]) if row else None


def release_some(connection: Connection[TupleRow], runtime: str) -> bool:
    """Give back some of its streams; True: there may be more."""
    values = {"runtime": runtime, "most": RELEASED_AT_ONCE}
    return connection.execute(RELEASE_SOME, values).rowcount == RELEASED_AT_ONCE


def unregister(connection: Connection[TupleRow], runtime: str) -> None:
    """Give back all streams, which are few by now, and leave."""
    connection.execute(RELEASE, (runtime,))
    connection.execute(UNREGISTER, (runtime,))


def claim_stream(connection: Connection[TupleRow], runtime: str, stream: str) -> int | None:
    """Make `runtime` the owner of an owned stream; return its new epoch. None: another live runtime owns it."""
    row = connection.execute(CLAIM_STREAM, {"runtime": runtime, "stream": stream}).fetchone()
    return int(row[0]) if row else None


def release_stream(connection: Connection[TupleRow], runtime: str, stream: str) -> None:
    """Give back one stream."""
    connection.execute(RELEASE_ONE, (runtime, stream))


def owner(connection: Connection[TupleRow], stream: str) -> tuple[str, str, bool] | None:
    """Return (runtime, "host pid N", alive) of a stream's owner; None: it has none, or there is no such stream."""
    row = connection.execute(OWNER, (stream,)).fetchone()
    if row is None or row[0] is None:
        return None
    return row[0], f"{row[1]} pid {row[2]}", bool(row[3])


class Standing(NamedTuple):
    """Where a stream stands, and who executes it."""

    version: int
    hash: bytes
    held_by: str | None  # "host pid N" of a live runtime


def standing(connection: Connection[TupleRow], stream: str) -> Standing | None:
    """Return where a stream stands; None: there is no such stream."""
    row = connection.execute(STANDING, (stream,)).fetchone()
    return Standing(*row) if row else None


class Held(Struct, frozen=True):
    """One stream that a runtime owns."""

    stream: str
    tenant: str
    status: str


def held(connection: Connection[TupleRow], runtime: str) -> list[Held]:
    """Return the campaigns' streams that `runtime` owns and that execute, are to, or have work to account."""
    return [Held(*row) for row in connection.execute(HELD, {"runtime": runtime}).fetchall()]


def forget_dead(connection: Connection[TupleRow]) -> bool:
    """Delete some runtimes that have been dead for an hour and hold nothing; True: there may be more."""
    return connection.execute(FORGET_DEAD, (FORGOTTEN_AT_ONCE,)).rowcount == FORGOTTEN_AT_ONCE
