"""Pools of connections, and a server that comes and goes."""

import time

import pytest
from databases import Database
from durable import SOON_S, migrated
from psycopg.conninfo import make_conninfo
from psycopg_pool import PoolClosed

from domainflow.store import pool

__all__ = ["migrated"]  # a fixture

AWAY_S = 5.0
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
    opened = pool.open_pool(place, "app", size=2)
    try:
        await_tries(place, 3, for_s=AWAY_S)
        place.back = True
        began_s = time.monotonic()
        with opened.connection(SOON_S) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert time.monotonic() - began_s < FOUND_AGAIN_S
        assert opened.get_stats().get("connections_errors", 0) == 0, "the pool waits longer after each of them"
    finally:
        opened.close()


def test_a_pool_that_has_no_server_can_be_closed(place: Place) -> None:
    opened = pool.open_pool(place, "app", size=2)
    await_tries(place, 3)
    began_s = time.monotonic()
    opened.close()
    assert time.monotonic() - began_s < FOUND_AGAIN_S
    with pytest.raises(PoolClosed), opened.connection():
        pass
