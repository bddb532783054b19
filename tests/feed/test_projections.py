"""Projections: each change applied once, whoever is killed when; built anew beside what is read. Real Postgres."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from child import eventually
from databases import Database
from durable import Postgres, in_thread
from msgspec.structs import replace
from reading_on import write_as
from speaker import ALICE, MANY, SPEC
from tallying import TABLE, clear, count, held, tally

from domainflow import AsyncRuntime, FeedChange, Operations, Principal, Projection, Runtime
from domainflow.errors import Denied, InvalidInput, StoreRefused, Unavailable, VersionConflict
from domainflow.projections import Projector
from domainflow.store import feed, projections
from domainflow.store.feed import BEGINNING, Position
from domainflow.store.projections import Generation, Key
from domainflow.store.transaction import Kind

SOON_S = 30.0


@pytest.fixture
def prepared(database: Database) -> Database:
    """With the host's table."""
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute(TABLE)
    return database


@pytest.fixture
def runtime(prepared: Database, home: Path) -> Iterator[Runtime]:
    with Runtime.open(prepared.dsn, home=home, settings=MANY, campaigns=False, work=False) as opened:
        yield opened


@pytest.fixture
def ops(runtime: Runtime) -> Operations:
    return runtime.as_principal(ALICE)


def read(projector: Projector) -> dict[str, int]:
    """What whoever reads the projection sees."""
    with projector.reading() as (connection, generation):
        rows = connection.execute("select campaign::text, changes from tally where generation = %s", (generation,))
        return dict(rows.fetchall())


# --- what it holds


def test_it_holds_what_was_committed_and_is_read_once_it_has_caught_up(ops: Operations) -> None:
    campaign, other = ops.create_campaign(SPEC), ops.create_campaign(SPEC)
    campaign.start()
    projector = ops.projector(tally())
    with pytest.raises(Unavailable, match="tally is being built"):
        read(projector)
    projector.catch_up()
    assert read(projector) == {campaign.id: 2, other.id: 1}
    other.start()
    projector.catch_up()
    assert read(projector) == {campaign.id: 2, other.id: 2}


def test_it_follows_until_it_is_closed(ops: Operations, prepared: Database) -> None:
    projector = ops.projector(tally())
    following = in_thread(projector.follow)
    ops.create_campaign(SPEC).start()
    eventually(lambda: held(prepared.admin_dsn) == [(1, True, 2)], "it is as far")
    projector.close()
    assert following.result(SOON_S) is None


def test_any_number_that_run_at_once_apply_each_change_once(
    ops: Operations, prepared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST", 5)
    campaign = ops.create_campaign(SPEC)
    for version in range(2, 101):
        write_as(prepared.admin_dsn, campaign.stream, version)
    together = [in_thread(ops.projector(tally()).catch_up) for _ in range(4)]
    assert [each.result(SOON_S) for each in together] == [None] * 4
    assert held(prepared.admin_dsn) == [(1, True, 100)]


def test_another_tenants_changes_are_passed_over_and_its_projection_is_its_own(
    runtime: Runtime, ops: Operations
) -> None:
    elsewhere = runtime.as_principal(Principal(id="bob", roles=("operator",), tenant="umbrella"))
    mine, theirs = ops.create_campaign(SPEC), elsewhere.create_campaign(SPEC)
    seen: list[str] = []

    def note(_: Postgres, __: int, changes: Sequence[FeedChange]) -> None:
        seen.extend(change.campaign for change in changes)

    for operations in (ops, elsewhere):
        operations.projector(Projection(name="who", version=1, apply=note, clear=clear)).catch_up()
    assert seen == [mine.id, theirs.id]


def test_what_its_function_raises_leaves_nothing_behind_and_the_next_step_begins_there(ops: Operations) -> None:
    campaign = ops.create_campaign(SPEC)

    def failing(connection: Postgres, generation: int, changes: Sequence[FeedChange]) -> None:
        count(connection, generation, changes)
        raise LookupError("on purpose")

    def refused(connection: Postgres, *_: object) -> None:
        connection.execute("select 1 / 0")

    for function, error in ((failing, LookupError), (refused, StoreRefused)):
        with pytest.raises(error):
            ops.projector(Projection(name="tally", version=1, apply=function, clear=clear)).catch_up()
    projector = ops.projector(tally())
    projector.catch_up()
    assert read(projector) == {campaign.id: 1}


# --- built anew


def test_another_version_is_built_beside_the_one_that_is_read_and_takes_its_place(
    ops: Operations, prepared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaigns = [ops.create_campaign(SPEC) for _ in range(3)]
    old = ops.projector(tally(1))
    old.catch_up()
    monkeypatch.setattr(feed, "MOST", 2)
    new = ops.projector(tally(2))
    new.step()
    assert held(prepared.admin_dsn) == [(1, True, 3), (2, False, 1)]
    campaigns[0].start()
    old.catch_up()
    assert read(new) == {campaigns[0].id: 2, campaigns[1].id: 1, campaigns[2].id: 1}
    new.catch_up()
    eventually(lambda: new.step() > 0.0 and held(prepared.admin_dsn) == [(2, True, 4)], "what was live is cleared")
    with pytest.raises(VersionConflict, match="higher version than 1"):
        old.step()


def test_it_is_built_anew_while_events_come_in_and_readers_see_one_or_the_other_whole(
    ops: Operations, prepared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST", 20)
    campaign = ops.create_campaign(SPEC)
    for version in range(2, 201):
        write_as(prepared.admin_dsn, campaign.stream, version)
    projectors = [ops.projector(tally()) for _ in range(2)]
    projectors[0].catch_up()
    over = threading.Event()

    def write() -> int:
        version = 200
        while not over.is_set():
            version += 1
            write_as(prepared.admin_dsn, campaign.stream, version)
        return version

    writing = in_thread(write)
    following = [in_thread(each.follow) for each in projectors]
    projectors[0].rebuild()
    seen = []
    while (found := held(prepared.admin_dsn))[-1][:2] != (2, True) or len(found) > 1:  # type: ignore[misc]
        seen.append(read(projectors[0])[campaign.id])
    over.set()
    last = writing.result(SOON_S)
    eventually(lambda: read(projectors[0]) == {campaign.id: last}, "it is as far")
    for projector, each in zip(projectors, following, strict=True):
        projector.close()
        each.result(SOON_S)
    assert seen == sorted(seen), "a reader saw less than before"
    assert held(prepared.admin_dsn) == [(2, True, last)]


def test_when_another_version_is_begun_first_it_takes_the_next_number(
    ops: Operations, prepared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = projections.begin

    def outrun(connection: Postgres, key: Key, number: int, version: int) -> None:
        monkeypatch.undo()
        begin(connection, key, number, 1)
        begin(connection, key, number, version)

    ops.create_campaign(SPEC)
    monkeypatch.setattr(projections, "begin", outrun)
    ops.projector(tally(2)).catch_up()
    assert held(prepared.admin_dsn)[-1] == (2, True, 1)


def exchange(projector: Projector) -> None:
    """Build it anew, and clear away the old one."""
    projector.catch_up()
    eventually(lambda: projector.step() > 0.0, "what was live is cleared")


def test_one_that_is_behind_does_not_become_the_live_one(runtime: Runtime) -> None:
    key, store = Key("acme", "tally"), runtime._parts.store  # noqa: SLF001 - where they are kept
    first, second = (Generation(number, 1, live=False, position=BEGINNING) for number in (1, 2))
    with store.tenants(Kind.PROJECT, "acme") as connection:
        for generation in (first, second):
            projections.begin(connection, key, generation.number, generation.version)
        assert projections.enliven(connection, key, 1)
        assert projections.move(connection, key, first, Position(1, 10, 1))
        assert projections.move(connection, key, second, Position(1, 9, 7))
        assert not projections.enliven(connection, key, 2)
        second = replace(second, position=Position(1, 9, 7))
        assert projections.move(connection, key, second, Position(1, 10, 1))
        assert projections.enliven(connection, key, 2)
        assert [each.live for each in projections.generations(connection, key)] == [False, True]
        assert not projections.enliven(connection, key, 1)


def test_who_reads_while_it_is_exchanged_sees_the_old_one_to_its_end(ops: Operations) -> None:
    ops.create_campaign(SPEC)
    projector = ops.projector(tally())
    projector.catch_up()
    projector.rebuild()
    projector.rebuild()  # it has begun already
    with projector.reading() as (connection, generation):
        in_thread(lambda: exchange(projector)).result(SOON_S)
        rows = connection.execute("select changes from tally where generation = %s", (generation,)).fetchall()
        assert (generation, rows) == (1, [(1,)])
    with projector.reading() as (_, generation):
        assert generation == 2


# --- for whom


def test_who_may_not_read_campaigns_may_not_project_them(runtime: Runtime) -> None:
    nobody = runtime.as_principal(Principal(id="mallory", tenant="acme"))
    with pytest.raises(Denied, match="mallory may not campaigns:read"):
        nobody.projector(tally())


@pytest.mark.parametrize(("name", "version"), [("", 1), ("a/b", 1), ("tally", 0)])
def test_what_is_no_projection_is_refused(ops: Operations, name: str, version: int) -> None:
    with pytest.raises(InvalidInput, match="projection"):
        ops.projector(Projection(name=name, version=version, apply=count, clear=clear))


def test_in_an_event_loop_it_does_the_same(prepared: Database, home: Path) -> None:
    async def story() -> None:
        async with AsyncRuntime.open(prepared.dsn, home=home, campaigns=False, work=False) as runtime:
            operations = runtime.as_principal(ALICE)
            projector = await operations.projector(tally())
            await projector.catch_up()
            await projector.rebuild()
            following = asyncio.ensure_future(projector.follow())
            campaign = await operations.create_campaign(SPEC)
            await asyncio.to_thread(eventually, lambda: held(prepared.admin_dsn) == [(2, True, 1)], "it is as far")
            following.cancel()
            assert await asyncio.to_thread(read, projector.blocking) == {campaign.id: 1}

    asyncio.run(story())
