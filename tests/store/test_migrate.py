"""Migrations: up, down and up again to the same schema; what does not fit is refused with what to do. Real Postgres."""

import psycopg
import pytest
from databases import Database
from schemas import NAMES, catalog, check

from domainflow.errors import SchemaMismatch, StoreUnavailable
from domainflow.store import migrate

LAST = migrate.known()[-1].version


def change(dsn: str, sql: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(sql)


def test_up_down_and_up_again_makes_the_same_schema(empty_database: Database) -> None:
    dsn = empty_database.admin_dsn
    assert migrate.up(dsn) == NAMES
    first = catalog(dsn)
    assert len(first) > 200
    assert migrate.down(dsn, to=0) == NAMES[::-1]
    assert catalog(dsn) == []
    assert migrate.up(dsn) == NAMES
    assert catalog(dsn) == first


def test_each_step_can_be_gone_back_alone(database: Database) -> None:
    whole = catalog(database.admin_dsn)
    assert migrate.down(database.admin_dsn, to=1) == NAMES[:0:-1]
    assert catalog(database.admin_dsn) != whole
    assert migrate.up(database.admin_dsn) == NAMES[1:]
    assert catalog(database.admin_dsn) == whole


def test_up_twice_applies_nothing_the_second_time(database: Database) -> None:
    assert migrate.up(database.admin_dsn) == ()
    check(database.dsn)


def test_a_migration_that_was_changed_after_it_was_applied_is_refused(database: Database) -> None:
    change(database.admin_dsn, "update domainflow_meta.migration set up_sha256 = 'other' where version = 1")
    for refused in (lambda: migrate.up(database.admin_dsn), lambda: check(database.dsn)):
        with pytest.raises(SchemaMismatch, match="0001_core was changed after it was applied: its checksum differs"):
            refused()


def test_a_hole_is_refused(database: Database) -> None:
    change(database.admin_dsn, "delete from domainflow_meta.migration where version = 1")
    with pytest.raises(SchemaMismatch, match="has a hole: migration 0001_core is missing before 0002"):
        migrate.up(database.admin_dsn)


def test_a_newer_schema_is_refused(database: Database) -> None:
    change(
        database.admin_dsn,
        "insert into domainflow_meta.migration (version, name, up_sha256, down_sql, took_ms) "
        "values (99, '0099_future', '', '', 0)",
    )
    for refused in (lambda: migrate.up(database.admin_dsn), lambda: check(database.dsn)):
        with pytest.raises(SchemaMismatch, match=rf"at schema 99, newer than this version knows \({LAST}\)"):
            refused()


def test_a_newer_schema_can_be_gone_back_from_by_what_it_stored(database: Database) -> None:
    whole = catalog(database.admin_dsn)
    change(
        database.admin_dsn,
        "create table domainflow.future (id int); "
        "insert into domainflow_meta.migration (version, name, up_sha256, down_sql, took_ms) "
        "values (99, '0099_future', '', 'drop table domainflow.future', 0)",
    )
    assert migrate.down(database.admin_dsn, to=LAST) == ("0099_future",)
    assert catalog(database.admin_dsn) == whole


def test_the_application_without_a_schema_is_told_what_to_run(database: Database) -> None:
    migrate.down(database.admin_dsn, to=0)
    with pytest.raises(
        SchemaMismatch,
        match=r"is at schema 0 and this version needs .*: run `domainflow migrate up` with DOMAINFLOW_ADMIN_DSN set",
    ):
        check(database.dsn)


def test_a_step_that_fails_leaves_nothing_behind(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = catalog(database.admin_dsn)
    broken = migrate.Migration(
        version=99, name="0099_broken", up_sql="create table domainflow.half (id int); select 1/0", down_sql=""
    )
    known = (*migrate.known(), broken)
    monkeypatch.setattr(migrate, "known", lambda: known)
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate.up(database.admin_dsn)
    assert catalog(database.admin_dsn) == before
    monkeypatch.undo()
    check(database.dsn)


def test_who_gets_no_lock_in_time_applies_nothing(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "LOCK_WAIT_S", 0.01)
    with psycopg.connect(empty_database.admin_dsn, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", (migrate.LOCK_KEY,))
        with pytest.raises(StoreUnavailable, match=r"another process has been migrating for .*: nothing was applied"):
            migrate.up(empty_database.admin_dsn)
    assert catalog(empty_database.admin_dsn) == []


def test_nowhere_to_connect_is_said_so() -> None:
    with pytest.raises(StoreUnavailable, match="cannot connect to migrate"):
        migrate.up("host=/nowhere user=x")
