"""A runtime is closed within its time-out, whatever has become of Postgres."""

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest
from durable import SOON_S

from domainflow import Runtime
from domainflow.errors import StoreUnavailable
from domainflow.store import embedded, migrate
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


def test_a_runtime_that_waits_for_its_own_postgres_is_closed_within_its_time_out(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, take = threading.Event(), embedded._take  # noqa: SLF001 - whom somebody waits for is known nowhere else

    def taking(lock: int, operation: int) -> bool:
        """Take it, and say that somebody waits for it."""
        taken = take(lock, operation)
        if not taken:
            waits.set()
        return taken

    runtime = Runtime.open(home=home, campaigns=False, work=False)
    gate = os.open(home / "postgres/start.lock", os.O_RDWR)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)  # as another process that is starting the server, for minutes
        monkeypatch.setattr(embedded, "_take", taking)
        os.kill(int((home / "postgres/data/postmaster.pid").read_text().split("\n")[0]), signal.SIGKILL)
        assert waits.wait(SOON_S)
        began_s = time.monotonic()
        runtime.close(SHORT_S)
        assert time.monotonic() - began_s < LONG_S
    finally:
        os.close(gate)


def test_nobody_who_still_waits_takes_hold_of_a_server_that_was_let_go_of(home: Path) -> None:
    server = EmbeddedServer.attach(home)
    server.close()
    with pytest.raises(StoreUnavailable, match="was let go of"):
        server.revive()
    await_gone(server.dsn())
