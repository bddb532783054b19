"""Transactions: their limits, role and tenants, what is told of them, and how they nest."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from databases import Database
from durable import SOON_S, Actor, acting, emptied, in_thread, migrated
from durable import Postgres as Connection
from stage import context, stage

from domainflow.actors.envelope import Reply
from domainflow.meters import METERS, Count, Timing
from domainflow.security.context import system
from domainflow.store import open_transactions
from domainflow.store.transaction import Kind, alone, nested, transaction

__all__ = ["emptied", "migrated"]  # fixtures

SETTINGS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
PUT = "insert into domainflow.quota (tenant, principal) values (%s, %s)"
SEE = "select principal from domainflow.quota order by principal"


@pytest.fixture
def connection(emptied: Database) -> Iterator[Connection]:
    """One that has taken no role on, as a pool's."""
    with psycopg.connect(emptied.dsn, autocommit=True) as opened:
        yield opened


def limits(connection: Connection) -> tuple[int, ...]:
    """What Postgres says of its limits, ms; the last is that of the whole, where it has one."""
    names = [*SETTINGS, "transaction_timeout"]
    rows = connection.execute("select name, setting::int from pg_settings where name = any(%s)", (names,)).fetchall()
    return tuple(dict(rows)[name] for name in names if name in dict(rows))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.COMMIT, (5_000, 2_000, 5_000, 8_000)),
        (Kind.SWEEP, (5_000, 2_000, 5_000, 8_000)),
        (Kind.VIEW, (10_000, 2_000, 10_000, 20_000)),
        (Kind.TOOL, (30_000, 10_000, 10_000, 60_000)),
        (Kind.VERIFY, (3_600_000, 10_000, 600_000, 0)),
        (Kind.MIGRATE, (0, 5_000, 0, 0)),
    ],
)
def test_a_kind_has_the_limits_that_are_written_for_it_and_they_end_with_it(
    connection: Connection, kind: Kind, expected: tuple[int, ...]
) -> None:
    before = limits(connection)
    with transaction(connection, kind):
        inside = limits(connection)
    assert inside == expected[: len(inside)]
    assert limits(connection) == before


def test_a_role_and_tenants_are_the_transactions_alone(connection: Connection) -> None:
    who = "select current_user::text, current_setting('domainflow.tenants', true)"
    before = connection.execute(who).fetchone()
    with transaction(connection, Kind.VIEW, role="upkeep", tenants=["acme", "umbrella"]):
        assert connection.execute(who).fetchone() == ("domainflow_upkeep", "acme,umbrella")
    after = connection.execute(who).fetchone()
    assert before is not None
    assert after == (before[0], "")


def test_what_a_transaction_wrote_is_gone_when_it_fails_and_its_connection_is_as_good_as_new(
    connection: Connection,
) -> None:
    def fail() -> None:
        with transaction(connection, Kind.TOOL, role="app", tenants=["acme"]):
            connection.execute(PUT, ("acme", "alice"))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with transaction(connection, Kind.TOOL, role="app", tenants=["acme"]):
        assert connection.execute(SEE).fetchall() == []


# --- savepoints


def test_a_savepoint_that_fails_leaves_the_transaction_whole(connection: Connection) -> None:
    def again() -> None:
        with nested(connection):
            connection.execute(PUT, ("acme", "bob"))
            connection.execute(PUT, ("acme", "alice"))

    with transaction(connection, Kind.TOOL, role="app", tenants=["acme"]):
        connection.execute(PUT, ("acme", "alice"))
        with pytest.raises(psycopg.errors.UniqueViolation):
            again()
        connection.execute(PUT, ("acme", "carol"))
    with transaction(connection, Kind.TOOL, role="app", tenants=["acme"]):
        assert connection.execute(SEE).fetchall() == [("alice",), ("carol",)]


def test_a_savepoint_needs_a_transaction(connection: Connection) -> None:
    with pytest.raises(psycopg.ProgrammingError, match="needs a transaction around it"), nested(connection):
        pass


def test_a_transaction_inside_another_one_ends_both(connection: Connection, emptied: Database) -> None:
    def widen() -> None:
        with transaction(connection, Kind.VIEW, role="app", tenants=["acme"]):
            connection.execute(PUT, ("acme", "alice"))
            with suppress(psycopg.OperationalError), transaction(connection, Kind.VIEW, tenants=["umbrella"]):
                pytest.fail("the body was reached")

    with pytest.raises(psycopg.OperationalError, match="the connection is closed"):
        widen()
    with acting(emptied.dsn) as actor:
        assert actor.see(SEE) == []


# --- what is told of them


def test_an_open_transaction_is_named_with_kind_thread_age_and_place(emptied: Database) -> None:
    opened, done = threading.Event(), threading.Event()

    def leak() -> None:
        threading.current_thread().name = "leaky"
        with acting(emptied.dsn) as actor, transaction(actor.app, Kind.VIEW, tenants=["acme"]):
            opened.set()
            done.wait(SOON_S)

    leaking = in_thread(leak)
    try:
        assert opened.wait(SOON_S)
        (found,) = open_transactions.all_open()
        assert (found.kind, found.thread) == ("view", "leaky")
        assert f"{Path(__file__).name}:" in found.where[0]
        assert found.where[0].endswith(
            " test_an_open_transaction_is_named_with_kind_thread_age_and_place.<locals>.leak"
        )
        assert open_transactions.overdue(found.opened_s + 19.9) == ()
        assert open_transactions.overdue(found.opened_s + 20.1) == (found,)
    finally:
        done.set()
        leaking.result(SOON_S)
    assert open_transactions.all_open() == ()


def count(name: str, *labels: str) -> int:
    return sum(m.number for m in METERS.snapshot() if m.name == name and m.labels == labels)


def test_what_became_of_each_is_counted_by_kind(connection: Connection) -> None:
    before = [
        count(name, "sweep") for name in ("transactions_committed", "transactions_rolled_back", "transaction_seconds")
    ]
    refused = count("transactions_failed", "sweep", "22012")
    with transaction(connection, Kind.SWEEP):
        pass
    with pytest.raises(psycopg.errors.DivisionByZero), transaction(connection, Kind.SWEEP):
        connection.execute("select 1/0")
    after = [
        count(name, "sweep") for name in ("transactions_committed", "transactions_rolled_back", "transaction_seconds")
    ]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 2]
    assert count("transactions_failed", "sweep", "22012") == refused + 1


def test_a_statement_alone_that_fails_is_not_counted_as_committed(connection: Connection) -> None:
    before = count("transactions_committed", "commit"), count("transactions_rolled_back", "commit")
    with pytest.raises(psycopg.errors.DivisionByZero), alone(connection, Kind.COMMIT):
        connection.execute("select 1/0")
    assert (count("transactions_committed", "commit"), count("transactions_rolled_back", "commit")) == (
        before[0],
        before[1] + 1,
    )


# --- never held across a wait for an actor


def test_nobody_waits_for_an_actor_while_holding_a_transaction(emptied: Database) -> None:
    with acting(emptied.dsn) as actor, stage(actor, lanes=1) as on:
        with on.store.tenants(Kind.VIEW, "acme"):
            with pytest.raises(RuntimeError, match="holds a transaction of kind view: it must not wait for actors"):
                on.find("actors").ask("anything", context(system("")), timeout_s=SOON_S)
            with pytest.raises(RuntimeError, match="must not wait for an answer"):
                Reply().get(SOON_S)
        waiting = Reply()
        waiting.set("here")
        assert waiting.get(SOON_S) == "here"


def test_what_is_measured_is_told_as_counts_and_timings() -> None:
    snapshot = METERS.snapshot()
    assert all(isinstance(metric, Count | Timing) for metric in snapshot)
    assert [(m.name, m.labels) for m in snapshot] == sorted((m.name, m.labels) for m in snapshot)


def test_the_role_of_a_single_connection_stays_its_own(emptied: Database) -> None:
    actor = Actor(emptied.dsn)
    try:
        with transaction(actor.upkeep, Kind.VIEW):
            assert actor.see("select current_user::text") == ["domainflow_upkeep"]
        assert actor.see("select current_user::text") == ["domainflow_upkeep"]
    finally:
        actor.close()
