"""What the tests of the durable core share: events and items that chain, and connections that play a runtime's part."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import pytest
from databases import Database
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.store import chained, commit, leases, migrate, pool
from domainflow.store.chain import GENESIS
from domainflow.store.embedded import EmbeddedServer
from domainflow.store.port import CampaignRow, Item, NewEvent

NOW_US: Final = 1_700_000_000_000_000
SOON_S: Final = 10.0  # for what must happen at once; only a failing test waits so long

Postgres = Connection[TupleRow]


# A database a test costs half a second, and emptying one a hundredth of that. The append-only trigger is passed by.
EMPTY: Final = """
set session_replication_role = replica;
delete from domainflow.head; delete from domainflow.event; delete from domainflow.snapshot;
delete from domainflow.batch; delete from domainflow.hit; delete from domainflow.work_item;
delete from domainflow.idempotency; delete from domainflow.command; delete from domainflow.campaign;
delete from domainflow.quota; delete from domainflow.quarantine; delete from domainflow.leader;
delete from domainflow.projection; delete from domainflow.archive;
delete from domainflow.lane; delete from domainflow.runtime;
"""


@pytest.fixture(scope="module")
def migrated(server: EmbeddedServer) -> Iterator[Database]:
    """A database for the tests of one file."""
    name = f"durable_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.dsn("domainflow"), autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    made = Database(server.dsn("domainflow_app", name), server.dsn("domainflow", name))
    migrate.up(made.admin_dsn)
    yield made
    with psycopg.connect(server.dsn("domainflow"), autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture
def emptied(migrated: Database) -> Database:
    """That database with nothing in it."""
    with psycopg.connect(migrated.admin_dsn, autocommit=True) as connection:
        connection.execute(EMPTY)
    return migrated


def new_uuid() -> str:
    return str(uuid.uuid4())


def event(stream: str, version: int, previous: bytes, *, tenant: str = "acme", body: bytes = b"x") -> NewEvent:
    return chained.event(
        stream=stream,
        version=version,
        previous=previous,
        tenant=tenant,
        recorded_at_us=NOW_US,
        type_="test.moved",
        type_version=1,
        context=b"who",
        body=body,
    )


def item(
    stream: str,
    after: Item | None = None,
    *,
    events: int = 1,
    tenant: str = "acme",
    body: bytes = b"x",
    **rest: Any,  # noqa: ANN401 - the other fields of an Item
) -> Item:
    """An item of so many events that follows another one of its stream, or begins it."""
    version, previous = (after.version, after.hash) if after else (0, GENESIS)
    chain: list[NewEvent] = []
    for step in range(1, events + 1):
        chain.append(event(stream, version + step, chain[-1].hash if chain else previous, tenant=tenant, body=body))
    return Item(stream=stream, tenant=tenant, expected=version, previous=previous, events=tuple(chain), **rest)


def birth(id_: str, *, principal: str = "alice", most_active: int = 10, most_created_a_day: int = 50) -> Item:
    """The birth of a campaign."""
    row = CampaignRow(
        id=id_,
        principal=principal,
        name="shops",
        source_stream="pattern/acme/p",
        base=0,
        count=100,
        most_active=most_active,
        most_created_a_day=most_created_a_day,
    )
    return item(f"campaign/{id_}", epoch=1, status="pending", campaign=id_, birth=row)


class Actor:
    """A runtime as the store sees it: registered, with a session lock, a commit lane and a connection for each role."""

    def __init__(self, dsn: str, *, lease_s: float = 600.0, lane: int = 0) -> None:
        self.dsn = dsn
        self.runtime = new_uuid()
        self.session = pool.connect(dsn, "upkeep")  # holds the lock: closing it is a death
        self.upkeep = pool.connect(dsn, "upkeep")
        self.app = pool.connect(dsn, "app")
        lock_key = uuid.UUID(self.runtime).int >> 65
        leases.register(self.session, self.runtime, host=leases.Host("here", 1), lock_key=lock_key, lease_s=lease_s)
        self.lane = commit.Lane(self.runtime, lane)
        self.lane.raise_generation(self.app)

    def commit(self, *items: Item) -> list[object]:
        """Commit items of different streams, each for itself."""
        return list(commit.commit_batch(self.app, self.lane, items))

    def group(self, *items: Item) -> object:
        """Commit all or none."""
        return commit.commit_group(self.app, self.lane, items)

    def see(self, sql: str, *values: object) -> list[Any]:
        """What upkeep sees; the first column of each row."""
        return [row[0] for row in self.upkeep.execute(sql, values)]

    def die(self) -> None:
        """Lose the session: the lock is free once the server has noticed."""
        self.session.close()

    def close(self) -> None:
        for connection in (self.session, self.upkeep, self.app):
            connection.close()


@contextmanager
def acting(dsn: str, **how: Any) -> Iterator[Actor]:  # noqa: ANN401 - as Actor takes it
    actor = Actor(dsn, **how)
    try:
        yield actor
    finally:
        actor.close()


@contextmanager
def row_lock(admin_dsn: str, sql: str, *values: object) -> Iterator[Postgres]:
    """Hold a row lock in a transaction of its own, until the block ends."""
    with psycopg.connect(admin_dsn) as connection:
        connection.execute(sql, values)
        yield connection


def in_thread(act: Callable[[], object]) -> Future[object]:
    """Do it on a thread of its own."""
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def await_blocked(admin_dsn: str, blocked: int) -> None:
    """Wait until so many sessions of this database wait for a lock: asked of Postgres, never guessed by time."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        waiting = 0
        for _ in range(5000):
            row = connection.execute(
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            ).fetchone()
            waiting = row[0] if row else 0
            if waiting >= blocked:
                return
            connection.execute("select pg_sleep(0.002)")
    raise AssertionError(f"{waiting} sessions wait for a lock, not {blocked}")


def await_gone(admin_dsn: str, pid: int) -> None:
    """Wait until a session is gone."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        for _ in range(2000):
            if not connection.execute("select 1 from pg_stat_activity where pid = %s", (pid,)).fetchall():
                return
            connection.execute("select pg_sleep(0.002)")
    raise AssertionError(f"session {pid} does not end")
