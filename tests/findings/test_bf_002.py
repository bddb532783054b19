"""BF-002: many workers at one queue claim each job once; and what the runtime's actors do at once breaks no promise.

The second half, planted races and the runtime in thousands of orders, is told in `tests/testing`.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest
from databases import Database
from durable import SOON_S, Actor, acting, emptied, in_thread, item, migrated, new_uuid

from domainflow.store import work_items
from domainflow.store.port import OpenItem
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

__all__ = ["emptied", "migrated"]  # fixtures

CONNECTIONS: Final = 40
# workers, jobs that nobody has tried, jobs that failed once: the predecessor's sizes, and ten times these
SIZES: Final = [(30, 20, 0), (25, 10, 5), (50, 100, 0), (300, 200, 0), (250, 100, 50), (500, 1000, 0)]
UNLOCKED: Final = work_items.CLAIM.replace(" for update of w skip locked", "")


@pytest.fixture
def runtime(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as actor:
        yield actor


@pytest.mark.parametrize(("workers", "fresh", "failed"), SIZES)
def test_each_job_is_claimed_once_however_many_workers_want_it(
    runtime: Actor, workers: int, fresh: int, failed: int
) -> None:
    _open(runtime, fresh, failed)
    claimed = _claimed(runtime, workers)
    assert sorted(claimed.elements()) == sorted(runtime.see("select id from domainflow.work_item"))
    assert runtime.see("select count(*) from domainflow.work_item where failures = 1 and state = 1") == [failed]


def test_it_is_the_lock_that_keeps_two_from_claiming_one(runtime: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert UNLOCKED != work_items.CLAIM
    monkeypatch.setattr(work_items, "CLAIM", UNLOCKED)
    _open(runtime, 100, 0)
    assert max(_claimed(runtime, 30).values()) > 1


def _open(runtime: Actor, fresh: int, failed: int) -> None:
    campaign = new_uuid()
    opens = tuple(OpenItem(1, 1, number, number, number + 1, parked=False) for number in range(fresh + failed))
    runtime.commit(item(f"campaign/{campaign}", epoch=1, status="running", campaign=campaign, opens=opens))
    for each in work_items.claim(runtime.upkeep, runtime.runtime, failed) if failed else ():
        work_items.fail(runtime.upkeep, each.id, each.fence, work_items.Failure(reason="once", retries=3, delay_s=0.0))


def _claimed(runtime: Actor, workers: int) -> Counter[int]:
    """What all of them claimed, beginning at one moment, each until there is nothing more."""
    begin = threading.Barrier(workers)
    store = Postgres(lambda: runtime.dsn, revive=lambda: None, connections=CONNECTIONS)

    def work() -> list[int]:
        mine: list[int] = []
        begin.wait(SOON_S)
        while True:
            with store.upkeep(Kind.CLAIM) as connection:
                claims = work_items.claim(connection, runtime.runtime, 1)
            if not claims:
                return mine
            mine += [each.id for each in claims]

    try:
        return Counter(id_ for worker in [in_thread(work) for _ in range(workers)] for id_ in worker.result(60.0))
    finally:
        store.close()
