"""Migrations: up, down and up again to the same schema; what does not fit is refused with what to do. Real Postgres."""

import multiprocessing
import os
from pathlib import Path

import psycopg
import pytest
from databases import Database
from durable import SOON_S, await_blocked

from domainflow.errors import SchemaMismatch, StoreUnavailable
from domainflow.store import migrate, pool
from domainflow.store.embedded import EmbeddedServer

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
NAMES = tuple(migration.name for migration in migrate.known())

# Everything the schema consists of, in words that do not depend on ids.
CATALOG = """
select 'table ' || c.relname || ' ' || c.relkind::text || ' ' || c.relrowsecurity || c.relforcerowsecurity || ' '
       || coalesce(array_to_string(c.reloptions, ','), '') || ' ' || coalesce(c.relacl::text, '') || ' '
       || c.relowner::regrole
  from pg_class c where c.relnamespace = to_regnamespace('domainflow') and c.relkind <> 't'
union all
select 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
       || a.attstorage::text || a.attidentity::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
       || coalesce(a.attacl::text, '')
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where c.relnamespace = to_regnamespace('domainflow') and a.attnum > 0 and not a.attisdropped
   and c.relkind in ('r', 'p', 'v')
union all
select 'index ' || pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indexrelid
 where c.relnamespace = to_regnamespace('domainflow')
union all
select 'constraint ' || k.conrelid::regclass || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
  from pg_constraint k where k.connamespace = to_regnamespace('domainflow')
union all
select 'policy ' || p.polrelid::regclass || ' ' || p.polname || ' ' || p.polroles::regrole[]::text || ' '
       || pg_get_expr(p.polqual, p.polrelid) || ' ' || pg_get_expr(p.polwithcheck, p.polrelid)
  from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = to_regnamespace('domainflow')
union all
select 'function ' || pg_get_functiondef(f.oid) from pg_proc f where f.pronamespace = to_regnamespace('domainflow')
union all
select 'trigger ' || pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
 where c.relnamespace = to_regnamespace('domainflow') and not t.tgisinternal
union all
select 'schema ' || n.nspname || coalesce(n.nspacl::text, '') || n.nspowner::regrole from pg_namespace n
 where n.nspname = 'domainflow'
union all
select 'view ' || c.relname || pg_get_viewdef(c.oid) from pg_class c
 where c.relnamespace = to_regnamespace('domainflow') and c.relkind = 'v'
order by 1
"""


def catalog(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute(CATALOG).fetchall()]


def change(dsn: str, sql: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(sql)


def check(dsn: str) -> None:
    with pool.plain(dsn) as connection:
        migrate.check(connection)


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
        with pytest.raises(SchemaMismatch, match=rf"at schema 99, newer than this version knows \({len(NAMES)}\)"):
            refused()


def test_a_newer_schema_can_be_gone_back_from_by_what_it_stored(database: Database) -> None:
    whole = catalog(database.admin_dsn)
    change(
        database.admin_dsn,
        "create table domainflow.future (id int); "
        "insert into domainflow_meta.migration (version, name, up_sha256, down_sql, took_ms) "
        "values (99, '0099_future', '', 'drop table domainflow.future', 0)",
    )
    assert migrate.down(database.admin_dsn, to=len(NAMES)) == ("0099_future",)
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


def test_processes_that_migrate_at_once_apply_each_step_once(empty_database: Database) -> None:
    """Both have come as far as the lock when it is let go."""
    dsn = empty_database.admin_dsn
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        with psycopg.connect(dsn, autocommit=True) as holder:
            holder.execute("select pg_advisory_lock(%s)", (migrate.LOCK_KEY,))
            both = processes.map_async(migrate.up, [dsn] * 2, chunksize=1)
            await_blocked(dsn, 2)
            assert catalog(dsn) == []
        applied = both.get(SOON_S)
    assert sorted(applied) == [(), NAMES]
    check(empty_database.dsn)


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


@pytest.mark.skipif(not DEBIAN_15.is_dir(), reason="this machine has no PostgreSQL 15 in /usr/lib/postgresql/15/bin")
@pytest.mark.skipif("DOMAINFLOW_PG_BIN" in os.environ, reason="the whole session runs on chosen binaries")
def test_the_schema_is_the_same_on_the_oldest_postgres_that_is_served(
    home: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOMAINFLOW_PG_BIN", str(DEBIAN_15))
    with EmbeddedServer(home) as fifteen:
        assert migrate.up(fifteen.dsn("domainflow")) == NAMES
        with psycopg.connect(fifteen.dsn("domainflow")) as connection:
            assert connection.info.server_version // 10_000 == 15
        tables = [
            line for line in catalog(fifteen.dsn("domainflow")) if line.startswith(("policy", "index", "trigger"))
        ]
        assert tables == [
            line for line in catalog(database.admin_dsn) if line.startswith(("policy", "index", "trigger"))
        ]
