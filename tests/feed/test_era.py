"""A database that is restored on another server, whose transactions count from the beginning: the feed loses nothing.

Dumped and restored by Postgres's own programs, from one real server into another.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest
from databases import Database, reachable_folder
from durable import Actor, acting, await_blocked, in_thread, item
from reading_on import Follower
from restoring import burn, counter, restore
from speaker import ALICE, SPEC

from domainflow import Runtime
from domainflow.store import era, migrate, pool
from domainflow.store.embedded import EmbeddedServer
from domainflow.store.feed import Position
from domainflow.store.port import Item

SOON_S: Final = 60.0


@pytest.fixture
def elsewhere() -> Iterator[Database]:
    """A database without a schema on a server of its own, whose roles are there."""
    folder = reachable_folder()
    with EmbeddedServer(folder) as server:
        made = Database(server.dsn("domainflow_app"), server.dsn("domainflow"))
        migrate.up(made.admin_dsn)
        migrate.down(made.admin_dsn, to=0)
        with psycopg.connect(made.admin_dsn) as admin:
            admin.execute("drop schema domainflow_meta cascade")
        yield made


@pytest.fixture
def story(database: Database, elsewhere: Database, home: Path) -> tuple[Database, Item, str]:
    """A database that was restored on a younger server: where it is, its last item, and a bookmark in its middle."""
    burn(database)
    with acting(database.dsn) as actor:
        first = item("s", events=3)
        actor.commit(first)
        follower = Follower(actor.upkeep)
        assert len(follower.read()) == 3
        last = item("s", first)
        actor.commit(last)
    restore(database, elsewhere, home)
    assert counter(elsewhere.admin_dsn) < Position.parse(follower.bookmark).xid
    return elsewhere, last, follower.bookmark


def connect_to_write(actor: Actor) -> int:
    """As a commit lane does."""
    return era.current(actor.app)


def test_a_restored_database_begins_an_era_and_old_and_new_come_in_order(story: tuple[Database, Item, str]) -> None:
    restored, last, bookmark = story
    with acting(restored.dsn) as actor:
        assert connect_to_write(actor) == 2
        next_ = item("s", last)
        actor.commit(next_)
        assert Follower(actor.upkeep).read() == [("s", version) for version in range(1, 6)]
        follower = Follower(actor.upkeep, after=Position.parse(bookmark))
        assert follower.read() == [("s", 4), ("s", 5)]
        assert connect_to_write(actor) == 2
        actor.commit(item("s", next_))
        assert follower.read() == [("s", 6)]


def test_without_a_new_era_the_feed_hides_what_is_old_and_passes_over_what_is_new(
    story: tuple[Database, Item, str],
) -> None:
    restored, last, bookmark = story
    with acting(restored.dsn) as actor:
        actor.commit(item("s", last))
        assert Follower(actor.upkeep).read() == [("s", 5)]
        assert Follower(actor.upkeep, after=Position.parse(bookmark)).read() == []


def test_who_is_writing_when_the_era_begins_is_waited_for_and_several_begin_one(database: Database) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute("update domainflow.era set system_identifier = 1")  # as if this had been restored here
    with acting(database.dsn) as actor, psycopg.connect(database.admin_dsn) as writer:
        writer.execute("lock table domainflow.event in row exclusive mode")  # as every writer does
        connections = [pool.connect(database.dsn, "app") for _ in range(3)]
        asking = [in_thread(lambda c=c: era.current(c)) for c in connections]  # type: ignore[misc]  # a lambda's default
        await_blocked(database.admin_dsn, 3)
        writer.commit()
        assert [each.result(SOON_S) for each in asking] == [2, 2, 2]
        for connection in connections:
            connection.close()
        assert actor.see("select era from domainflow.era order by era") == [1, 2]
        actor.commit(item("s"))
        assert actor.see("select distinct era from domainflow.event") == [2]


def test_a_database_that_stays_where_it_is_begins_none(database: Database) -> None:
    with acting(database.dsn) as actor:
        assert connect_to_write(actor) == 1
        assert actor.see("select era from domainflow.era") == [1]


def test_going_down_and_up_again_keeps_the_era(database: Database) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute("update domainflow.era set system_identifier = 1")
    with acting(database.dsn) as actor:
        assert connect_to_write(actor) == 2
    migrate.down(database.admin_dsn, to=3)
    migrate.up(database.admin_dsn)
    with acting(database.dsn) as actor:
        actor.commit(item("s"))
        assert actor.see("select era from domainflow.event") == [2]


def test_a_runtime_begins_the_era_before_it_writes(database: Database, home: Path) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute("update domainflow.era set system_identifier = 1")
    with Runtime.open(database.dsn, home=home, campaigns=False, work=False) as runtime:
        runtime.as_principal(ALICE).create_campaign(SPEC)
    with psycopg.connect(database.admin_dsn) as admin:
        assert admin.execute("select distinct era from domainflow.event").fetchall() == [(2,)]
