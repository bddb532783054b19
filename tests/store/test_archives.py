"""Events leave the database by one way only: those before a seal whose archive is recorded, a slice after the other."""

from collections.abc import Iterator
from typing import Final

import psycopg
import pytest
from databases import Database
from durable import Actor, acting, birth, emptied, item, migrated, new_uuid

from domainflow.store import archives, chained
from domainflow.store.archives import Archive
from domainflow.store.port import Item

__all__ = ["emptied", "migrated"]  # fixtures

EVENTS: Final = 6  # before the seal
FORGED: Final = """
insert into domainflow.archive (stream, tenant, version, previous, first_era, first_xid, first_seq,
                                last_era, last_xid, last_seq, host, file, sha256)
values (%s, 'acme', %s, %s, 1, '1', 1, 1, '1', 1, '', '', '')
"""
DELETE: Final = "select domainflow.delete_archived(%s, 100)"


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


class Sealed:
    """A stream of `EVENTS` events, a seal and one more."""

    def __init__(self, actor: Actor, *, type_: str = archives.SEALED) -> None:
        id_ = new_uuid()
        born = birth(id_)
        assert actor.group(born) is not None
        more = item(born.stream, born, events=EVENTS - 1, epoch=1, status="cancelled")
        seal = self._seal(more, type_)
        actor.commit(more)
        actor.commit(seal)
        actor.commit(item(born.stream, seal, epoch=1, status="cancelled"))
        self.stream, self.version, self.previous = born.stream, EVENTS + 1, more.hash
        self.archive = Archive(self.stream, "acme", self.version, "here", "file", b"sha")

    @staticmethod
    def _seal(after: Item, type_: str) -> Item:
        sealing = chained.event(
            stream=after.stream,
            version=EVENTS + 1,
            previous=after.hash,
            tenant="acme",
            recorded_at_us=1,
            type_=type_,
            type_version=1,
            context=b"",
            body=b"",
        )
        return Item(
            stream=after.stream,
            tenant="acme",
            expected=EVENTS,
            previous=after.hash,
            events=(sealing,),
            epoch=1,
            status="cancelled",
        )


def versions(actor: Actor, stream: str) -> list[int]:
    return actor.see("select version from domainflow.event where stream = %s order by 1", stream)


def test_what_is_before_a_recorded_seal_goes_oldest_first_and_nothing_else(actor: Actor) -> None:
    sealed, other = Sealed(actor), Sealed(actor)
    assert archives.record(actor.upkeep, sealed.archive) == sealed.archive
    for most, first in ((2, 3), (3, 6), (100, EVENTS + 1)):
        actor.upkeep.execute("select domainflow.delete_archived(%s, %s)", (sealed.stream, most))
        assert versions(actor, sealed.stream) == [*range(first, EVENTS + 3)]
        assert archives.left(actor.upkeep) == sealed.stream
    assert archives.delete_slice(actor.upkeep, sealed.stream) == 0
    assert archives.left(actor.upkeep) is None
    assert versions(actor, other.stream) == [*range(1, EVENTS + 3)]


def test_who_records_second_is_told_of_the_first(actor: Actor) -> None:
    sealed = Sealed(actor)
    archives.record(actor.upkeep, sealed.archive)
    second = Archive(sealed.stream, "acme", sealed.version, "there", "another", b"sha")
    assert archives.record(actor.upkeep, second) == sealed.archive


@pytest.mark.parametrize("version", [EVENTS, EVENTS + 2, EVENTS + 3])
def test_what_is_no_seal_is_not_recorded(actor: Actor, version: int) -> None:
    sealed = Sealed(actor)
    assert archives.record(actor.upkeep, Archive(sealed.stream, "acme", version, "here", "file", b"sha")) is None


def refused(actor: Actor, stream: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="not sealed and archived"):
        actor.upkeep.execute(DELETE, (stream,))
    assert versions(actor, stream) == [*range(1, EVENTS + 3)]


def test_without_a_record_nothing_goes(actor: Actor) -> None:
    refused(actor, Sealed(actor).stream)


def test_a_record_that_upkeep_forges_deletes_nothing_that_no_seal_follows(actor: Actor) -> None:
    unsealed = Sealed(actor, type_="test.moved")
    actor.upkeep.execute(FORGED, (unsealed.stream, unsealed.version, unsealed.previous))
    refused(actor, unsealed.stream)


@pytest.mark.parametrize(("step", "previous"), [(1, None), (0, b"another")])
def test_a_record_must_name_the_seal_and_the_hash_before_it(actor: Actor, step: int, previous: bytes | None) -> None:
    sealed = Sealed(actor)
    actor.upkeep.execute(FORGED, (sealed.stream, sealed.version + step, previous or sealed.previous))
    refused(actor, sealed.stream)


def test_only_upkeep_may_ask_for_it(actor: Actor) -> None:
    sealed = Sealed(actor)
    archives.record(actor.upkeep, sealed.archive)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        actor.app.execute(DELETE, (sealed.stream,))


@pytest.mark.parametrize("role", ["domainflow_app", "domainflow_upkeep", "domainflow_owner", "domainflow"])
def test_no_role_deletes_events_by_itself_whatever_it_sets(actor: Actor, emptied: Database, role: str) -> None:
    sealed = Sealed(actor)
    with psycopg.connect(emptied.admin_dsn) as admin:
        admin.execute(f"set role {role}")
        admin.execute("set domainflow.tenants = 'acme'; set domainflow.archive = 'on'")
        try:
            deleted = admin.execute("delete from domainflow.event where stream = %s", (sealed.stream,)).rowcount
        except psycopg.errors.InsufficientPrivilege:
            deleted = 0
    assert deleted == 0
    assert versions(actor, sealed.stream) == [*range(1, EVENTS + 3)]


def test_the_owner_itself_changes_nothing_that_stays(actor: Actor, emptied: Database) -> None:
    sealed = Sealed(actor)
    archives.record(actor.upkeep, sealed.archive)
    with psycopg.connect(emptied.admin_dsn, autocommit=True) as admin:
        admin.execute("set role domainflow_owner")
        with pytest.raises(psycopg.Error, match="append-only"):
            admin.execute("update domainflow.event set body = ''")
        admin.execute("delete from domainflow.event")
    assert versions(actor, sealed.stream) == [EVENTS + 1, EVENTS + 2]


def test_a_look_goes_on_where_the_last_one_ended_whatever_stands_between(
    actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "HEADS_A_LOOK", 2)
    sealed = {Sealed(actor, type_="campaign.cancelled").stream for _ in range(3)}
    found: list[str] = []
    look, looks = archives.Look((), after=""), 0
    while looks == 0 or look.after:
        look = archives.due(actor.upkeep, older_than_s=0.0, after=look.after, most=20)
        found += (due.stream for due in look.due)
        looks += 1
    assert found == sorted(sealed)
    assert looks > len(found) / archives.HEADS_A_LOOK
    few = archives.due(actor.upkeep, older_than_s=0.0, most=1)
    assert [due.stream for due in few.due] == [few.after] == found[:1]
