"""One filled database a session, copied for each test that falsifies it."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from copies import Copy
from stored import Ids, fill, hand, opened

from domainflow.store import migrate
from domainflow.store.embedded import EmbeddedServer

FILLED = "verify_filled"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Filled:
    """What stands in the database that is copied."""

    ids: Ids
    home: Path


@pytest.fixture(scope="session")
def filled(server: EmbeddedServer) -> Iterator[Filled]:
    home = Path(tempfile.mkdtemp(prefix="domainflow-verify-"))
    with psycopg.connect(server.dsn("domainflow"), autocommit=True) as connection:
        connection.execute(f"create database {FILLED}")
    migrate.up(server.dsn("domainflow", FILLED))
    yield Filled(fill(server.dsn("domainflow_app", FILLED), home), home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def copy(server: EmbeddedServer, filled: Filled) -> Iterator[Copy]:
    name = f"verify_copy_{next(_numbers)}"
    with psycopg.connect(server.dsn("domainflow"), autocommit=True) as connection:
        connection.execute(f"create database {name} template {FILLED}")
        store = opened(server.dsn("domainflow_app", name))
        with hand(server.dsn("domainflow", name), filled.ids) as writer:
            yield Copy(store, writer, filled.home)
        store.close()
        connection.execute(f"drop database {name} with (force)")
