"""Who reads what is archived begins with the seal, or is told what he would miss; nobody is left short in silence."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import psycopg
import pytest
from child import Child, eventually
from databases import Database
from keeping import ALICE, ENDED_AT, MANY, SEAL, SPEC, ended, versions

from domainflow import CampaignHandle, Operations, Principal, Projection, Runtime
from domainflow.actors.campaign.history import StreamSealed
from domainflow.errors import Archived
from domainflow.store import feed
from domainflow.store.projections import Rows
from domainflow.views import FeedChange

BEGINNING: Final = "0.0.0"
SOON_S: Final = 20.0
SEEN: Final = 3  # changes
HALF_WAY: Final = "domainflow.store.archives:delete_slice=archive.keeping:delete_one_and_die"


@pytest.fixture
def runtime(database: Database, home: Path) -> Iterator[Runtime]:
    with Runtime.open(database.dsn, home=home, settings=MANY, campaigns=False, work=False) as opened:
        yield opened


@pytest.fixture
def ops(runtime: Runtime) -> Operations:
    return runtime.as_principal(ALICE)


@pytest.fixture
def campaign(ops: Operations) -> CampaignHandle:
    return ended(ops)


def changes(ops: Operations, after: str, number: int) -> list[FeedChange]:
    return list(islice(ops.subscribe(after, timeout_s=SOON_S), number))


def places(found: list[FeedChange]) -> list[tuple[str, int]]:
    return [(change.campaign, change.version) for change in found]


def test_a_watch_from_the_beginning_begins_with_the_seal(campaign: CampaignHandle, ops: Operations) -> None:
    ops.archive(0)
    for after in (0, ENDED_AT):
        (change,) = campaign.watch(after, timeout_s=SOON_S)
        assert (change.version, type(change.event)) == (SEAL, StreamSealed)


def test_a_watch_from_what_is_archived_is_told_where_it_is(campaign: CampaignHandle, ops: Operations) -> None:
    (archive,) = ops.archive(0)
    for after in (1, ENDED_AT - 1):
        with pytest.raises(Archived) as raised:
            next(campaign.watch(after, timeout_s=SOON_S))
        assert f"versions 1 to {ENDED_AT} of {campaign.stream} are archived in {archive.file} on" in str(raised.value)


def test_a_bookmark_amid_what_is_archived_is_refused_and_any_other_is_good(
    campaign: CampaignHandle, ops: Operations
) -> None:
    seen = changes(ops, BEGINNING, ENDED_AT)
    ops.archive(0)
    later = ops.create_campaign(SPEC)
    expected = [(campaign.id, SEAL), (later.id, 1)]
    assert places(changes(ops, BEGINNING, 2)) == expected
    assert places(changes(ops, seen[-1].bookmark, 2)) == expected
    for change in seen[:-1]:
        with pytest.raises(Archived, match=f"versions 1 to {ENDED_AT} of {campaign.stream} are archived in"):
            changes(ops, change.bookmark, 1)


def test_another_tenant_misses_nothing_of_it(campaign: CampaignHandle, runtime: Runtime, ops: Operations) -> None:
    bookmark = changes(ops, BEGINNING, SEEN)[-1].bookmark
    ops.archive(0)
    others = runtime.as_principal(Principal(id="eve", roles=("admin",), tenant="other"))
    theirs = others.create_campaign(SPEC)
    assert places(changes(others, bookmark, 1)) == [(theirs.id, 1)]
    with pytest.raises(Archived, match=campaign.id):
        changes(ops, bookmark, 1)


def test_what_is_recorded_and_not_deleted_yet_is_archived_to_whoever_reads(
    campaign: CampaignHandle, ops: Operations, database: Database, home: Path
) -> None:
    bookmark = changes(ops, BEGINNING, SEEN)[-1].bookmark
    with Child("archive.keeping:archive", patch=(HALF_WAY,), dsn=database.dsn, home=str(home)) as child:
        eventually(lambda: not child.running, "it is killed")
    assert versions(database, campaign) == [*range(2, SEAL + 1)]
    assert places(changes(ops, BEGINNING, 1)) == [(campaign.id, SEAL)]
    with pytest.raises(Archived):
        changes(ops, bookmark, 1)
    assert [change.version for change in campaign.watch(timeout_s=SOON_S)] == [SEAL]


# --- projections: a host's table, and the number of changes that each generation of it was made of

BIRTH: Final = 3  # events: of its source, its range and itself
TABLE: Final = """
create table public.tally (generation int, version bigint);
grant select, insert, update, delete on public.tally to domainflow_app;
"""


def apply(connection: Rows, generation: int, found: Sequence[FeedChange]) -> None:
    for change in found:
        connection.execute("insert into public.tally values (%s, %s)", (generation, change.version))


def clear(connection: Rows, generation: int) -> bool:
    return connection.execute("delete from public.tally where generation = %s", (generation,)).rowcount > 0


def tally(version: int) -> Projection:
    return Projection(name="tally", version=version, apply=apply, clear=clear)


def applied(database: Database) -> list[tuple[int, int]]:
    with psycopg.connect(database.admin_dsn) as admin:
        return admin.execute("select generation, version from public.tally order by 1, 2").fetchall()


@pytest.fixture
def behind(campaign: CampaignHandle, ops: Operations, database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """The first generation of a projection is at the birth of a campaign, whose events are archived then."""
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute(TABLE)
    monkeypatch.setattr(feed, "MOST", BIRTH)
    ops.projector(tally(1)).step()
    monkeypatch.undo()
    assert applied(database) == [(1, 1)]
    ops.archive(0)
    return campaign.stream


def test_a_projection_that_is_behind_says_so(behind: str, ops: Operations) -> None:
    with pytest.raises(Archived, match=f"of {behind} are archived"):
        ops.projector(tally(1)).catch_up(SOON_S)


def test_one_of_a_higher_version_begins_with_the_seal(behind: str, ops: Operations, database: Database) -> None:
    assert behind
    ops.projector(tally(2)).catch_up(SOON_S)
    assert (2, SEAL) in applied(database)
    assert (2, 1) not in applied(database)


def test_one_that_lived_is_built_anew_beside_what_was_left_behind(
    behind: str, ops: Operations, database: Database
) -> None:
    assert behind
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute("update domainflow.projection set live = true")
    projector = ops.projector(tally(1))
    projector.rebuild()
    projector.catch_up(SOON_S)
    assert (2, SEAL) in applied(database)
    with projector.reading() as (_, generation):
        assert generation == 2
