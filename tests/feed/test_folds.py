"""What is kept of views: as fresh as a look without it, whoever writes; bounded; of no other history. Real Postgres."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from child import Child
from databases import Database
from psycopg.rows import TupleRow
from speaker import ALICE, MANY, SPEC

from domainflow import CampaignSpec, Operations, Runtime, folds
from domainflow.actors.campaign.events import CampaignArchived, CampaignQueued
from domainflow.actors.rules import encode
from domainflow.errors import Corrupt
from domainflow.folds import Fold, Folds
from domainflow.reading import Reading
from domainflow.settings import Settings
from domainflow.spec import PatternSource
from domainflow.store.leases import Standing
from domainflow.views import View
from domainflow.vocabulary import PatternType, Phase

SOON_S = 60.0
APPEND = """
insert into domainflow.event (stream, version, tenant, recorded_at, type, type_version, context, body, hash)
values (%s, %s, 'acme', clock_timestamp(), %s, 1, '', %s, '')
"""
MANY_BATCHES = CampaignSpec(
    name="a hundred batches",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=4, character_set="abcdef", constant="x", tld="com", count=500
    ),
    batch_size=5,
    skip=(Phase.DNS_VALIDATION, Phase.HTTP_KEYWORD_VALIDATION, Phase.ANALYSIS),
)


@pytest.fixture
def runtime(database: Database, home: Path) -> Iterator[Runtime]:
    with Runtime.open(database.dsn, home=home, settings=MANY, campaigns=False, work=False) as opened:
        yield opened


@pytest.fixture
def ops(runtime: Runtime) -> Operations:
    return runtime.as_principal(ALICE)


def unkept(runtime: Runtime, id_: str) -> View:
    """Its view, folded from what is stored."""
    return Reading(replace(runtime._parts, folds=Folds(0)), ALICE, id_).view()  # noqa: SLF001 - beside what is kept


def beside_another_process(ops: Operations, database: Database, home: Path) -> list[tuple[int, int]]:
    """What another process was answered, and what a view shows here right behind it."""
    shown = []
    with Child("feed.speaker:speaker", dsn=database.dsn, home=str(home)) as other:
        other.wait_line("ready")
        for _ in range(5):
            campaign = ops.create_campaign(SPEC)
            campaign.view()
            other.tell(f"start {campaign.id}")
            shown.append((int(other.wait_line("started")), campaign.view().version))
        other.finish()
    return shown


def test_what_another_process_has_done_is_shown_at_once(ops: Operations, database: Database, home: Path) -> None:
    assert beside_another_process(ops, database, home) == [(2, 2)] * 5


def test_without_the_look_at_where_it_stands_it_would_not_be(
    ops: Operations, database: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(self: Folds, _: object, stream: str, __: Standing) -> Fold | None:
        return self._kept.get(stream)

    monkeypatch.setattr(Folds, "_known", known)
    assert beside_another_process(ops, database, home) == [(2, 1)] * 5


def test_whatever_happens_it_is_what_is_folded_from_what_is_stored(runtime: Runtime, ops: Operations) -> None:
    campaign = ops.create_campaign(SPEC)
    for act in (campaign.start, campaign.pause, campaign.resume, campaign.cancel, campaign.archive):
        act()
        assert campaign.view() == unkept(runtime, campaign.id)
    assert campaign.view().version == 8


def test_rates_are_those_of_the_last_events(database: Database, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at after each event of a campaign that has more than a rate is measured by."""
    monkeypatch.setattr(folds, "RECENT", 4)
    with Runtime.open(database.dsn, home=home, settings=Settings(window=1)) as runtime:
        campaign = runtime.as_principal(ALICE).create_campaign(MANY_BATCHES)
        campaign.start()
        for _ in campaign.watch(timeout_s=SOON_S):
            campaign.view()
        assert campaign.view().phases == unkept(runtime, campaign.id).phases
        assert campaign.view().phases[0].done == 500
        assert campaign.view().phases[0].rate_per_s is not None
        assert campaign.view().version > 2 * 4


def test_it_is_bounded_and_what_was_not_asked_for_longest_goes_first(runtime: Runtime, ops: Operations) -> None:
    kept = runtime._parts.folds  # noqa: SLF001 - where they are kept
    ids = [ops.create_campaign(SPEC).id for _ in range(4)]
    for id_ in ids:
        ops.campaign(id_).view()
    size_bytes = kept.size_bytes // 4
    bounded = Folds(3 * size_bytes)
    parts = replace(runtime._parts, folds=bounded)  # noqa: SLF001 - likewise
    for id_ in (*ids[:3], ids[0], ids[3]):
        Reading(parts, ALICE, id_).view()
    assert list(bounded._kept) == [f"campaign/{id_}" for id_ in (ids[2], ids[0], ids[3])]  # noqa: SLF001 - in order
    assert bounded.size_bytes == 3 * size_bytes


@pytest.mark.parametrize("later", [0, 1])
def test_of_a_history_that_was_replaced_nothing_is_shown(ops: Operations, database: Database, later: int) -> None:
    """As by a backup that was brought back while this process lived: the same versions, and other events."""
    campaign = ops.create_campaign(SPEC)
    other = ops.create_campaign(replace_name(SPEC))
    assert campaign.view().count == SPEC.source.count
    for _ in range(later):
        other.start()
    put_in_place(database, campaign.stream, other.stream)
    assert campaign.view().count == SPEC.source.count + 1
    assert campaign.view().version == 1 + later


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("lost", ["version = 2", "version = 3", "true"])
def test_what_lacks_an_event_is_neither_shown_nor_commanded(
    ops: Operations, database: Database, lost: str, *, kept: bool
) -> None:
    campaign = ops.create_campaign(SPEC)
    if kept:
        campaign.view()
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        append_by_hand(admin, campaign.stream)
        admin.execute(f"delete from domainflow.event where stream = %s and {lost}", (campaign.stream,))  # type: ignore[arg-type]  # noqa: S608
    with pytest.raises(Corrupt, match="run `domainflow verify`"):
        campaign.view()
    with pytest.raises(Corrupt):
        campaign.start()


def append_by_hand(admin: psycopg.Connection[TupleRow], stream: str) -> None:
    """Have two more events on a stream, past every guard."""
    admin.execute("set session_replication_role = replica")
    for version, type_ in ((2, "campaign.queued"), (3, "campaign.archived")):
        event = CampaignQueued() if version == 2 else CampaignArchived()
        admin.execute(APPEND, (stream, version, type_, encode(event)))
    admin.execute("update domainflow.head set version = 3 where stream = %s", (stream,))


def replace_name(spec: CampaignSpec) -> CampaignSpec:
    """One with one name more."""
    source = spec.source
    assert isinstance(source, PatternSource)
    return CampaignSpec(
        name=spec.name,
        source=PatternSource(
            pattern_type=source.pattern_type,
            variable_length=source.variable_length,
            character_set=source.character_set,
            constant=source.constant,
            tld=source.tld,
            count=source.count + 1,
        ),
    )


def put_in_place(database: Database, stream: str, other: str) -> None:
    """Give a stream the events of another one, past every guard."""
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute("set session_replication_role = replica")
        for table in ("event", "head", "snapshot"):
            admin.execute(f"delete from domainflow.{table} where stream = %s", (stream,))  # type: ignore[arg-type]  # noqa: S608
            admin.execute(f"update domainflow.{table} set stream = %s where stream = %s", (stream, other))  # type: ignore[arg-type]  # noqa: S608
