"""Processes that migrate at once, and such as are killed inside a step: it is applied once, or not at all."""

import multiprocessing

import psycopg
import pytest
from child import Child
from databases import Database
from durable import SOON_S, await_blocked
from schemas import NAMES, VERSIONS, catalog, check

from domainflow.store import migrate

HALTING = ("psycopg:Connection.execute=store.halting:execute",)
RECORDED = "insert into domainflow_meta.migration"  # the last statement of a step up
FORGOTTEN = "delete from domainflow_meta.migration"  # and down


def test_processes_that_migrate_at_once_apply_each_step_once(empty_database: Database) -> None:
    race(empty_database, rounds=5)


@pytest.mark.chaos
def test_processes_that_migrate_at_once_apply_each_step_once_fifty_times(empty_database: Database) -> None:
    race(empty_database, rounds=50)


def race(database: Database, *, rounds: int) -> None:
    """In each round both have come as far as the lock when it is let go."""
    dsn = database.admin_dsn
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        for _ in range(rounds):
            with psycopg.connect(dsn, autocommit=True) as holder:
                holder.execute("select pg_advisory_lock(%s)", (migrate.LOCK_KEY,))
                both = processes.map_async(migrate.up, [dsn] * 2, chunksize=1)
                await_blocked(dsn, 2)
                assert catalog(dsn) == []
            assert sorted(both.get(SOON_S)) == [(), NAMES]
            check(database.dsn)
            assert migrate.down(dsn, to=0) == NAMES[::-1]


def test_a_process_killed_inside_a_step_leaves_it_undone_and_the_next_does_it(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn, whole = empty_database.admin_dsn, migrate.known()
    for steps in range(1, len(whole) + 1):
        before = catalog(dsn)
        for statement in ("", RECORDED):
            with Child("store.halting:up", patch=HALTING, dsn=dsn) as child:
                kill_after(child, statement)
            assert_undone(dsn, before, steps - 1)
        monkeypatch.setattr(migrate, "known", lambda known=whole[:steps]: known)
        assert migrate.up(dsn) == (NAMES[steps - 1],)
    check(empty_database.dsn)


def test_a_process_killed_on_the_way_down_leaves_the_step_done_and_the_next_undoes_it(database: Database) -> None:
    dsn = database.admin_dsn
    for steps in range(len(NAMES), 0, -1):
        before = catalog(dsn)
        with Child("store.halting:down", patch=HALTING, dsn=dsn, to=VERSIONS[steps - 1]) as child:
            kill_after(child, FORGOTTEN)
        assert_undone(dsn, before, steps)
        assert migrate.down(dsn, to=VERSIONS[steps - 1]) == (NAMES[steps - 1],)
    assert catalog(dsn) == []


def kill_after(child: Child, statement: str) -> None:
    """Let it go on until it has executed this in a transaction; "": the first."""
    while not child.wait_line("executed").startswith(statement):
        child.tell("on")
    child.kill9()


def assert_undone(dsn: str, before: list[str], steps: int) -> None:
    """Wait until the server has noticed the death, and see what is left of it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set lock_timeout = '10s'")
        connection.execute("select pg_advisory_lock(%s)", (migrate.LOCK_KEY,))
        assert len(migrate.applied(connection)) == steps
    assert catalog(dsn) == before
