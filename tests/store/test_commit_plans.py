"""How Postgres carries the commit out: planned once, and by keys however much there is. Real Postgres."""

import psycopg
import pytest
from commits import actor, admin, lane_of
from durable import Actor, Postgres, emptied, item, migrated, new_uuid
from msgspec.structs import replace

from domainflow.store.commit_connection import CommitConnection
from domainflow.store.port import Committed, Item, Key, Owned

__all__ = ["actor", "admin", "emptied", "migrated"]  # fixtures

PLANNED = "select generic_plans, custom_plans from pg_prepared_statements where statement ~ '^\\s*with barrier'"
READ_WHOLE = """
select relname::text, seq_scan from pg_stat_user_tables where relname ~ '^(head|event|idempotency|snapshot)'
"""
MANY = [
    """
    insert into domainflow.head (stream, tenant, version, hash)
    select 'x/' || n, 'acme', 1, '' from generate_series(1, 3000) n
    """,
    """
    insert into domainflow.idempotency (tenant, principal, key, command_hash, answer)
    select 'acme', 'alice', 'k' || n, '', '' from generate_series(1, 3000) n
    """,
]


def moved(after: Item | None = None, *, about: Owned | None = None) -> Item:
    key = Key(principal="alice", key=new_uuid(), command_hash=b"h", answer=b"a")
    return replace(item("s1", after, epoch=1), key=key, about=about)


def read_whole(connection: Postgres, lane: CommitConnection) -> dict[str, int]:
    """How often each table has been read from end to end."""
    lane._open.execute("select pg_stat_force_next_flush()")  # noqa: SLF001 - what it has read; told with the next
    lane._open.execute("select 1")  # noqa: SLF001
    return dict(connection.execute(READ_WHOLE).fetchall())


def test_a_lane_plans_its_statement_once(actor: Actor) -> None:
    lane = lane_of(actor)
    last = moved()
    lane.send([(last,)])
    for _ in range(6):  # after five Postgres weighs whether to plan anew each time
        last = moved(last)
        lane.send([(last,)])
    assert lane._open.execute(PLANNED).fetchall() == [(7, 0)]  # noqa: SLF001 - whose plans these are
    lane.close()


@pytest.mark.parametrize("about", [None, Owned("s1", 1)], ids=["plain", "full"])
def test_the_plan_of_an_empty_database_reads_no_whole_table_of_a_full_one(
    actor: Actor, admin: str, about: Owned | None
) -> None:
    lane = lane_of(actor)
    last = moved()
    with psycopg.connect(admin, autocommit=True) as filler:
        filler.execute("vacuum analyze")  # and nobody knows better until the next one
        lane.send([(last,)])
        last = moved(last, about=about)  # about something: not the plain statement
        lane.send([(last,)])
        for many in MANY:
            filler.execute(many.encode())
        before = read_whole(filler, lane)
        for _ in range(10):
            last = moved(last, about=about)
            assert lane.send([(last,)]) == [Committed(last.version)]
        assert read_whole(filler, lane) == before
    lane.close()
