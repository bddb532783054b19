"""The store's errors: ours alone, which say what is true then and tell nobody a path, a statement or a value."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
from chaos.proxy import Wire
from databases import Database
from durable import SOON_S, Actor, acting, emptied, in_thread, item, migrated
from durable import Postgres as Connection
from stage import nothing_to_revive

from domainflow.errors import Corrupt, DomainFlowError, SchemaMismatch, StoreRefused, StoreUnavailable
from domainflow.store import leases
from domainflow.store.port import HeldElsewhere, Loaded
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

__all__ = ["emptied", "migrated"]  # fixtures

AT_MOST_S = 0.2
MUCH_LATER_S = 5.0
REFUSED = "Postgres refused what it was asked"
LACKING = "the database lacks what this version needs"
SEE = "see `domainflow migrate status`"
REFUSAL = """
do $$ begin
  raise exception 'could not extend file "base/16384/2619"' using errcode = '{state}';
end $$
"""


@pytest.fixture
def store(emptied: Database) -> Iterator[Postgres]:
    """One with one connection a pool."""
    opened = Postgres(lambda: emptied.dsn, revive=nothing_to_revive, connections=1)
    yield opened
    opened.close()


Opens = Callable[[Postgres, float], AbstractContextManager[Connection]]


def tenants(store: Postgres, timeout_s: float) -> AbstractContextManager[Connection]:
    return store.tenants(Kind.TOOL, "acme", timeout_s=timeout_s)


def upkeep(store: Postgres, timeout_s: float) -> AbstractContextManager[Connection]:
    return store.upkeep(Kind.TOOL, timeout_s=timeout_s)


@pytest.mark.parametrize("open_", [tenants, upkeep])
def test_a_call_waits_for_a_connection_no_longer_than_it_is_told(store: Postgres, open_: Opens) -> None:
    with open_(store, SOON_S):
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"no connection to Postgres within 0\.2 s; nothing was done"):
            open_(store, AT_MOST_S).__enter__()
        assert time.monotonic() - began_s < MUCH_LATER_S


def test_a_closed_store_says_so(emptied: Database) -> None:
    closed = Postgres(lambda: emptied.dsn, revive=nothing_to_revive, connections=1)
    closed.close()
    with pytest.raises(StoreUnavailable, match="this runtime is closed; nothing was done"), closed.upkeep(Kind.TOOL):
        pass


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        ("53100", StoreUnavailable, "Postgres cannot be used just now: the database's disk is full"),
        ("40001", StoreUnavailable, "Postgres cannot be used just now: others changed the same rows at the same time"),
        ("40P01", StoreUnavailable, "Postgres cannot be used just now: others waited for the same rows crosswise"),
        ("55P03", StoreUnavailable, "Postgres cannot be used just now: others held the same rows for too long"),
        ("25006", StoreUnavailable, "Postgres cannot be used just now: it takes no changes, as a standby does"),
        ("53400", StoreUnavailable, "Postgres cannot be used just now: it lacks resources"),
        ("23505", StoreRefused, REFUSED),
        ("22003", StoreRefused, REFUSED),
        ("42501", StoreRefused, REFUSED),
        ("P0001", StoreRefused, REFUSED),
    ],
)
def test_what_postgres_raises_becomes_an_error_of_ours_without_its_text(
    store: Postgres, state: str, kind: type[DomainFlowError], words: str
) -> None:
    with pytest.raises(DomainFlowError) as caught, store.upkeep(Kind.TOOL) as connection:
        connection.execute(REFUSAL.format(state=state).encode())
    assert type(caught.value) is kind
    assert str(caught.value) == f"{words} (SQLSTATE {state}); nothing was done"
    assert isinstance(caught.value.__cause__, psycopg.Error)


def test_stored_data_that_postgres_cannot_read_is_corrupt(store: Postgres) -> None:
    with pytest.raises(Corrupt, match=r"\(SQLSTATE XX001\); nothing was done"), store.upkeep(Kind.TOOL) as connection:
        connection.execute(REFUSAL.format(state="XX001").encode())


def test_rows_that_another_changed_meanwhile_are_worth_another_try(store: Postgres, emptied: Database) -> None:
    change = "update domainflow.head set owner = null where stream = 'campaign/x'"

    def too_late(actor: Actor) -> None:
        with store.upkeep(Kind.TOOL, one_instant=True) as connection:
            connection.execute("select 1 from domainflow.head")
            actor.upkeep.execute(change)
            connection.execute(change)

    with acting(emptied.dsn) as actor:
        actor.commit(item("campaign/x", epoch=1))
        with pytest.raises(StoreUnavailable, match=r"\(SQLSTATE 40001\); nothing was done"):
            too_late(actor)


@pytest.mark.parametrize(
    ("statement", "values", "kind", "text"),
    [
        (b"select 1 limit %s", [-1234], StoreRefused, f"{REFUSED} (SQLSTATE 2201W); nothing was done"),
        (b"select %s::int", ["secret"], StoreRefused, f"{REFUSED} (SQLSTATE 22P02); nothing was done"),
        (b"select %s::text", ["secret\0"], StoreRefused, f"{REFUSED}; nothing was done"),  # before it is sent
        (b"select %s from secret", [1], SchemaMismatch, f"{LACKING} (SQLSTATE 42P01); nothing was done: {SEE}"),
        (b"select secret(%s)", [1], SchemaMismatch, f"{LACKING} (SQLSTATE 42883); nothing was done: {SEE}"),
    ],
)
def test_a_statement_that_is_refused_shows_neither_itself_nor_its_values(
    store: Postgres, statement: bytes, values: list[object], kind: type[DomainFlowError], text: str
) -> None:
    with pytest.raises(kind) as caught, store.tenants(Kind.TOOL, "acme") as connection:
        connection.execute(statement, values)
    assert str(caught.value) == text
    with store.tenants(Kind.TOOL, "acme") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_connection_that_is_lost_before_the_commit_has_done_nothing(store: Postgres, emptied: Database) -> None:
    def write() -> None:
        with store.upkeep(Kind.TOOL) as connection, psycopg.connect(emptied.admin_dsn, autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))
            connection.execute("select 1")

    with pytest.raises(StoreUnavailable) as caught:
        write()
    assert str(caught.value) == (
        "Postgres cannot be used just now: it is stopping or starting (SQLSTATE 57P01); nothing was done"
    )
    with store.upkeep(Kind.TOOL, timeout_s=SOON_S) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_of_a_commit_whose_answer_is_lost_it_is_not_said_that_nothing_was_done(emptied: Database, home: Path) -> None:
    wire = Wire(emptied.dsn, home)
    store = Postgres(lambda: wire.dsn, revive=nothing_to_revive, connections=1)
    try:

        def write() -> None:
            with store.tenants(Kind.TOOL, "acme") as connection:
                connection.execute("insert into domainflow.quota (tenant, principal) values ('acme', 'alice')")
                wire.lose_the_answer_of_the_next_commit()

        writing = in_thread(write)
        with acting(emptied.dsn) as actor:
            await_written(actor)
        wire.cut()
        with pytest.raises(StoreUnavailable, match="it is not known whether it was done"):
            writing.result(SOON_S)
    finally:
        store.close()
        wire.close()


def await_written(actor: Actor) -> None:
    deadline_s = time.monotonic() + SOON_S
    while not actor.see("select 1 from domainflow.quota"):
        assert time.monotonic() < deadline_s, "the commit does not arrive"
        time.sleep(0.005)


def test_who_reads_a_stream_that_is_let_go_of_meanwhile_does_not_go_on_without_an_epoch(
    store: Postgres, emptied: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = leases.owner
    with acting(emptied.dsn) as holder, acting(emptied.dsn, lane=1) as reader:
        holder.commit(item("s1", epoch=1))
        assert leases.claim_stream(holder.upkeep, holder.runtime, "s1") is not None

        def owner_meanwhile(connection: Connection, stream: str) -> tuple[str, str] | None:
            leases.release_stream(holder.upkeep, holder.runtime, stream)
            return owner(connection, stream)

        monkeypatch.setattr(leases, "owner", owner_meanwhile)
        found = store.read("s1", runtime=reader.runtime, owned=True, fold_version=1)
        assert isinstance(found, HeldElsewhere)
        again = store.read("s1", runtime=reader.runtime, owned=True, fold_version=1)
        assert isinstance(again, Loaded)
        assert again.epoch is not None
