"""One runtime on either store, for the suite that both pass: the same families, the same steps, the same look at rows.

What only one of them can show (locks, roles, what Postgres cannot hold) stays with Postgres: `@on_postgres`.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any, Final, TypeAlias

import psycopg
import pytest
from databases import Database
from durable import Actor, await_gone, new_uuid
from msgspec.structs import replace

from domainflow.store import commands, commit, leases, pool, results, streams, work_items
from domainflow.store.commands import Boxed
from domainflow.store.memory import commands as memory_commands
from domainflow.store.memory import commit as memory_commit
from domainflow.store.memory import leases as memory_leases
from domainflow.store.memory import results as memory_results
from domainflow.store.memory import streams as memory_streams
from domainflow.store.memory import work_items as memory_work_items
from domainflow.store.memory.tables import MemoryStore, State, WorkItem
from domainflow.store.port import Item
from domainflow.store.transaction import Kind, transaction
from domainflow.store.work_items import Result

ROWS: Final = {
    "heads": "select stream, tenant, version, hash, epoch, owner::text, status from domainflow.head",
    "events": "select stream, version, tenant, type, body, hash from domainflow.event",
    "snapshots": "select stream, version, fold_version, state from domainflow.snapshot",
    "keys": "select tenant, principal, key, command_hash, answer from domainflow.idempotency",
    "commands": "select id::text, stream, tenant, answered_at is not null, answer from domainflow.command",
    "campaigns": "select id::text, tenant, principal, business_status, deleted_at is not null from domainflow.campaign",
    "work_items": "select campaign::text, phase, run, batch, tenant, start, stop, state, fence, failures, losses, "
    "lost_alone, runtime::text, reason from domainflow.work_item",
    "batches": "select campaign::text, phase, run, batch, start, stop, counts, outcomes from domainflow.batch",
    "hits": "select campaign::text, phase, run, position, body from domainflow.hit",
    "alive": "select id::text from domainflow.live_runtime",
}
Rows: TypeAlias = dict[str, list[tuple[Any, ...]]]


class OnPostgres(Actor):
    """Connections that play a runtime's part."""

    commands, leases, results, streams, work_items = commands, leases, results, streams, work_items

    def __init__(self, database: Database) -> None:
        super().__init__(database.dsn)
        self.admin_dsn = database.admin_dsn

    def another_lane(self, number: int) -> commit.Lane:
        return commit.Lane(self.runtime, number)

    def commit_on(self, lane: commit.Lane, *items: Item) -> list[object]:
        with closing(pool.connect(self.dsn, "app")) as own:  # what a session sees, its lane alone has told it
            return list(commit.commit_batch(own, lane, items))

    def group_on(self, lane: commit.Lane, *items: Item) -> object:
        return commit.commit_group(self.app, lane, items)

    def was_committed(self, item: Item) -> bool:
        return commit.was_committed(self.app, item)

    def complete(self, result: Result) -> bool:
        with transaction(self.app, Kind.TOOL, tenants=["acme"]):
            return work_items.complete(self.app, result)

    def drop(self, campaign: str) -> None:
        with transaction(self.app, Kind.TOOL, tenants=["acme"]):
            work_items.drop(self.app, campaign)

    def put(self, command: str, stream: str, *, body: bytes = b"", deadline_s: float = 60.0) -> None:
        with transaction(self.app, Kind.TOOL, tenants=["acme"]):
            commands.put(self.app, Boxed(command, stream, "acme", body, b""), deadline_s=deadline_s)

    def die(self) -> None:
        """Its session ends as with its process; the lease is far from over."""
        pid = self.session.info.backend_pid
        super().die()
        await_gone(self.admin_dsn, pid)

    def reappear(self) -> None:
        self.session = pool.connect(self.dsn, "upkeep")
        leases.move_lock(self.session, self.runtime, secrets.randbits(63))

    def expire(self) -> None:
        self.upkeep.execute(
            "update domainflow.runtime set lease_until = clock_timestamp() - interval '1 second' where id = %s",
            (self.runtime,),
        )

    def forget(self) -> None:
        """Its row is gone, and its streams still name it."""
        self.upkeep.execute("delete from domainflow.runtime where id = %s", (self.runtime,))

    def make_due(self) -> None:
        """Whatever was to be tried later is to be tried now."""
        self.upkeep.execute("update domainflow.work_item set run_at = now()")

    def age_commands(self, by_s: float) -> None:
        """The box and the keys are so much older."""
        with psycopg.connect(self.admin_dsn, autocommit=True) as admin:
            admin.execute(
                "update domainflow.command set created_at = created_at - make_interval(secs => %(by_s)s), "
                "deadline = deadline - make_interval(secs => %(by_s)s)",
                {"by_s": by_s},
            )
            admin.execute(
                "update domainflow.idempotency set created_at = created_at - make_interval(secs => %s)", (by_s,)
            )

    def plant(self, campaign: str, batch: int, state: int) -> None:
        """Have a work item in a state, with some failures and losses behind it."""
        self.upkeep.execute(
            "update domainflow.work_item set state = %s, failures = 2, losses = 2, lost_alone = 2 "
            "where campaign = %s and batch = %s",
            (state, campaign, batch),
        )

    def item_ids(self) -> list[int]:
        """Of work items, by batch."""
        return self.see("select id from domainflow.work_item order by batch")

    def item_id(self, campaign: str, batch: int) -> int:
        """Of one work item; 0: there is none."""
        sql = "select id from domainflow.work_item where campaign = %s and batch = %s"
        return next(iter(self.see(sql, campaign, batch)), 0)

    def rows(self, *tables: str) -> Rows:
        with self.upkeep.pipeline():
            found = {table: self.upkeep.execute(ROWS[table]) for table in tables or ROWS}
        return {table: sorted(cursor.fetchall(), key=repr) for table, cursor in found.items()}


class OnMemory:
    """The same on a memory store."""

    commands, leases, results = memory_commands, memory_leases, memory_results
    streams, work_items = memory_streams, memory_work_items

    def __init__(self, store: MemoryStore, runtime: str = "") -> None:
        self.app = self.upkeep = store
        self.runtime = runtime or new_uuid()
        memory_leases.register(store, self.runtime, host=leases.Host("here", 1), lease_s=600.0)
        self.lane = self.another_lane(0)
        self.lane.raise_generation(store)

    def another_lane(self, number: int) -> memory_commit.Lane:
        return memory_commit.Lane(self.runtime, number)

    def commit(self, *items: Item) -> list[object]:
        return self.commit_on(self.lane, *items)

    def group(self, *items: Item) -> object:
        return self.group_on(self.lane, *items)

    def commit_on(self, lane: memory_commit.Lane, *items: Item) -> list[object]:
        return list(memory_commit.commit_batch(self.app, lane, items))

    def group_on(self, lane: memory_commit.Lane, *items: Item) -> object:
        return memory_commit.commit_group(self.app, lane, items)

    def was_committed(self, item: Item) -> bool:
        return memory_commit.was_committed(self.app, item)

    def complete(self, result: Result) -> bool:
        return memory_work_items.complete(self.app, result)

    def drop(self, campaign: str) -> None:
        memory_work_items.drop(self.app, campaign)

    def put(self, command: str, stream: str, *, body: bytes = b"", deadline_s: float = 60.0) -> None:
        boxed = Boxed(command, stream, "acme", body, b"")
        memory_commands.put(self.app, boxed, deadline_s=deadline_s)

    def die(self) -> None:
        memory_leases.end_session(self.app, self.runtime)

    def reappear(self) -> None:
        memory_leases.move_lock(self.app, self.runtime)

    def expire(self) -> None:
        memory_leases.renew(self.app, self.runtime, lease_s=-1.0)

    def forget(self) -> None:
        del self.app.tables.runtimes[self.runtime]
        del self.app.tables.lanes[self.runtime, 0]  # as the foreign key does

    def make_due(self) -> None:
        now_us, items = self.app.now_us(), self.app.tables.work_items
        items.update({id_: replace(item, run_at_us=now_us) for id_, item in items.items()})

    def age_commands(self, by_s: float) -> None:
        by_us, tables = round(by_s * 1_000_000), self.app.tables
        for id_, each in tables.commands.items():
            older = {"created_at_us": each.created_at_us - by_us, "deadline_us": each.deadline_us - by_us}
            tables.commands[id_] = replace(each, **older)
        for key, each in tables.keys.items():
            tables.keys[key] = replace(each, created_at_us=each.created_at_us - by_us)

    def plant(self, campaign: str, batch: int, state: int) -> None:
        items = self.app.tables.work_items
        (found,) = (each for each in items.values() if (each.campaign, each.batch) == (campaign, batch))
        items[found.id] = replace(found, state=State(state), failures=2, losses=2, lost_alone=2)

    def item_id(self, campaign: str, batch: int) -> int:
        items = self.app.tables.work_items.values()
        return next((each.id for each in items if (each.campaign, each.batch) == (campaign, batch)), 0)

    def item_ids(self) -> list[int]:
        return sorted(self.app.tables.work_items, key=lambda id_: self.app.tables.work_items[id_].batch)

    def rows(self, *tables: str) -> Rows:
        return {table: sorted(getattr(self, f"_{table}")(), key=repr) for table in tables or ROWS}

    def _heads(self) -> list[tuple[Any, ...]]:
        owners = self.app.tables.owners
        return [
            (stream, head.tenant, head.version, head.hash, head.epoch, owners.get(stream), head.status)
            for stream, head in self.app.tables.heads.items()
        ]

    def _events(self) -> list[tuple[Any, ...]]:
        events = self.app.tables.events.values()
        return [(each.stream, each.version, each.tenant, each.type, each.body, each.hash) for each in events]

    def _snapshots(self) -> list[tuple[Any, ...]]:
        pictures = self.app.tables.snapshots.items()
        return [(stream, each.version, each.fold_version, each.state) for stream, each in pictures]

    def _keys(self) -> list[tuple[Any, ...]]:
        return [(*place, each.key.command_hash, each.key.answer) for place, each in self.app.tables.keys.items()]

    def _commands(self) -> list[tuple[Any, ...]]:
        return [
            (each.command.id, each.command.stream, each.command.tenant, each.answered, each.answer)
            for each in self.app.tables.commands.values()
        ]

    def _campaigns(self) -> list[tuple[Any, ...]]:
        return [
            (id_, each.tenant, each.row.principal, each.business_status, each.deleted)
            for id_, each in self.app.tables.campaigns.items()
        ]

    def _work_items(self) -> list[tuple[Any, ...]]:
        return [
            (*each.place, each.tenant, each.start, each.stop, int(each.state), each.fence, *_counts(each), each.reason)
            for each in self.app.tables.work_items.values()
        ]

    def _batches(self) -> list[tuple[Any, ...]]:
        stored = self.app.tables.batches.items()
        return [(*place, each.start, each.stop, each.counts, each.outcomes) for place, each in stored]

    def _hits(self) -> list[tuple[Any, ...]]:
        return [(*place, body) for place, body in self.app.tables.hits.items()]

    def _alive(self) -> list[tuple[Any, ...]]:
        return [(runtime,) for runtime in self.app.tables.runtimes if self.app.is_alive(runtime)]


def _counts(each: WorkItem) -> tuple[Any, ...]:
    return (each.failures, each.losses, each.lost_alone, each.runtime)


Both: TypeAlias = OnPostgres | OnMemory
on_postgres: Final = pytest.mark.parametrize("joined", ["postgres"], indirect=True)


@pytest.fixture(params=["postgres", "memory"])
def joined(request: pytest.FixtureRequest) -> Iterator[Callable[[], Both]]:
    """Makes another runtime of one store."""
    if request.param == "memory":
        store = MemoryStore()
        yield lambda: OnMemory(store)
        return
    database: Database = request.getfixturevalue("emptied")
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(OnPostgres(database)))


@pytest.fixture
def actor(joined: Callable[[], Both]) -> Both:
    return joined()


@pytest.fixture
def other(joined: Callable[[], Both]) -> Both:
    return joined()
