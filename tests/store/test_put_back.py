"""What is put back or given back at once, however much there is: readers of the feed wait for each transaction."""

from collections.abc import Iterator

import pytest
from databases import Database
from durable import Actor, acting, await_gone, emptied, item, migrated, new_uuid

from domainflow.store import leases, work_items
from domainflow.store.port import OpenItem

__all__ = ["emptied", "migrated"]  # fixtures


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as made:
        yield made


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as made:
        yield made


def test_work_is_put_back_in_slices(
    actor: Actor, other: Actor, emptied: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_items, "SLICE_ROWS", 2)
    campaign = new_uuid()
    opens = tuple(OpenItem(1, 1, n, 10 * n, 10 * n + 10, parked=False) for n in range(6))
    actor.commit(item(f"campaign/{campaign}", epoch=1, status="running", campaign=campaign, opens=opens))
    mine = work_items.claim(actor.upkeep, actor.runtime, 3)
    assert len(work_items.claim(other.upkeep, other.runtime, 3)) == 3
    assert [work_items.give_back(actor.upkeep, actor.runtime, but=[mine[0].id]) for _ in range(2)] == [2, 0]
    pid = other.session.info.backend_pid
    other.die()
    await_gone(emptied.admin_dsn, pid)
    assert [work_items.rescue(actor.upkeep, actor.runtime) for _ in range(3)] == [2, 1, 0]
    assert actor.see("select id from domainflow.work_item where state = 1") == [mine[0].id]


def test_streams_are_given_back_in_slices(actor: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RELEASED_AT_ONCE", 2)
    streams = ["s1", "s2", "s3"]
    actor.commit(*(item(stream, epoch=1) for stream in streams))
    assert all(leases.claim_stream(other.upkeep, other.runtime, stream) for stream in streams)
    assert leases.release_some(other.upkeep, other.runtime)
    assert [leases.owner(actor.upkeep, stream) is None for stream in streams] == [True, True, False]
    assert not leases.release_some(other.upkeep, other.runtime)
    assert leases.owner(actor.upkeep, "s3") is None
