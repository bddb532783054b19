"""Campaigns whose events are archived: what is moved, what stays, and that everything goes on as before."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from child import Child, eventually
from databases import Database
from keeping import ALICE, ENDED_AT, MANY, SEAL, SPEC, ended, faults, versions

from domainflow import Operations, Principal, Runtime, Settings
from domainflow.actors.campaign.evolution import FOLD_VERSION
from domainflow.actors.campaign.history import StreamSealed
from domainflow.errors import CommandRejected, Denied, InvalidInput, NotFound
from domainflow.store import archive_files
from domainflow.store.chain import GENESIS, follows
from domainflow.vocabulary import BusinessStatus, CampaignStatus

SOON_DAYS = 1e-9


@pytest.fixture
def runtime(database: Database, home: Path) -> Iterator[Runtime]:
    with Runtime.open(database.dsn, home=home, settings=MANY, campaigns=False, work=False) as opened:
        yield opened


@pytest.fixture
def ops(runtime: Runtime) -> Operations:
    return runtime.as_principal(ALICE)


def test_its_events_are_in_a_file_and_its_seal_stays(runtime: Runtime, ops: Operations, database: Database) -> None:
    campaign = ended(ops)
    before = campaign.view()
    (archived,) = ops.archive(0)
    assert (archived.stream, archived.version) == (campaign.stream, SEAL)
    assert versions(database, campaign) == [SEAL]
    file = runtime.home / "archive" / "acme" / f"{campaign.id}-{SEAL}.jsonl.gz"
    assert archived.file == str(file)
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    place = (0, GENESIS)
    for recorded in archive_files.read(file):
        assert follows(recorded, *place)
        place = (recorded.version, recorded.hash)
    assert place[0] == ENDED_AT
    after = campaign.view()
    assert (after.status, after.version) == (CampaignStatus.CANCELLED, SEAL)
    assert (after.phases, after.count, after.name) == (before.phases, before.count, before.name)
    assert faults(runtime) == []
    assert ops.archive(0) == []


def test_what_has_not_ended_or_not_long_ago_or_is_deleted_is_left(ops: Operations, database: Database) -> None:
    recent, gone = ended(ops), ended(ops)
    gone.delete()
    pending = ops.create_campaign(SPEC)
    assert ops.archive(1) == []
    assert [each.stream for each in ops.archive(0)] == [recent.stream]
    assert versions(database, gone) == [*range(1, ENDED_AT + 2)]
    assert versions(database, pending) == [1]


def test_another_ones_campaign_is_not_moved_by_who_may_not(ops: Operations, runtime: Runtime) -> None:
    campaign = ended(ops)
    operator = runtime.as_principal(Principal(id="bob", roles=("operator",), tenant="acme"))
    with pytest.raises(Denied, match="no role with campaigns:delete"):
        operator.archive(0)
    elsewhere = runtime.as_principal(Principal(id="eve", roles=("admin",), tenant="other"))
    assert elsewhere.archive(0) == []
    assert campaign.view().version == ENDED_AT


@pytest.mark.parametrize(("days", "most"), [(-1, 1), (40_000, 1), (0, 0)])
def test_nonsense_is_refused(ops: Operations, days: float, most: int) -> None:
    with pytest.raises(InvalidInput, match="archive: days"):
        ops.archive(days, most=most)


def test_so_many_at_most(ops: Operations) -> None:
    campaigns = {ended(ops).stream for _ in range(3)}
    first, second = ops.archive(0, most=2), ops.archive(0, most=2)
    assert (len(first), len(second)) == (2, 1)
    assert {each.stream for each in first + second} == campaigns


def test_commands_and_actors_go_on_from_the_seal(database: Database, home: Path) -> None:
    with Runtime.open(database.dsn, home=home, settings=MANY, campaigns=False, work=False) as runtime:
        campaign = ended(runtime.as_principal(ALICE))
        runtime.as_principal(ALICE).archive(0)
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:  # a fold version later
        admin.execute("update domainflow.snapshot set fold_version = 0")
    with Runtime.open(database.dsn, home=home, settings=MANY, campaigns=False, work=False) as runtime:
        campaign = runtime.as_principal(ALICE).campaign(campaign.id)
        with pytest.raises(CommandRejected, match="cannot start a campaign that is cancelled"):
            campaign.start()
        assert campaign.archive().version == SEAL + 1
        assert campaign.view().business_status is BusinessStatus.ARCHIVED
        campaign.delete()
        with pytest.raises(NotFound):
            campaign.view()
        assert faults(runtime) == []


def full(*_: object) -> bytes:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_seal_of_another_version_of_the_program_is_made_anew(
    ops: Operations, runtime: Runtime, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = ended(ops)
    monkeypatch.setattr("domainflow.actors.campaign.core.FOLD_VERSION", FOLD_VERSION - 1)
    monkeypatch.setattr(archive_files, "write", full)
    with pytest.raises(OSError, match="No space left on device"):
        ops.archive(0)
    monkeypatch.undo()
    assert versions(database, campaign) == [*range(1, SEAL + 1)]
    (archived,) = ops.archive(0)
    assert archived.version == SEAL + 1
    assert versions(database, campaign) == [SEAL + 1]
    assert faults(runtime) == []


def test_what_does_not_prove_its_seal_stays_and_the_others_go(ops: Operations, database: Database) -> None:
    campaigns = [ended(ops), ended(ops)]
    broken, sound = sorted(campaigns, key=lambda each: each.stream)
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute(
            "update domainflow.event set recorded_at = now() where stream = %s and version = 3", (broken.stream,)
        )
    assert [each.stream for each in ops.archive(0)] == [sound.stream]
    assert versions(database, broken) == [*range(1, SEAL + 1)]


POINTS = {
    "sealed": "domainflow.store.archive_files:write=archive.keeping:die",
    "written": "domainflow.store.archive_files:sha256=archive.keeping:die",
    "renamed": "domainflow.store.archives:record=archive.keeping:die",
    "recorded": "domainflow.store.archives:delete_slice=archive.keeping:die",
    "partly deleted": "domainflow.store.archives:delete_slice=archive.keeping:delete_one_and_die",
}


@pytest.mark.parametrize("point", POINTS)
def test_who_is_killed_at_any_point_leaves_what_the_next_one_completes(
    ops: Operations, runtime: Runtime, database: Database, home: Path, point: str
) -> None:
    campaign = ended(ops)
    with Child("archive.keeping:archive", patch=(POINTS[point],), dsn=database.dsn, home=str(home)) as child:
        eventually(lambda: not child.running, "it is killed")
    assert len(versions(database, campaign)) == SEAL - (point == "partly deleted")
    assert faults(runtime) == []
    assert campaign.view().status is CampaignStatus.CANCELLED
    ops.archive(0)
    assert versions(database, campaign) == [SEAL]
    assert faults(runtime) == []
    (first,) = campaign.watch(timeout_s=20.0)
    assert isinstance(first.event, StreamSealed)


def test_retention_does_it_of_itself(database: Database, home: Path) -> None:
    settings = Settings(retention_days=SOON_DAYS, workers=1, tick_s=0.02)
    with Runtime.open(database.dsn, home=home, settings=MANY, campaigns=False, work=False) as runtime:
        campaign = ended(runtime.as_principal(ALICE))
    with Runtime.open(database.dsn, home=home, settings=settings, work=False) as runtime:
        eventually(lambda: versions(database, campaign) == [SEAL], "it is archived")
        assert faults(runtime) == []
        change = next(iter(runtime.as_principal(ALICE).campaign(campaign.id).watch(timeout_s=20.0)))
    assert change.version == SEAL
    with psycopg.connect(database.admin_dsn) as admin:
        rows = admin.execute("select 1 from domainflow.command where answer is not null").fetchall()
    assert len(rows) == 1


def test_without_the_setting_nothing_is_archived(database: Database, home: Path) -> None:
    with Runtime.open(database.dsn, home=home, settings=MANY, work=False) as runtime:
        assert "upkeep/retention" not in {path for path, *_ in runtime.tree()}
