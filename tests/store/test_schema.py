"""What the schema itself holds against everybody: history is append-only, and a tenant sees only what is its own."""

from collections.abc import Iterator

import psycopg
import pytest
from databases import Database
from durable import Actor, acting, birth, emptied, item, migrated, new_uuid

from domainflow.errors import StoreUnavailable
from domainflow.store import pool
from domainflow.store.port import Key, OpenItem
from domainflow.store.transaction import Kind, transaction

__all__ = ["emptied", "migrated"]  # fixtures

TENANT_TABLES = {
    "archive", "batch", "campaign", "command", "event", "head", "hit", "idempotency", "projection", "quarantine",
    "quota", "snapshot", "source", "source_chunk", "work_item",
}  # fmt: skip


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


def fill(actor: Actor) -> None:
    """One row of tenant acme in every table that a commit writes."""
    id_ = new_uuid()
    born = birth(id_)
    actor.group(item("p1"), born)
    key = Key(principal="alice", key="k", command_hash=b"c", answer=b"a")
    opens = (OpenItem(1, 1, 0, 0, 10, parked=False),)
    actor.commit(item(born.stream, born, epoch=1, campaign=id_, opens=opens, key=key, snapshot=b"s"))


FILLED = ("head", "event", "snapshot", "idempotency", "campaign", "quota", "work_item")


@pytest.mark.parametrize("change", ["update {} set body = ''", "delete from {}", "truncate {}"])
def test_history_cannot_be_changed_even_by_its_owner(actor: Actor, emptied: Database, change: str) -> None:
    actor.commit(item("s1"))
    with psycopg.connect(emptied.admin_dsn) as owner, pytest.raises(psycopg.Error, match="append-only"):
        owner.execute(change.format("domainflow.event"))


@pytest.mark.parametrize("role", ["app", "upkeep"])
@pytest.mark.parametrize("change", ["update domainflow.event set body = ''", "delete from domainflow.event"])
def test_no_role_of_the_runtime_may_even_try(actor: Actor, role: str, change: str) -> None:
    actor.commit(item("s1"))
    with pool.connect(actor.dsn, role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(change)


@pytest.mark.parametrize(
    ("tenants", "rows"), [(("acme",), True), (("other", "acme"), True), (("other",), False), ((), False)]
)
@pytest.mark.parametrize("table", FILLED)
def test_a_transaction_sees_the_tenants_that_it_names(
    actor: Actor,
    table: str,
    tenants: tuple[str, ...],
    rows: bool,  # noqa: FBT001 - a column of the table
) -> None:
    fill(actor)
    with transaction(actor.app, Kind.TOOL, tenants=tenants):
        count = f"select count(*) from domainflow.{table}"  # noqa: S608 - a table of this test
        seen = actor.app.execute(count).fetchone()
    assert seen is not None
    assert (seen[0] > 0) == rows


def test_outside_of_a_transaction_of_ours_nothing_is_seen(actor: Actor) -> None:
    fill(actor)
    with pool.connect(actor.dsn, "app") as fresh:
        assert fresh.execute("select count(*) from domainflow.event").fetchone() == (0,)


def test_nothing_is_written_for_a_tenant_that_was_not_named(actor: Actor) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), transaction(actor.app, Kind.TOOL, tenants=["acme"]):
        actor.app.execute("insert into domainflow.quota (tenant, principal) values ('other', 'alice')")


def test_tenants_are_forgotten_with_the_transaction(actor: Actor) -> None:
    fill(actor)
    count = "select count(*) from domainflow.event"
    with pool.connect(actor.dsn, "app") as connection:
        with transaction(connection, Kind.TOOL, tenants=["acme"]):
            assert connection.execute(count).fetchone() != (0,)
        assert connection.execute(count).fetchone() == (0,)


def test_upkeep_sees_every_tenant(actor: Actor) -> None:
    fill(actor)
    actor.commit(item("s1", tenant="other"))
    assert set(actor.see("select tenant from domainflow.event")) == {"acme", "other"}


def test_every_table_with_a_tenant_forces_row_level_security_and_has_both_policies(actor: Actor) -> None:
    rows = actor.upkeep.execute(
        """
        select c.relname, c.relrowsecurity and c.relforcerowsecurity,
               (select array_agg(p.polname::text order by p.polname) from pg_policy p where p.polrelid = c.oid
                   and p.polroles <> array['domainflow_owner'::regrole::oid])  -- test_archives.py
          from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'
         where c.relnamespace = 'domainflow'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
        """
    ).fetchall()
    assert {name for name, _, _ in rows} == TENANT_TABLES
    assert all(forced for _, forced, _ in rows)
    assert all(policies == ["tenant", "upkeep"] for _, _, policies in rows)


def test_nobody_reaches_a_partition_past_its_parents_policy(actor: Actor) -> None:
    granted = actor.see(
        """
        select c.relname || ' to ' || r.rolname from pg_class c cross join pg_roles r
         where c.relnamespace = 'domainflow'::regnamespace and c.relispartition and c.relkind = 'r'
           and r.rolname in ('domainflow_app', 'domainflow_reader')
           and has_table_privilege(r.rolname, c.oid, 'select, insert, update, delete')
        """
    )
    assert granted == []


def test_the_application_owns_nothing_and_is_above_nobody(actor: Actor) -> None:
    assert (
        actor.see(
            "select rolname::text from pg_roles where rolname like 'domainflow\\_%%' and (rolsuper or rolbypassrls)"
        )
        == []
    )
    assert actor.see("select distinct tableowner::text from pg_tables where schemaname = 'domainflow'") == [
        "domainflow_owner"
    ]
    assert actor.see("select pg_has_role('domainflow_app', 'domainflow_owner', 'member')") == [False]
    assert actor.see("select rolcanlogin from pg_roles where rolname = 'domainflow_owner'") == [False]


def test_a_superusers_dsn_takes_on_the_role_too(emptied: Database) -> None:
    with pool.connect(emptied.admin_dsn, "app") as connection:
        assert connection.execute("select current_user::text").fetchone() == ("domainflow_app",)


def test_a_database_without_the_schema_says_what_is_missing(emptied: Database, empty_database: Database) -> None:
    assert emptied.admin_dsn != empty_database.admin_dsn, "the roles are the server's, and there by now"
    reader = psycopg.conninfo.make_conninfo(empty_database.admin_dsn, user="domainflow_reader")
    with pytest.raises(StoreUnavailable, match=r"domainflow_app"):
        pool.connect(reader, "app")
