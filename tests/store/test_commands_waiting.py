"""The command box as a table: what an owner looks at, however much waits in it."""

import json
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from databases import Database
from durable import Actor, acting, emptied, item, migrated, new_uuid

from domainflow.store import commands, leases
from domainflow.store.commands import PENDING
from domainflow.store.transaction import Kind, transaction

__all__ = ["emptied", "migrated"]  # fixtures

OPEN: Final = """
insert into domainflow.command (id, stream, tenant, body, context, deadline, created_at)
select gen_random_uuid(), %s, 'acme', '', '', now() + interval '1 hour', now() + n * interval '1 ms'
  from generate_series(1, %s) n
"""


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        acts.app.execute("select set_config('domainflow.tenants', 'acme', false)")
        yield acts


def owned(actor: Actor, stream: str, waiting: int) -> None:
    actor.commit(item(stream, epoch=1))
    leases.claim_stream(actor.upkeep, actor.runtime, stream)
    actor.app.execute("select set_config('domainflow.tenants', 'acme', false)")
    actor.app.execute(OPEN, (stream, waiting))


def test_an_owner_sees_the_oldest_command_of_each_of_its_streams(actor: Actor) -> None:
    for stream, waiting in (("s1", 3), ("s2", 1), ("s3", 2)):
        owned(actor, stream, waiting)
    actor.upkeep.execute("update domainflow.head set owner = %s where stream = 's3'", (new_uuid(),))
    oldest = dict(
        actor.upkeep.execute(
            "select distinct on (stream) stream, id::text from domainflow.command order by 1, created_at"
        )
    )
    seen = commands.pending(actor.upkeep, actor.runtime)
    assert {boxed.stream: boxed.id for boxed in seen} == {stream: oldest[stream] for stream in ("s1", "s2")}
    assert all(3590 < boxed.left_s <= 3600 for boxed in seen)
    assert [boxed.stream for boxed in commands.pending(actor.upkeep, actor.runtime, busy={"s1"})] == ["s2"]


def test_commands_of_one_moment_are_seen_in_the_order_of_their_ids(actor: Actor) -> None:
    owned(actor, "s1", 20)
    actor.app.execute("update domainflow.command set created_at = now()")
    (first,) = actor.app.execute("select min(id::text) from domainflow.command").fetchall()
    assert [boxed.id for boxed in commands.pending(actor.upkeep, actor.runtime)] == [first[0]]


@pytest.mark.parametrize("analyzed", ["never", "while each stream had one", "since"])
def test_a_look_reads_a_few_rows_of_each_stream_however_many_wait(
    actor: Actor, emptied: Database, analyzed: str
) -> None:
    for stream in ("s1", "s2", "s3"):
        owned(actor, stream, 1)
    if analyzed == "while each stream had one":
        with_stats(emptied)
    for stream, waiting in (("s1", 10_000), ("s2", 10), ("s3", 10)):
        actor.app.execute(OPEN, (stream, waiting))
    if analyzed == "since":
        with_stats(emptied)
    explain: Any = "explain (analyze, format json) " + PENDING
    with transaction(actor.upkeep, Kind.DELIVER):
        assert commands.pending(actor.upkeep, actor.runtime) != []  # and so as each look does
        (row,) = actor.upkeep.execute(explain, {"runtime": actor.runtime, "busy": []}).fetchall()
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    reads = list(of_commands(plan[0]["Plan"]))
    assert {node["Node Type"] for node in reads} <= {"Index Scan", "Index Only Scan"}
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in reads) <= 30


def with_stats(database: Database) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        connection.execute("analyze domainflow.command, domainflow.head")


def of_commands(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that read the table."""
    if node.get("Relation Name") == "command":
        yield node
    for child in node.get("Plans", ()):
        yield from of_commands(child)
