"""A runtime is closed within its time-out, whatever has become of Postgres."""

import time
from pathlib import Path

import psycopg
from durable import SOON_S

from domainflow import Runtime
from domainflow.store import migrate
from domainflow.store.embedded import EmbeddedServer

SHORT_S = 1.0
LONG_S = 15.0  # well above what a short wait may come to on a slow machine, well below the 30 s of a pool


def await_gone(dsn: str) -> None:
    """Wait until a server takes no connection any more."""
    deadline_s = time.monotonic() + SOON_S
    while time.monotonic() < deadline_s:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            return
        time.sleep(0.01)
    raise AssertionError("the server has not stopped")


def test_a_runtime_whose_postgres_is_gone_is_closed_within_its_time_out(home: Path) -> None:
    server = EmbeddedServer.attach(home)
    migrate.up(server.dsn())
    runtime = Runtime.open(server.dsn("domainflow_app"), home=home, campaigns=False, work=False)
    server.close()  # it had no other client: the runtime's are connections of somebody else's
    await_gone(server.dsn())
    began_s = time.monotonic()
    runtime.close(SHORT_S)
    assert time.monotonic() - began_s < LONG_S
