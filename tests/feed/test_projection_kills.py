"""Projections whose process is killed: nothing is applied twice, nothing is lost. Real Postgres, real processes."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from child import Child, eventually
from databases import Database
from durable import in_thread
from reading_on import write_as
from speaker import ALICE, SPEC
from tallying import TABLE, held, tally

from domainflow import Operations, Runtime

APART = "domainflow.projections:Projector._apply=feed.tallying:apply_apart"
SOON_S = 30.0


@pytest.fixture
def prepared(database: Database) -> Database:
    """With the host's table."""
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute(TABLE)
    return database


@pytest.fixture
def ops(prepared: Database, home: Path) -> Iterator[Operations]:
    with Runtime.open(prepared.dsn, home=home, campaigns=False, work=False) as runtime:
        yield runtime.as_principal(ALICE)


def killed_within(prepared: Database, home: Path, ops: Operations, *patch: str) -> int:
    """Kill who applies it when it has written and not committed; return what it comes to with the next one."""
    campaign = ops.create_campaign(SPEC)
    with Child("feed.tallying:host", patch=patch, dsn=prepared.dsn, home=str(home), stops=True) as child:
        assert child.wait_line("applied") == "1"
        child.tell("go on")
        eventually(lambda: held_changes(prepared) == 1, "it is committed")
        campaign.start()
        assert child.wait_line("applied") == "1"
        child.signal(signal.SIGKILL)
    ops.projector(tally()).catch_up()
    return held_changes(prepared)


def held_changes(prepared: Database) -> int:
    with psycopg.connect(prepared.admin_dsn) as admin:
        row = admin.execute("select coalesce(sum(changes), 0)::int from public.tally").fetchone()
    return row[0] if row else 0


def test_who_is_killed_in_the_middle_has_applied_nothing_twice_and_lost_nothing(
    prepared: Database, home: Path, ops: Operations
) -> None:
    assert killed_within(prepared, home, ops) == 2
    assert held(prepared.admin_dsn) == [(1, True, 2)]


def test_with_its_place_moved_in_a_transaction_of_its_own_it_loses_something(
    prepared: Database, home: Path, ops: Operations
) -> None:
    assert killed_within(prepared, home, ops, APART) == 1


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=[pytest.mark.chaos, pytest.mark.timeout(900)])])
def test_killed_again_and_again_under_load_it_comes_to_what_was_committed(
    prepared: Database, home: Path, ops: Operations, kills: int
) -> None:
    campaign, over, last = ops.create_campaign(SPEC), threading.Event(), [1]

    def write() -> None:
        while not over.is_set():
            last[0] += 1
            write_as(prepared.admin_dsn, campaign.stream, last[0])

    writing = in_thread(write)
    for number in range(kills):
        with Child("feed.tallying:host", dsn=prepared.dsn, home=str(home), stops=False) as child:
            for _ in range(1 + number % 3):
                child.wait_line("applied")
            child.signal(signal.SIGKILL)
    over.set()
    writing.result(SOON_S)
    ops.projector(tally()).catch_up()
    assert held(prepared.admin_dsn) == [(1, True, last[0])]
