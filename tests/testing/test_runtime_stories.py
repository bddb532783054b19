"""The runtime's own actors, told in thousands of orders with faults at every boundary: no promise is broken."""

import inspect
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from house import on_memory, reading
from runtime_stories import clients, search, takeover
from sides import OnMemory

from domainflow.actors import shell
from domainflow.actors.coordinator.front import Coordinator
from domainflow.actors.coordinator.hand import Hand
from domainflow.actors.coordinator.lane import CommitLane
from domainflow.actors.coordinator.messages import Commit
from domainflow.store.memory import commit
from domainflow.store.port import Committed, Item, Outcome
from domainflow.testing import CONTEXT, World, find, replay
from domainflow.testing.exploring import run

STORY = partial(clients, on_memory)


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    with reading(OnMemory):
        yield


def explored(story: Callable[[World], None], schedules: int, seed: int = 0) -> None:
    run(story, search(schedules, seed))
    print(f"{schedules} orders from seed {seed}: no promise broken")  # noqa: T201 - the figures are what it is for


@pytest.mark.timeout(300)  # half a minute on an idle machine
def test_no_promise_is_broken_on_memory() -> None:
    explored(STORY, 2000)


@pytest.mark.chaos
def test_no_promise_is_broken_on_memory_in_ten_thousand_orders() -> None:
    explored(STORY, 10_000, seed=1_000_000)


@pytest.mark.soak
def test_no_promise_is_broken_on_memory_for_as_long_as_it_is_told() -> None:
    until_s = time.monotonic() + float(os.environ.get("SOAK_S", "3600"))
    seed = time.time_ns() // 1_000_000_000
    while time.monotonic() < until_s:
        explored(STORY, 500, seed)
        seed += 500


def test_what_a_lane_lost_that_crashed_as_it_took_it_is_asked_for_again() -> None:
    replay(STORY, "seed=2 +crash:store/commit-0*1")


def never_resolves(_: CommitLane) -> None:
    """A lane that sends again whatever was on its way when its connection broke."""


def no_barrier(lane: commit.Lane, store: object) -> None:
    """A lane that lets statements of its former connections in."""
    lane.generation = 1
    store.tables.lanes[lane.runtime, lane.number] = 1  # type: ignore[attr-defined]  # a MemoryStore


def forgets(hand: Hand, entry: object, outcome: object) -> None:  # noqa: ARG001 - in place of a method
    """A hand that answers nobody."""
    del hand.waiting[entry]  # type: ignore[arg-type]  # an Entry


def acknowledges(coordinator: Coordinator, group: tuple[Item, ...], settled: Callable[[Outcome], None]) -> None:
    """A coordinator that answers before it is durable."""
    settled(Committed(group[0].version))
    coordinator._lane(group[0].stream).tell(Commit(group, lambda _: None), CONTEXT)  # noqa: SLF001 - in its place


def keeps_no_key(*_: object, **__: object) -> tuple[None, None]:
    """Whoever asks again has it done again."""
    return None, None


MUTATIONS = {
    "what was on its way is sent again": (CommitLane, "_resolve", never_resolves),
    "statements of a former connection are let in": (commit.Lane, "raise_generation", no_barrier),
    "nobody is answered": (Hand, "settle", forgets),
    "an acknowledgement comes before the commit": (Coordinator, "commit", acknowledges),
    "no key is kept": (shell, "kept", keeps_no_key),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_runtime_without_a_guard_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MUTATIONS[name])
    assert find(STORY, search(2000)) is not None


@pytest.mark.timeout(300)
def test_nothing_is_written_by_an_owner_that_was_taken_over() -> None:
    explored(takeover, 1000)


@pytest.mark.chaos
def test_nothing_is_written_by_an_owner_that_was_taken_over_in_ten_thousand_orders() -> None:
    explored(takeover, 10_000, seed=1_000_000)


def test_it_is_the_epoch_that_keeps_a_former_owner_from_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    source, guard = inspect.getsource(commit._judge), "(head is not None and head.epoch != item.epoch)"  # noqa: SLF001 - mutated
    assert guard in source
    unfenced: dict[str, Any] = {}
    exec(source.replace(guard, "False"), vars(commit) | {}, unfenced)  # noqa: S102 - our own source
    monkeypatch.setattr(commit, "_judge", unfenced["_judge"])
    assert find(takeover, search(1000)) is not None
