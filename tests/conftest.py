"""What every test may stand on: a home that the server's account can reach, one server a session, a fresh database.

The server is the project's own embedded one; DOMAINFLOW_PG_BIN chooses other binaries, as for any user.
"""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from databases import Database, await_ended, await_none_idle, reachable_folder

from domainflow.store import migrate, open_transactions
from domainflow.store.embedded import EmbeddedServer

# One profile for all: the same examples everywhere, so that a red run can be repeated.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
hypothesis.settings.load_profile("ci")

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests reaches them, but for the choice of Postgres binaries."""
    for name in list(os.environ):
        if name.startswith("DOMAINFLOW_") and name not in {"DOMAINFLOW_PG_BIN", "DOMAINFLOW_PG_USER"}:
            monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it


@pytest.fixture(autouse=True)
def _no_transaction_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did, nothing that it opened a transaction for is still in it; set up first, so checked last."""
    before = open_transactions.all_open()
    yield
    begun = [each for each in open_transactions.all_open() if each not in before]
    await_ended(begun)  # of a runtime that outlives the test there is always one
    if "server" in request.fixturenames:
        await_none_idle(request.getfixturevalue("server").dsn("domainflow"))


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of its own."""
    folder = reachable_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The server of this session."""
    folder = reachable_folder()
    running = EmbeddedServer(folder)
    running.ensure()
    yield running
    running.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def empty_database(server: EmbeddedServer) -> Iterator[Database]:
    """A database without any schema."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.dsn("domainflow"), autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    yield Database(server.dsn("domainflow_app", name), server.dsn("domainflow", name))
    with psycopg.connect(server.dsn("domainflow"), autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture
def database(empty_database: Database) -> Database:
    """A database with the schema of this version."""
    migrate.up(empty_database.admin_dsn)
    return empty_database
