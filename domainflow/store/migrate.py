"""Numbered migrations, up and down: checksummed, one process at a time, each with its row in one transaction.

No migration is written here; they stand in `migrations/NNNN_name.{up,down}.sql`.
"""

import hashlib
import time
from importlib import resources
from typing import Final, LiteralString, cast

import psycopg
from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import SchemaMismatch, StoreUnavailable
from domainflow.store import pool
from domainflow.store.transaction import Kind, transaction

LOCK_KEY: Final = 0x646F6D61696E  # "domain": of the session advisory lock
LOCK_WAIT_S: Final = 60.0

CREATE_TABLE: Final[LiteralString] = """
create schema if not exists domainflow_meta;
grant usage on schema domainflow_meta to public;
create table if not exists domainflow_meta.migration (
  version int primary key,
  name text not null,
  up_sha256 text not null,
  down_sql text not null,  -- kept here, so that an older program can go back from a schema it has no file for
  applied_at timestamptz not null default clock_timestamp(),
  took_ms int not null
);
grant select on domainflow_meta.migration to public;
"""
TABLE_EXISTS: Final[LiteralString] = "select to_regclass('domainflow_meta.migration') is not null"
APPLIED: Final[LiteralString] = (
    "select version, name, up_sha256, down_sql from domainflow_meta.migration order by version"
)
RECORD: Final[LiteralString] = """
insert into domainflow_meta.migration (version, name, up_sha256, down_sql, took_ms) values (%s, %s, %s, %s, %s)
"""
FORGET: Final[LiteralString] = "delete from domainflow_meta.migration where version = %s"


class Migration(Struct, frozen=True, kw_only=True):
    """One step of the schema, as this program knows it."""

    version: int
    name: str
    up_sql: str
    down_sql: str

    @property
    def up_sha256(self) -> str:
        """Hex checksum of the way up."""
        return hashlib.sha256(self.up_sql.encode()).hexdigest()


class Applied(Struct, frozen=True):
    """One step of the schema, as the database recorded it."""

    version: int
    name: str
    up_sha256: str
    down_sql: str


def known() -> tuple[Migration, ...]:
    """Return the migrations of this program, in order."""
    folder = resources.files("domainflow.store") / "migrations"
    ups = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".up.sql"))
    return tuple(
        Migration(
            version=int(up[:4]),
            name=up.removesuffix(".up.sql"),
            up_sql=(folder / up).read_text(),
            down_sql=(folder / up.replace(".up.sql", ".down.sql")).read_text(),
        )
        for up in ups
    )


def applied(connection: Connection[TupleRow]) -> tuple[Applied, ...]:
    """Return what the database says was applied, in order; empty for a fresh one."""
    row = connection.execute(TABLE_EXISTS).fetchone()
    if not (row and row[0]):
        return ()
    return tuple(Applied(*row) for row in connection.execute(APPLIED).fetchall())


def check(connection: Connection[TupleRow]) -> None:
    """Raise SchemaMismatch, with what to run, unless the schema is exactly this program's."""
    have, want = applied(connection), known()
    _compare(have, want)
    if len(have) < len(want):
        raise SchemaMismatch(
            f"the database is at schema {have[-1].version if have else 0} and this version needs {want[-1].version}: "
            "run `domainflow migrate up` with DOMAINFLOW_ADMIN_DSN set"
        )


def up(dsn: str) -> tuple[str, ...]:
    """Apply what is missing under the lock; return the names of what was applied.

    Raises SchemaMismatch (checksum, hole, newer schema) or StoreUnavailable (no lock in time): nothing was applied.
    """
    with _locked(dsn) as connection:
        with transaction(connection, Kind.MIGRATE):
            connection.execute(CREATE_TABLE)
        have, want = applied(connection), known()
        _compare(have, want)
        missing = want[len(have) :]
        for migration in missing:
            _apply(connection, migration)
    return tuple(migration.name for migration in missing)


def down(dsn: str, *, to: int) -> tuple[str, ...]:
    """Undo everything above version `to`, newest first; return the names of what was undone."""
    with _locked(dsn) as connection:
        doomed = [row for row in reversed(applied(connection)) if row.version > to]
        for row in doomed:
            with transaction(connection, Kind.MIGRATE):
                connection.execute(_trusted(row.down_sql))
                connection.execute(FORGET, (row.version,))
    return tuple(row.name for row in doomed)


def _apply(connection: Connection[TupleRow], migration: Migration) -> None:
    started = time.monotonic()
    with transaction(connection, Kind.MIGRATE):
        connection.execute(_trusted(migration.up_sql))
        connection.execute("reset role")
        took_ms = int((time.monotonic() - started) * 1000)
        connection.execute(
            RECORD, (migration.version, migration.name, migration.up_sha256, migration.down_sql, took_ms)
        )


def _compare(have: tuple[Applied, ...], want: tuple[Migration, ...]) -> None:
    if len(have) > len(want):
        raise SchemaMismatch(
            f"the database is at schema {have[-1].version}, newer than this version knows ({want[-1].version})"
        )
    for row, migration in zip(have, want, strict=False):
        if row.version != migration.version:
            raise SchemaMismatch(f"the database has a hole: migration {migration.name} is missing before {row.name}")
        if row.up_sha256 != migration.up_sha256:
            raise SchemaMismatch(f"migration {migration.name} was changed after it was applied: its checksum differs")


def _locked(dsn: str) -> Connection[TupleRow]:
    """Return an autocommit connection that holds the lock until it is closed. No lock, no migration."""
    try:
        connection = psycopg.connect(pool.lively(dsn), autocommit=True, application_name="domainflow migrate")
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"cannot connect to migrate: {str(error).strip()}") from error
    connection.execute("select set_config('lock_timeout', %s, false)", (str(int(LOCK_WAIT_S * 1000)),))
    try:
        connection.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
    except psycopg.errors.LockNotAvailable as error:
        connection.close()
        raise StoreUnavailable(
            f"another process has been migrating for {LOCK_WAIT_S:.0f} s: nothing was applied"
        ) from error
    return connection


def _trusted(sql: str) -> LiteralString:
    """The one place where text that is not a literal becomes SQL: files of this package, or their stored copies."""
    return cast("LiteralString", sql)  # type: ignore[redundant-cast]  # to mypy it is a str, to pyright it is not
