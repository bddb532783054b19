"""Streams as they are read: heads, snapshots, events. The commit statement writes; what mends a snapshot is here."""

from typing import Final, LiteralString

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import Corrupt
from domainflow.store.chain import GENESIS
from domainflow.store.port import Loaded, Recorded

HEAD: Final[LiteralString] = "select tenant, version, hash, epoch, status from domainflow.head where stream = %s"
SNAPSHOT: Final[LiteralString] = "select version, fold_version, state from domainflow.snapshot where stream = %s"
EVENTS: Final[LiteralString] = """
select stream, version, tenant, (extract(epoch from recorded_at) * 1000000)::bigint, type, type_version, context, body,
       hash
  from domainflow.event where stream = %s and version > %s order by version limit %s
"""
BEGINNING: Final[LiteralString] = "select version - 1, previous from domainflow.archive where stream = %s"
REPLACE_SNAPSHOT: Final[LiteralString] = """
update domainflow.snapshot set state = %s where stream = %s and version = %s and state = %s
"""
NOW: Final[LiteralString] = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint"
EVERYTHING: Final = 2**31 - 1


class Head(Struct, frozen=True):
    """Where a stream stands."""

    tenant: str
    version: int
    hash: bytes
    epoch: int | None
    status: str | None


def head(connection: Connection[TupleRow], stream: str) -> Head | None:
    """Return a stream's head; None: there is no such stream."""
    row = connection.execute(HEAD, (stream,)).fetchone()
    return Head(*row) if row else None


def load(connection: Connection[TupleRow], stream: str, *, fold_version: int) -> Loaded:
    """Return a stream as of one instant: call it in a transaction of REPEATABLE READ or with the stream settled.

    A snapshot of another fold version is ignored. Raises Corrupt: not all of its events are there.
    """
    found = head(connection, stream)
    if found is None:
        return Loaded(
            stream=stream, tenant="", version=0, hash=GENESIS, epoch=None, snapshot=None, snapshot_version=0, events=()
        )
    row = connection.execute(SNAPSHOT, (stream,)).fetchone()
    picture = row if row and row[1] == fold_version and row[0] <= found.version else None
    start = picture[0] if picture else beginning(connection, stream)[0]
    since = tuple(events(connection, stream, after=start, limit=found.version - start))
    if len(since) != found.version - start:
        raise Corrupt(
            f"{stream} has {len(since)} of the events {start + 1} to {found.version}: run `domainflow verify`"
        )
    return Loaded(
        stream=stream,
        tenant=found.tenant,
        version=found.version,
        hash=found.hash,
        epoch=found.epoch,
        snapshot=picture[2] if picture else None,
        snapshot_version=picture[0] if picture else 0,
        events=since,
    )


def beginning(connection: Connection[TupleRow], stream: str) -> tuple[int, bytes]:
    """Return the version, and its hash, behind which a stream begins: what is archived may be gone at any moment."""
    row = connection.execute(BEGINNING, (stream,)).fetchone()
    return (row[0], row[1]) if row else (0, GENESIS)


def events(connection: Connection[TupleRow], stream: str, *, after: int, limit: int = EVERYTHING) -> list[Recorded]:
    """Return up to `limit` events above a version, in order."""
    return [_recorded(row) for row in connection.execute(EVENTS, (stream, after, limit)).fetchall()]


def replace_snapshot(connection: Connection[TupleRow], loaded: Loaded, state: bytes) -> bool:
    """Put a state in the place of the snapshot that was loaded; false: another one has come there since."""
    values = (state, loaded.stream, loaded.snapshot_version, loaded.snapshot)
    return connection.execute(REPLACE_SNAPSHOT, values).rowcount > 0


def now_us(connection: Connection[TupleRow]) -> int:
    """The database clock, microseconds since 1970."""
    row = connection.execute(NOW).fetchone()
    assert row is not None  # noqa: S101 - a select without from
    return int(row[0])


def _recorded(row: TupleRow) -> Recorded:
    stream, version, tenant, recorded_at_us, type_, type_version, context, body, hash_ = row
    return Recorded(
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
