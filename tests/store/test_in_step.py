"""Connections that something befell: nobody is told of a commit that never was. Real Postgres."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import psycopg
import pytest
from commits import actor, admin, lane_of, versions
from durable import SOON_S, Actor, Postgres, emptied, in_thread, item, migrated

from domainflow.store import pool, streams
from domainflow.store.commit_connection import CommitConnection, OutcomeUnknownError, PoisonError
from domainflow.store.port import Committed, Item
from domainflow.store.transaction import Kind, alone, transaction

__all__ = ["actor", "admin", "emptied", "migrated"]  # fixtures

TOO_LATE = (
    """
    create function public.late() returns trigger language plpgsql as $$ begin
      if new.stream = 'late' then raise exception 'too late'; end if;
      return null;
    end $$
    """,
    """
    create constraint trigger late after insert on domainflow.head deferrable initially deferred
      for each row execute function public.late()
    """,
)
COMMITS = 300
CANCELS_A_COMMIT = 3
CANCEL = "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'domainflow app'"


@pytest.fixture
def connection(actor: Actor) -> Iterator[Postgres]:
    opened = pool.connect(actor.dsn, "app")
    yield opened
    opened.close()


Opens = Callable[[Postgres], AbstractContextManager[Postgres]]


def whole(connection: Postgres) -> AbstractContextManager[Postgres]:
    return transaction(connection, Kind.TOOL, tenants=("acme",))


def single(connection: Postgres) -> AbstractContextManager[Postgres]:
    return alone(connection, Kind.COMMIT)


@pytest.mark.parametrize("open_", [whole, single])
@pytest.mark.parametrize("left", [b"begin", b"begin; savepoint s"])
def test_a_connection_that_was_left_within_a_transaction_does_nothing_and_is_closed(
    connection: Postgres, open_: Opens, left: bytes
) -> None:
    connection.execute(left)
    with pytest.raises(psycopg.OperationalError, match="out of step"), open_(connection):
        pytest.fail("the body was reached")
    assert connection.closed


def test_a_connection_that_is_left_within_a_transaction_is_closed(connection: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="out of step"), single(connection):
        connection.execute("begin")
    assert connection.closed


def test_an_error_takes_everything_back_and_keeps_the_connection(actor: Actor, connection: Postgres) -> None:
    def half() -> None:
        with whole(connection):
            connection.execute("insert into domainflow.quota (tenant, principal) values ('acme', 'alice')")
            connection.execute("select 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        half()
    assert not connection.closed
    assert not actor.see("select 1 from domainflow.quota")


def test_an_error_of_the_commit_itself_is_one_of_the_batch(actor: Actor, admin: str) -> None:
    lane = lane_of(actor)
    with psycopg.connect(admin, autocommit=True) as owner:
        for statement in TOO_LATE:
            owner.execute(statement)
        try:
            with pytest.raises(PoisonError, match="P0001"):
                lane.send([(item("late"),)])
            assert lane.send([(item("s1"),)]) == [Committed(1)]
        finally:
            owner.execute("drop function public.late() cascade")
    assert not lane.was_committed(item("late"))
    lane.close()


def test_a_commit_on_a_connection_that_was_left_within_a_transaction_is_not_acknowledged(actor: Actor) -> None:
    lane = lane_of(actor)
    lane._open.execute("begin")  # noqa: SLF001 - what a cancelled rollback leaves
    with pytest.raises(OutcomeUnknownError):
        lane.send([(item("s1"),)])
    lane.reopen()
    assert not lane.was_committed(item("s1"))
    lane.close()


def test_of_commits_under_a_hail_of_cancels_those_stand_that_were_acknowledged(actor: Actor, admin: str) -> None:
    lane = lane_of(actor)
    over = threading.Event()
    hail = in_thread(lambda: cancel_without_end(admin, over))
    told: list[Item] = []
    try:
        for n in range(COMMITS):
            move = item("s1", told[-1] if told else None, body=str(n).encode())
            assert settle(lane, move) == Committed(move.version)
            told.append(move)
    finally:
        over.set()
    assert hail.result(SOON_S) > COMMITS * CANCELS_A_COMMIT, "too few to meet every moment of a commit"
    lane.close()
    assert versions(actor, "s1") == [move.version for move in told]
    assert [recorded.hash for recorded in streams.events(actor.upkeep, "s1", after=0)] == [m.hash for m in told]


def settle(lane: CommitConnection, move: Item) -> object:
    """Send it until it is answered."""
    while True:
        try:
            return lane.send([(move,)])[0]
        except PoisonError as error:
            if not str(error).startswith("57014"):  # cancelled: nothing was written
                raise
        except OutcomeUnknownError:
            lane.reopen()
            if lane.was_committed(move):
                return Committed(move.version)


def cancel_without_end(admin: str, over: threading.Event) -> int:
    cancels = 0
    with psycopg.connect(admin, autocommit=True) as killer:
        while not over.is_set():
            killer.execute(CANCEL)
            cancels += 1
    return cancels
