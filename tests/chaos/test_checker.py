"""The checker is checked: each kind of violation is planted in a world that is in order, and found.

A plant lives in a transaction that is rolled back, so that one world serves all.
"""

import copy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import pytest
from chaos import checker, ledger
from chaos.client import Client
from chaos.feed import Feed
from chaos.ledger import Command, Entry, Ledger
from chaos.load import ALICE, spec
from child import TESTS
from databases import Database, reachable_folder
from durable import migrated, new_uuid
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow import Runtime

__all__ = ["migrated"]  # the fixture

ITEM: Final = """
insert into domainflow.work_item (campaign, tenant, phase, run, batch, start, stop, state, fence, runtime)
values (%(id)s, 'acme', 1, 1, 0, 0, 10, 1, 1, %(id)s)
"""
RESULT: Final = """
insert into domainflow.batch (campaign, tenant, phase, run, batch, start, stop, counts, outcomes)
values (%(id)s, 'acme', 1, 1, 0, 0, 10, '', '')
"""
COPY: Final = """
insert into domainflow.event (stream, version, tenant, recorded_at, type, type_version, context, body, hash)
select stream, %(version)s, tenant, recorded_at, type, type_version, context, body, hash
  from domainflow.event where stream = %(stream)s and version = 2
"""
PASS_BY_TRIGGERS: Final = "set local session_replication_role = replica"


@dataclass
class World:
    """A campaign that was created, configured three times, and could not be paused; what its client knows of it."""

    database: Database
    stream: str
    known: dict[str, Entry]
    connection: Connection[TupleRow]

    def run(self, sql: str) -> None:
        self.connection.execute(sql, {"stream": self.stream, "version": 5, "id": self.id})

    @property
    def id(self) -> str:
        return self.stream.removeprefix("campaign/")

    def entry(self, verb: str) -> Entry:
        """The last of a kind."""
        return [entry for entry in self.known.values() if entry.command.verb == verb][-1]

    def violations(self) -> set[str]:
        """The kinds of everything that the checker finds."""
        marks = checker.applied(self.connection)
        found = checker.promises(self.known, marks, self.known) + checker.resolved(self.known)
        found += checker.undone(self.connection, self.known)
        found += checker.acknowledged_versions(self.connection, self.known)
        found += checker.streams(self.connection) + checker.work(self.connection)
        found += checker.stranded(self.connection, [new_uuid()]) + checker.unfinished(self.connection)
        return {violation.kind for violation in found}


@pytest.fixture(scope="module")
def made(migrated: Database) -> Iterator[tuple[str, Mapping[str, Entry]]]:
    """The stream and its client's ledger."""
    folder = reachable_folder()
    try:
        yield _made(migrated, folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def world(migrated: Database, made: tuple[str, Mapping[str, Entry]]) -> Iterator[World]:
    """The world, to be spoiled."""
    stream, known = made
    with psycopg.connect(migrated.admin_dsn) as connection:
        yield World(migrated, stream, copy.deepcopy(dict(known)), connection)
        connection.rollback()


def test_nothing_is_found_in_a_world_that_is_in_order(world: World) -> None:
    assert [entry.fate for entry in world.known.values()] == ["acknowledged"] * 4 + ["refused"]
    assert [entry.version for entry in world.known.values()] == [1, 2, 3, 4, 0]
    assert world.violations() == set()


# --- plants


def an_event_is_deleted(world: World) -> None:
    world.run(PASS_BY_TRIGGERS)
    world.run("delete from domainflow.event where stream = %(stream)s and version = 2")


def the_last_event_is_deleted(world: World) -> None:
    world.run(PASS_BY_TRIGGERS)
    world.run("delete from domainflow.event where stream = %(stream)s and version = 4")
    world.run("update domainflow.head set version = 3 where stream = %(stream)s")


def a_version_is_doubled(world: World) -> None:
    world.run("alter table domainflow.event drop constraint event_pkey")
    world.run(COPY.replace("%(version)s", "version"))


def a_command_is_applied_twice(world: World) -> None:
    world.run(COPY)
    world.run("update domainflow.head set version = 5 where stream = %(stream)s")


def a_head_is_behind(world: World) -> None:
    world.run("update domainflow.head set version = 3 where stream = %(stream)s")


def the_feed_has_two_events_the_wrong_way_round(world: World) -> None:
    world.run(PASS_BY_TRIGGERS)
    world.run("update domainflow.event set xid = '1' where stream = %(stream)s and version = 3")


def a_version_is_acknowledged_that_is_not_there(world: World) -> None:
    world.entry("configure").version = 9


def what_was_refused_is_acknowledged(world: World) -> None:
    entry = world.entry("pause")
    entry.fate, entry.stream, entry.version = "acknowledged", world.stream, 4


def what_was_applied_is_refused(world: World) -> None:
    world.entry("configure").fate = "refused"


def what_was_applied_is_said_to_be_undone(world: World) -> None:
    world.entry("configure").fate = "undone"


def nobody_sent_what_was_applied(world: World) -> None:
    del world.known[world.entry("configure").command.mark]


def a_command_stays_in_doubt(world: World) -> None:
    world.entry("configure").fate = "in doubt"


def an_item_is_completed_twice(world: World) -> None:
    world.run(ITEM)
    for _ in range(2):
        world.run("update domainflow.work_item set state = 2 where campaign = %(id)s")
        world.run("update domainflow.work_item set state = 1, fence = fence + 1 where campaign = %(id)s")
    world.run("delete from domainflow.work_item where campaign = %(id)s")


def a_result_is_there_twice(world: World) -> None:
    world.run("alter table domainflow.batch drop constraint batch_pkey")
    world.run(RESULT)
    world.run(RESULT)


def an_item_stays_with_the_dead(world: World) -> None:
    world.run(ITEM)


def a_campaign_is_nobodys(world: World) -> None:
    world.run("update domainflow.head set status = 'running', owner = null where stream = %(stream)s")


def a_campaign_fails(world: World) -> None:
    world.run("update domainflow.head set status = 'failed' where stream = %(stream)s")


PLANTS: Final[dict[Callable[[World], None], set[str]]] = {
    an_event_is_deleted: {"versions not gapless", "acknowledged and not applied", "acknowledged version missing"},
    the_last_event_is_deleted: {"acknowledged and not applied", "acknowledged version missing"},
    a_version_is_doubled: {"versions not gapless", "feed out of order", "applied twice"},
    a_command_is_applied_twice: {"applied twice"},
    a_head_is_behind: {"versions not gapless"},
    the_feed_has_two_events_the_wrong_way_round: {"feed out of order"},
    a_version_is_acknowledged_that_is_not_there: {"acknowledged version missing"},
    what_was_refused_is_acknowledged: {"acknowledged and not applied"},
    what_was_applied_is_refused: {"refused and applied"},
    what_was_applied_is_said_to_be_undone: {"undone and applied"},
    nobody_sent_what_was_applied: {"applied and never sent"},
    a_command_stays_in_doubt: {"still in doubt"},
    an_item_is_completed_twice: {"completed twice"},
    a_result_is_there_twice: {"result twice"},
    an_item_stays_with_the_dead: {"stranded", "unfinished"},
    a_campaign_is_nobodys: {"stranded", "unfinished"},
    a_campaign_fails: {"unfinished"},
}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_what_is_planted_is_found(world: World, plant: Callable[[World], None]) -> None:
    plant(world)
    assert world.violations() == PLANTS[plant]


def test_the_checker_knows_nothing_of_what_it_checks() -> None:
    words = "import sys, chaos.checker, chaos.feed; print(*(name for name in sys.modules if 'domainflow' in name))"
    said = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", words], capture_output=True, text=True, check=True, cwd=TESTS
    )
    assert said.stdout.strip() == ""


# --- what no rolled back transaction can show


def test_a_backend_that_is_left_in_a_transaction_is_found(world: World) -> None:
    assert checker.idle(world.connection, late_s=0.0) + checker.backends(world.connection) == []
    with psycopg.connect(world.database.admin_dsn, application_name="domainflow app") as left:
        left.execute("select 1")
        pid = left.info.backend_pid
        world.connection.rollback()  # what it saw of other sessions holds for a transaction
        assert [violation.kind for violation in checker.idle(world.connection, late_s=0.0)] == ["idle in transaction"]
        assert checker.idle(world.connection, late_s=600.0) == []
        world.connection.rollback()
        (found,) = checker.backends(world.connection)
        assert found == ("connection left", str((pid, "domainflow app")))


def test_a_feed_that_is_read_whole_is_in_order(world: World) -> None:
    assert Feed(world.database.admin_dsn).compare(world.connection) == []


def test_an_event_that_the_feed_passes_over_is_found(world: World) -> None:
    row = world.connection.execute(
        "select era, xid::text, seq from domainflow.event where stream = %s and version = 2", (world.stream,)
    ).fetchone()
    assert row is not None
    feed = Feed(world.database.admin_dsn)
    feed.bookmark = (row[0], row[1], row[2])
    assert "feed out of order" in {violation.kind for violation in feed.compare(world.connection)}


def test_an_event_that_the_feed_never_brings_is_found(world: World) -> None:
    feed = Feed(world.database.admin_dsn)
    feed.bookmark = (1_000_000, "0", 0)
    found = feed.compare(world.connection)
    assert ("not in the feed", f"{world.stream}: 0 of 4 seen") in found


def test_an_event_that_the_feed_brings_twice_is_found(world: World) -> None:
    feed = Feed(world.database.admin_dsn)
    feed.read()
    feed.bookmark = (0, "0", 0)
    assert ("feed out of order", f"{world.stream}: 1 came after 4") in feed.compare(world.connection)


def test_a_ledger_says_what_its_client_knew_when_it_died(tmp_path: Path) -> None:
    asked, refused, done = (Command(f"mark-x-1-1-{number}z", "start", "campaign/1") for number in range(3))
    with Ledger(tmp_path / "x.ledger") as log:
        for command in (asked, refused, done):
            log.sent(command)
        log.told(asked, "in doubt")
        log.told(refused, "refused")
        log.told(done, "acknowledged", "campaign/1", 7)
    read = ledger.read(tmp_path / "x.ledger", tmp_path / "of nobody.ledger")
    assert [(e.command, e.fate, e.stream, e.version, e.doubted) for e in read.values()] == [
        (asked, "in doubt", "", 0, True),
        (refused, "refused", "", 0, False),
        (done, "acknowledged", "campaign/1", 7, False),
    ]


def _made(database: Database, folder: Path) -> tuple[str, Mapping[str, Entry]]:
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        checker.witness(connection)
    with (
        Runtime.open(database.dsn, home=folder, campaigns=False, work=False) as runtime,
        Ledger(folder / "a.ledger") as log,
    ):
        client = Client(runtime.as_principal(ALICE), log, "mark-a-1-1", spec=spec)
        stream = client.create()
        assert stream is not None
        for _ in range(3):
            client.configure(stream)
        client.pause(stream)
    return stream, ledger.read(folder / "a.ledger")
