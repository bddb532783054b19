"""Transactions that take too long, meet others or lose their connection: what ends them, and what is tried again."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from chaos.proxy import Wire
from child import eventually
from databases import Database
from durable import SOON_S, Actor, acting, await_gone, emptied, in_thread, migrated
from durable import Postgres as Connection
from stage import AT_ONCE, nothing_to_revive

from domainflow.actors.children import ChildSpec
from domainflow.actors.store_watch import StoreWatch
from domainflow.actors.supervisor import Supervisor
from domainflow.actors.system import System
from domainflow.errors import StoreUnavailable
from domainflow.meters import METERS
from domainflow.store import transaction as transactions
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import LIMITS, Kind, Limits, transaction

__all__ = ["emptied", "migrated"]  # fixtures

LOCK_QUOTA = "select 1 from domainflow.quota where principal = %s for update"


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as made:
        yield made


@pytest.fixture
def store(emptied: Database) -> Iterator[Postgres]:
    opened = Postgres(lambda: emptied.dsn, revive=nothing_to_revive, connections=2)
    yield opened
    opened.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool's transaction may last a fifth of a second."""
    monkeypatch.setitem(LIMITS, Kind.TOOL, Limits(0, 0, 0, 200))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """By nobody but the watch, as before version 17."""
    monkeypatch.setattr(transactions, "WHOLE_SINCE", 10**9)
    system = System()
    watch = ChildSpec(name="watch", factory=StoreWatch, dispatcher="pinned")
    system.start([ChildSpec(name="store", factory=lambda: Supervisor([watch], AT_ONCE), kind="supervisor")])
    yield
    assert system.stop(SOON_S) == ()


def count(name: str, *labels: str) -> int:
    return sum(m.number for m in METERS.snapshot() if m.name == name and m.labels == labels)


@pytest.mark.usefixtures("short", "watched")
def test_a_statement_that_takes_longer_than_its_transaction_may_is_cancelled(actor: Actor) -> None:
    before = count("transactions_overdue", "tool")
    with pytest.raises(psycopg.errors.QueryCanceled), transaction(actor.app, Kind.TOOL):
        actor.app.execute("select pg_sleep(60)")
    assert count("transactions_overdue", "tool") == before + 1
    assert actor.app.execute("select 1").fetchone() == (1,)


@pytest.mark.usefixtures("short", "watched")
def test_a_transaction_that_is_held_for_too_long_is_cut_off_and_nothing_of_it_stays(
    actor: Actor, emptied: Database
) -> None:
    def hold() -> None:
        with transaction(actor.app, Kind.TOOL, tenants=["acme"]):
            actor.app.execute("insert into domainflow.quota (tenant, principal) values ('acme', 'alice')")
            await_gone(emptied.admin_dsn, actor.app.info.backend_pid)
            actor.app.execute("select 1")

    with pytest.raises(psycopg.OperationalError):
        hold()
    assert actor.see("select principal from domainflow.quota") == []


@pytest.mark.usefixtures("short")
def test_a_transaction_that_is_held_for_too_long_is_ended_by_postgres_itself_where_it_can(
    actor: Actor, emptied: Database
) -> None:
    if actor.app.info.server_version < transactions.WHOLE_SINCE:
        pytest.skip("this Postgres has no transaction_timeout")

    def hold() -> None:
        with transaction(actor.app, Kind.TOOL):
            await_gone(emptied.admin_dsn, actor.app.info.backend_pid)
            actor.app.execute("select 1")

    with pytest.raises(psycopg.errors.TransactionTimeout):
        hold()


# --- what is tried again


def test_of_two_that_wait_for_each_other_one_is_done_again_and_both_are_done(store: Postgres, actor: Actor) -> None:
    with transaction(actor.app, Kind.TOOL, tenants=["acme"]):
        actor.app.execute("insert into domainflow.quota (tenant, principal) values ('acme', 'a'), ('acme', 'b')")
    before = count("transactions_retried", "40P01")
    both_hold_one = threading.Barrier(2)

    def lock(first: str, second: str) -> int:
        tries = 0

        def work(connection: Connection) -> int:
            nonlocal tries
            tries += 1
            connection.execute(LOCK_QUOTA, (first,))
            if tries == 1:
                both_hold_one.wait(SOON_S)
            connection.execute(LOCK_QUOTA, (second,))
            return tries

        return store.retrying(lambda: store.tenants(Kind.TOOL, "acme"), work)

    others = in_thread(lambda: lock("b", "a"))
    assert sorted([lock("a", "b"), others.result(SOON_S)]) == [1, 2]  # type: ignore[type-var]  # both are numbers
    assert count("transactions_retried", "40P01") == before + 1


def test_what_is_refused_is_not_tried_again(store: Postgres) -> None:
    tries = []

    def work(connection: Connection) -> None:
        tries.append(1)
        connection.execute("select pg_cancel_backend(pg_backend_pid()), pg_sleep(60)")

    with pytest.raises(StoreUnavailable, match=r"\(SQLSTATE 57014\); nothing was done"):
        store.retrying(lambda: store.tenants(Kind.TOOL, "acme"), work)
    assert len(tries) == 1


def test_a_commit_whose_answer_is_lost_is_never_tried_again(emptied: Database, actor: Actor, home: Path) -> None:
    wire = Wire(emptied.dsn, home)
    store = Postgres(lambda: wire.dsn, revive=nothing_to_revive, connections=1)
    tries = []

    def work(connection: Connection) -> None:
        tries.append(1)
        connection.execute("insert into domainflow.quota (tenant, principal) values ('acme', %s)", (str(len(tries)),))
        wire.lose_the_answer_of_the_next_commit()

    try:
        writing = in_thread(lambda: store.retrying(lambda: store.tenants(Kind.TOOL, "acme"), work))
        eventually(lambda: bool(actor.see("select 1 from domainflow.quota")), "the commit arrives")
        wire.cut()
        with pytest.raises(StoreUnavailable, match="it is not known whether it was done"):
            writing.result(SOON_S)
        assert actor.see("select principal from domainflow.quota") == ["1"]
    finally:
        store.close()
        wire.close()


def test_work_in_slices_goes_on_until_one_is_not_full(store: Postgres) -> None:
    slices = [3, 3, 1, 3]
    seen = []

    def work(connection: Connection) -> int:
        seen.append(connection.execute("select pg_current_xact_id()").fetchone())
        return slices.pop(0)

    assert store.in_slices(Kind.SWEEP, work, most=3) == 7
    assert len(set(seen)) == 3


def test_calls_of_hosts_that_hold_every_connection_leave_actors_theirs(store: Postgres) -> None:
    with store.tenants(Kind.VIEW, "acme"), store.upkeep(Kind.TOOL), store.upkeep(Kind.LEDGER, timeout_s=0.5) as free:
        assert free.execute("select 1").fetchone() == (1,)
