"""Pools of connections, and a server that comes and goes."""

import socket
import time
from contextlib import ExitStack

import psycopg
import pytest
from databases import Database
from durable import SOON_S, in_thread, migrated
from psycopg.conninfo import make_conninfo
from psycopg_pool import PoolClosed, PoolTimeout

from domainflow.errors import StoreUnavailable
from domainflow.store import pool

__all__ = ["migrated"]  # a fixture

AWAY_S = 5.0
WELCOME = b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I"  # authenticated, and ready for a query
FOUND_AGAIN_S = 1.0


class Place:
    """Where the server is; until it is back, nowhere."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.asked = 0
        self.back = False

    def __call__(self) -> str:
        self.asked += 1
        return self.dsn if self.back else make_conninfo(self.dsn, host="/nowhere")


@pytest.fixture
def place(migrated: Database) -> Place:
    return Place(migrated.dsn)


def await_tries(place: Place, number: int, for_s: float = 0.0) -> None:
    began_s = time.monotonic()
    while place.asked < number or time.monotonic() - began_s < for_s:
        assert time.monotonic() - began_s < for_s + SOON_S, "nobody looks for the server"
        time.sleep(0.01)


def test_a_server_that_is_back_is_found_at_once_however_long_it_was_gone(place: Place) -> None:
    opened = pool.open_pool(place, "data", size=2)
    try:
        await_tries(place, 3, for_s=AWAY_S)
        place.back = True
        began_s = time.monotonic()
        with pool.lend(opened, SOON_S) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert time.monotonic() - began_s < FOUND_AGAIN_S
        assert opened.get_stats().get("connections_errors", 0) == 0, "the pool waits longer after each of them"
    finally:
        opened.close()


def test_a_pool_that_has_no_server_can_be_closed(place: Place) -> None:
    opened = pool.open_pool(place, "data", size=2)
    await_tries(place, 3)
    began_s = time.monotonic()
    opened.close()
    assert time.monotonic() - began_s < FOUND_AGAIN_S
    with pytest.raises(PoolClosed), pool.lend(opened, SOON_S):
        pass


def test_a_pool_of_dead_connections_gives_a_living_one_at_once_however_often_they_die(
    place: Place, migrated: Database
) -> None:
    place.back = True
    opened = pool.open_pool(place, "app", size=4)
    try:
        for _ in range(3):
            with ExitStack() as stack:
                pids = [stack.enter_context(pool.lend(opened, SOON_S)).info.backend_pid for _ in range(4)]
            end(migrated, pids)
            began_s = time.monotonic()
            with pool.lend(opened, SOON_S) as connection:
                assert connection.info.backend_pid not in pids
            assert time.monotonic() - began_s < FOUND_AGAIN_S
    finally:
        opened.close()


def end(database: Database, pids: list[int]) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        for pid in pids:
            admin.execute("select pg_terminate_backend(%s, 10000)", (pid,))


def test_a_connection_that_is_lent_out_is_waited_for_no_longer_than_said(place: Place) -> None:
    place.back = True
    opened = pool.open_pool(place, "app", size=1)
    try:
        with pool.lend(opened, SOON_S), pytest.raises(PoolTimeout), pool.lend(opened, 0.1):
            pass
        with pool.lend(opened, SOON_S):
            pass
    finally:
        opened.close()


@pytest.mark.parametrize("dsn", ["postgres//alice:secret@db", "host=db password=secret secret", "host=db secret=1"])
def test_a_dsn_that_cannot_be_read_is_refused_without_a_piece_of_it(dsn: str) -> None:
    with pytest.raises(StoreUnavailable, match="the DSN cannot be read; check DOMAINFLOW_DSN") as caught:
        pool.connect(dsn, "app")
    assert "secret" not in str(caught.value)


def test_a_server_that_goes_away_over_the_first_statement_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def welcome_and_leave() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(WELCOME)
                client.recv(4096)

        leaving = in_thread(welcome_and_leave)
        dsn = f"host=127.0.0.1 port={listener.getsockname()[1]} user=u dbname=d sslmode=disable gssencmode=disable"
        with pytest.raises(StoreUnavailable, match="cannot connect to Postgres"):
            pool.connect(dsn, "app")
        leaving.result(SOON_S)
