"""Up, down and up again is the same schema to the last line of its dump, step by step, on every Postgres served."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from databases import Database
from oldest import DEBIAN_15, needs_15
from schemas import NAMES, VERSIONS, catalog, dump

from domainflow.store import migrate
from domainflow.store.embedded import EmbeddedServer


@pytest.fixture
def fifteen(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[str]:
    """A database without a schema on the oldest Postgres."""
    monkeypatch.setenv("DOMAINFLOW_PG_BIN", str(DEBIAN_15))
    server = EmbeddedServer(home)
    server.ensure()
    yield server.dsn("domainflow")
    server.close()


def test_each_step_can_be_gone_back_to_the_same_dump(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same_dumps(empty_database.admin_dsn, monkeypatch)


@needs_15
def test_each_step_can_be_gone_back_to_the_same_dump_on_the_oldest(
    fifteen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(fifteen) as connection:
        assert connection.info.server_version // 10_000 == 15
    assert_same_dumps(fifteen, monkeypatch)


@needs_15
def test_the_schema_is_the_same_on_the_oldest(fifteen: str, database: Database) -> None:
    assert migrate.up(fifteen) == NAMES
    words = ("policy", "index", "trigger")
    assert [line for line in catalog(fifteen) if line.startswith(words)] == [
        line for line in catalog(database.admin_dsn) if line.startswith(words)
    ]


def assert_same_dumps(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = migrate.known()
    dumps = []
    for steps in range(len(whole) + 1):
        monkeypatch.setattr(migrate, "known", lambda known=whole[:steps]: known)
        assert migrate.up(dsn) == NAMES[steps - 1 : steps]
        dumps.append(dump(dsn))
    if dumps[0] is None:
        pytest.skip("the server's programs came without pg_dump; test_migrate.py compares its catalog")
    assert len({*dumps}) == len(dumps)
    for steps in reversed(range(len(whole))):
        assert migrate.down(dsn, to=VERSIONS[steps]) == (NAMES[steps],)
        assert dump(dsn) == dumps[steps]
    assert migrate.up(dsn) == NAMES
    assert dump(dsn) == dumps[-1]
