"""A database that is set back to an earlier moment: no bookmark of what is gone hides what comes in its place.

By a copy of the files of a stopped server, and by Postgres's own programs. Real servers.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from child import eventually
from databases import Database, reachable_folder
from durable import acting, item, migrated
from reading_on import Follower
from restoring import burn, counter, restore

from domainflow.errors import BookmarkLost
from domainflow.store import feed, migrate
from domainflow.store.embedded import EmbeddedServer
from domainflow.store.feed import Position

__all__ = ["migrated"]  # a fixture

KNOWN: Final = "or exists (select 1 from domainflow.event\n"


class Files:
    """A server whose files are copied, and put back, while it is stopped."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._data, self._copy = home / "postgres" / "data", home / "copy"

    def keep(self) -> None:
        self._duplicate(self._data, self._copy)

    def put_back(self) -> None:
        self.await_stop()
        shutil.rmtree(self._data)
        self._duplicate(self._copy, self._data)

    def await_stop(self) -> None:
        eventually(lambda: not (self._data / "postmaster.pid").exists(), "the server has ended")

    def _duplicate(self, source: Path, target: Path) -> None:
        self.await_stop()
        subprocess.run(["/bin/cp", "-a", source, target], check=True)  # noqa: S603 - our own folders


class SetBack(NamedTuple):
    """Where it is, a bookmark from before the moment that it was set back to, and one from behind it."""

    database: Database
    before: str
    behind: str


@pytest.fixture
def files() -> Iterator[Files]:
    made = Files(reachable_folder())
    yield made
    made.await_stop()
    shutil.rmtree(made.home)


@pytest.fixture
def set_back(files: Files) -> Iterator[SetBack]:
    first = item("s", events=3)
    with EmbeddedServer(files.home) as server:
        migrate.up(served(server).admin_dsn)
        with acting(served(server).dsn) as actor:
            actor.commit(first)
            before = Follower(actor.upkeep)
            assert len(before.read()) == 3
    files.keep()
    with EmbeddedServer(files.home) as server:
        burn(served(server))
        with acting(served(server).dsn) as actor:
            actor.commit(item("s", first, body=b"gone"))
            behind = Follower(actor.upkeep, after=Position.parse(before.bookmark))
            assert behind.read() == [("s", 4)]
    files.put_back()
    with EmbeddedServer(files.home) as server:
        database = served(server)
        with acting(database.dsn) as actor:
            actor.commit(item("s", first, body=b"in its place"), item("t"))
        assert counter(database.admin_dsn) < Position.parse(behind.bookmark).xid
        yield SetBack(database, before.bookmark, behind.bookmark)


def served(server: EmbeddedServer) -> Database:
    return Database(server.dsn("domainflow_app"), server.dsn("domainflow"))


def read(database: Database, bookmark: str) -> list[tuple[str, int]]:
    with acting(database.dsn) as actor:
        return Follower(actor.upkeep, after=Position.parse(bookmark)).read()


def test_a_bookmark_of_what_is_gone_is_refused_and_one_from_before_goes_on(set_back: SetBack) -> None:
    database, before, behind = set_back
    assert read(database, before) == [("s", 4), ("t", 1)]
    with pytest.raises(BookmarkLost, match="this feed has no such place"):
        read(database, behind)
    burn(database)
    assert counter(database.admin_dsn) > Position.parse(behind).xid  # which says nothing by now
    with pytest.raises(BookmarkLost, match="this feed has no such place"):
        read(database, behind)


def test_without_that_look_it_hides_what_came_in_its_place(set_back: SetBack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KNOWN in feed.PAGE
    monkeypatch.setattr(feed, "PAGE", feed.PAGE.replace(KNOWN, f"or true {KNOWN}"))
    assert read(set_back.database, set_back.behind) == []


def test_a_bookmark_of_what_a_dump_has_not_is_refused_by_what_was_restored_from_it_on_the_same_server(
    migrated: Database, empty_database: Database, home: Path
) -> None:
    first = item("s")
    with acting(migrated.dsn) as actor:
        actor.commit(first)
        follower = Follower(actor.upkeep)
        assert follower.read() == [("s", 1)]
        before = follower.bookmark
        restore(migrated, empty_database, home)
        actor.commit(item("s", first, body=b"gone"))
        assert follower.read() == [("s", 2)]
    with acting(empty_database.dsn) as actor:
        actor.commit(item("s", first, body=b"in its place"))
    assert read(empty_database, before) == [("s", 2)]
    with pytest.raises(BookmarkLost, match="this feed has no such place"):
        read(empty_database, follower.bookmark)


def test_a_place_before_all_that_is_to_come_is_one_and_one_that_nobody_has_come_to_is_none(migrated: Database) -> None:
    with acting(migrated.dsn) as actor:
        end = feed.end(actor.upkeep)
    assert read(migrated, str(end)) == []
    with pytest.raises(BookmarkLost):
        read(migrated, f"{end.era}.{end.xid + 1_000_000}.0")
    with pytest.raises(BookmarkLost):
        read(migrated, f"{end.era + 1}.{end.xid}.0")
