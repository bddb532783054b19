"""The feed: what can be passed over, and what must never be. Every race is a transaction held open. Real Postgres."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final, LiteralString

import psycopg
import pytest
from databases import Database
from durable import Actor, acting, emptied, item, migrated
from reading_on import (
    WRITE_AT,
    Follower,
    Look,
    Seen,
    by_sequence,
    horizon_second,
    look,
    text_order,
    without_horizon,
    write,
    writing,
)

from domainflow.cli.doctor import _horizon
from domainflow.errors import InvalidInput
from domainflow.store import doctor_sql, feed, pool
from domainflow.store.feed import BEGINNING, Position
from domainflow.store.transaction import Kind, by_index, transaction

__all__ = ["emptied", "migrated"]  # fixtures

MANY: Final = """
insert into domainflow.event (stream, version, tenant, recorded_at, type, type_version, context, body, hash)
select 's' || n, 1, 'acme', now(), 'test.moved', 1, '', '', '' from generate_series(1, 50000) n
"""
# In this transaction alone: rows of events, and entries of its indexes.
READ_OF_EVENT: Final = """
select (seq_tup_read + idx_tup_fetch)::int from pg_stat_xact_user_tables where relname = 'event'
"""


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


def test_what_is_committed_comes_once_in_its_streams_order_and_goes_on_behind_the_bookmark(actor: Actor) -> None:
    one, two = item("s1", events=2), item("s2")
    actor.commit(one, two)
    follower = Follower(actor.upkeep)
    assert follower.read() == [("s1", 1), ("s1", 2), ("s2", 1)]
    actor.commit(item("s1", one))
    assert Follower(actor.upkeep, after=Position.parse(follower.bookmark)).read() == [("s1", 3)]
    assert Follower(actor.upkeep, after=Position.parse(follower.bookmark)).read() == [("s1", 3)]


# --- who commits late


def late(actor: Actor, other: Actor, look_: Look) -> list[Seen]:
    """What is seen by a reader in the middle of a transaction that began first and commits last, and after it."""
    follower = Follower(actor.upkeep, look_)
    with writing(other) as write_:
        write_("early", 1)
        write(actor, "quick", 1)
        seen = follower.read()
    return seen + follower.read()


def test_who_takes_its_place_first_and_commits_last_is_not_passed_over(actor: Actor, other: Actor) -> None:
    assert sorted(late(actor, other, look)) == [("early", 1), ("quick", 1)]


@pytest.mark.parametrize("shortcut", [by_sequence, without_horizon])
def test_a_shortcut_passes_it_over(actor: Actor, other: Actor, shortcut: Look) -> None:
    assert late(actor, other, shortcut) == [("quick", 1)]


def test_rows_first_and_the_horizon_second_pass_it_over(actor: Actor, emptied: Database) -> None:
    with psycopg.connect(emptied.admin_dsn) as early:
        early.execute(WRITE_AT, (1, _own_xid(early), 1, "early", 1))
        write(actor, "quick", 1)
        follower = Follower(actor.upkeep, horizon_second(early.commit))
        assert follower.read() == [("quick", 1)]
        assert follower.read() == []


def _own_xid(connection: psycopg.Connection[tuple[str]]) -> str:
    row = connection.execute("select pg_current_xact_id()::text").fetchone()
    assert row is not None
    return row[0]


# --- numbers of different lengths


@pytest.fixture
def lengths(actor: Actor, emptied: Database) -> Actor:
    """Events of transactions 2, 9, 10, 99 and 100, as a young server has them."""
    with psycopg.connect(emptied.admin_dsn, autocommit=True) as admin:
        for version, xid in enumerate((2, 9, 10, 99, 100), 1):
            admin.execute(WRITE_AT, (1, str(xid), version, "s", version))
    return actor


@pytest.mark.parametrize("limit", [1, 2, 500])
def test_transactions_are_ordered_as_numbers(lengths: Actor, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(feed, "MOST", limit)
    assert Follower(lengths.upkeep).read() == [("s", version) for version in range(1, 6)]


def test_ordered_as_texts_they_are_lost(lengths: Actor) -> None:
    assert set(Follower(lengths.upkeep, text_order(2)).read()) < {("s", version) for version in range(1, 6)}


# --- savepoints


def savepoint(actor: Actor, other: Actor, look_: Look) -> list[Seen]:
    """What is seen of events that were written inside a savepoint, one of which was rolled back."""
    follower = Follower(actor.upkeep, look_)
    with writing(other) as write_:
        write_("top", 1)
        write(actor, "quick", 1)
        seen = follower.read()
        with other.app.transaction():
            write_("inside", 1)
        with suppress(ZeroDivisionError), other.app.transaction():
            write_("undone", 1)
            raise ZeroDivisionError
        write_("top", 2)
    return seen + follower.read()


def test_what_a_savepoint_wrote_stands_at_its_transactions_place(actor: Actor, other: Actor) -> None:
    assert savepoint(actor, other, look) == [("top", 1), ("inside", 1), ("top", 2), ("quick", 1)]


def test_without_the_horizon_it_would_be_passed_over(actor: Actor, other: Actor) -> None:
    assert savepoint(actor, other, without_horizon) == [("quick", 1)]


# --- who holds it back


def test_a_writer_in_another_database_holds_it_back_and_the_doctor_names_it(
    actor: Actor, emptied: Database, empty_database: Database
) -> None:
    with psycopg.connect(empty_database.admin_dsn, application_name="elsewhere") as elsewhere:
        elsewhere.execute("select pg_current_xact_id()")
        write(actor, "s", 1)
        held = feed.page(actor.upkeep, BEGINNING)
        assert (held.events, held.held_back, held.position) == ((), True, BEGINNING)
        with pool.plain(emptied.admin_dsn) as asking:
            holder = doctor_sql.horizon_holder(asking)
        assert holder is not None
        assert (holder.pid, holder.database) == (elsewhere.info.backend_pid, elsewhere.info.dbname)
        said = _horizon(holder, (0, 0.0)).text
        assert f"pid {elsewhere.info.backend_pid} in {elsewhere.info.dbname}" in said
        assert "elsewhere" in said
    shown = feed.page(actor.upkeep, BEGINNING)
    assert (len(shown.events), shown.held_back) == (1, False)


@pytest.mark.parametrize(
    "lock", ["select 1 from domainflow.head for update", "select 1 from domainflow.head for share"]
)
def test_who_locks_a_row_holds_it_back_too_and_who_only_reads_does_not(
    actor: Actor, emptied: Database, lock: LiteralString
) -> None:
    write(actor, "s", 1)
    actor.commit(item("head"))
    with psycopg.connect(emptied.admin_dsn) as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.execute("select 1 from domainflow.head")
        write(actor, "s", 2)
        assert Follower(actor.upkeep).read()[-1] == ("s", 2)
        session.rollback()
        session.execute(lock)
        write(actor, "s", 3)
        assert Follower(actor.upkeep).read()[-1] == ("s", 2)
    assert Follower(actor.upkeep).read()[-1] == ("s", 3)


# --- who asks


def test_one_tenants_streams_come_alone_and_the_bookmark_moves_past_the_others(actor: Actor) -> None:
    actor.commit(item("campaign/1", tenant="rare"), item("pattern/1", tenant="rare"))
    for number in range(3):
        actor.commit(item(f"campaign/of-others-{number}"))
    page = feed.page(actor.upkeep, BEGINNING, tenant="rare", prefix="campaign/")
    assert [placed.recorded.stream for placed in page.events] == ["campaign/1"]
    assert page.position > page.events[0].position
    assert feed.page(actor.upkeep, page.position).events == ()


def test_from_now_on_nothing_is_missed_that_is_committed_later(actor: Actor, other: Actor) -> None:
    write(actor, "before", 1)
    with writing(other) as write_:
        write_("under way", 1)
        with transaction(actor.upkeep, Kind.FEED):
            now = feed.now(actor.upkeep)
    write(actor, "after", 1)
    assert Follower(actor.upkeep, after=now).read() == [("under way", 1), ("after", 1)]


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.2.-3", "1.2.3\n", "٣.1.1", "9" * 40 + ".1.1"])
def test_what_is_no_bookmark_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="bookmark"):
        Position.parse(text)


def test_a_bookmark_names_its_place() -> None:
    assert Position.parse("1.4294967297.77") == Position(1, 4294967297, 77)
    assert str(Position(1, 4294967297, 77)) == "1.4294967297.77"


@pytest.mark.parametrize("analyzed", [False, True])
def test_a_page_is_read_by_its_index_whatever_the_planner_believes(emptied: Database, *, analyzed: bool) -> None:
    """From the beginning of a log that is known to be long or is not: no more is read than comes into the page."""
    with psycopg.connect(emptied.admin_dsn, autocommit=True) as admin:
        admin.execute(MANY)
        if analyzed:
            admin.execute("analyze domainflow.event")
        asked = {"era": 0, "xid": "0", "seq": 0, "limit": 500, "tenant": "acme", "prefix": "campaign/"}
        with admin.transaction():
            by_index(admin)  # as each page does
            plan = admin.execute(f"explain {feed.PAGE}", asked).fetchall()  # type: ignore[arg-type]  # ours
    read = [line.strip() for (line,) in plan if " on event" in line]
    assert len(read) == 3, plan
    assert all("using event_feed" in line for line in read), read


def test_a_page_that_was_planned_when_the_log_was_short_reads_no_more_than_it_shows(
    actor: Actor, emptied: Database
) -> None:
    """Ten looks first: by then both psycopg and Postgres have made up their minds."""

    def look_once() -> tuple[int, int]:
        with transaction(actor.upkeep, Kind.FEED):
            shown = len(feed.page(actor.upkeep, BEGINNING).events)
            (read,) = actor.see(READ_OF_EVENT)
        return shown, read

    write(actor, "known", 1)
    with psycopg.connect(emptied.admin_dsn, autocommit=True) as admin:
        admin.execute("analyze domainflow.event")
        for _ in range(10):
            look_once()
        admin.execute(MANY)
    shown, read = look_once()
    assert (shown, read < 2 * shown) == (500, True)
