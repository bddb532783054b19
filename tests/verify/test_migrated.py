"""Migrations of a full database: what is stored stays whole, and each step says what it locks and for how long."""

from typing import Any, Final, LiteralString

import psycopg
import pytest
from _fill import fill
from copies import Copy
from psycopg import Connection, Cursor
from psycopg.conninfo import make_conninfo

from domainflow.store import migrate
from domainflow.verify import verify

RELATIONS: Final[LiteralString] = "select relname from pg_class where relnamespace = to_regnamespace('domainflow')"
# All locks of a transaction are held to its end.
LOCKS: Final[LiteralString] = """
select c.relname, l.mode from pg_locks l join pg_class c on c.oid = l.relation
 where l.pid = pg_backend_pid() and l.mode <> 'AccessShareLock' and c.relnamespace = to_regnamespace('domainflow')
 order by c.relname, l.mode
"""
TOOK: Final[LiteralString] = "select name, took_ms from domainflow_meta.migration order by version"
NAMES: Final = tuple(migration.name for migration in migrate.known())
EXECUTE: Final = Connection.execute


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_step_on_a_full_database_leaves_it_whole(copy: Copy, admin_dsn: str, name: str) -> None:
    """Gone back to what was before it, without what only the newer schema can hold, and up again."""
    steps = NAMES.index(name)
    migrate.down(admin_dsn, to=migrate.known()[steps - 1].version)
    assert migrate.up(admin_dsn) == NAMES[steps:]
    assert [fault.line for fault in verify(copy.store)] == []


def test_each_step_on_a_full_database_says_what_it_locks_and_for_how_long(
    copy: Copy, admin_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(admin_dsn, campaigns=1000, events=50)
    migrate.down(admin_dsn, to=1)
    locks: dict[str, list[str]] = {}
    there: set[str] = set()  # before the step: nobody waits for what it makes

    def execute(connection: Connection[Any], query: Any, *values: Any, **how: Any) -> Cursor[Any]:  # noqa: ANN401
        if query == migrate.RECORD:  # the last statement of a step
            held = EXECUTE(connection, LOCKS).fetchall()
            locks[values[0][1]] = [f"{relation} {mode}" for relation, mode in held if relation in there]
            there.update(row[0] for row in EXECUTE(connection, RELATIONS))
        return EXECUTE(connection, query, *values, **how)

    with psycopg.connect(admin_dsn) as connection:
        there.update(row[0] for row in connection.execute(RELATIONS))
    monkeypatch.setattr(Connection, "execute", execute)
    migrate.up(admin_dsn)
    monkeypatch.undo()
    with psycopg.connect(admin_dsn) as connection:
        for name, took_ms in connection.execute(TOOK).fetchall()[1:]:
            print(f"{name}: {took_ms} ms, {', '.join(locks[name]) or 'no lock'}")  # noqa: T201 - a figure
    assert locks["0003_unended"] == ["head ShareLock"]
    assert [fault.line for fault in verify(copy.store)] == []


@pytest.fixture
def admin_dsn(copy: Copy) -> str:
    return make_conninfo(copy.store.dsn, user=copy.hand.connection.info.user)
