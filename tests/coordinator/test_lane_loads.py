"""A commit lane reads a stream once what it has of it is settled, whatever else it has to do."""

import threading
from collections.abc import Callable

from durable import SOON_S, await_blocked, emptied, item, migrated, row_lock
from lane_stage import LOCK_GATE, actor, admin, answers, chain, hold_up, lane
from stage import Answers, Stage, commit_each

from domainflow.actors.coordinator.hand import MOST_ITEMS
from domainflow.store.port import Item, Loaded, Outcome

__all__ = ["actor", "admin", "answers", "emptied", "lane", "migrated"]  # fixtures


def test_a_stream_is_read_when_everything_before_it_is_settled(lane: Stage, admin: str, answers: Answers) -> None:
    gate = hold_up(lane, answers)
    with row_lock(admin, LOCK_GATE) as blocker:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        lane.committer.load("gate", owned=False, fold_version=1, settled=answers.to("load"))  # type: ignore[arg-type]  # a Loaded
        assert answers.none_left()
        blocker.rollback()
    loaded = answers.take(2)["load"]
    assert isinstance(loaded, Loaded)
    assert (loaded.version, len(loaded.events)) == (2, 2)


def test_a_stream_is_read_while_commits_come_faster_than_they_are_done(lane: Stage) -> None:
    loaded, last = threading.Event(), threading.Semaphore(0)

    def again(before: Item) -> Callable[[Outcome], None]:
        """Whoever is answered commits once more, so that the lane's mailbox is never empty."""

        def settled(_: Outcome) -> None:
            if loaded.is_set():
                last.release()
                return
            after = item(before.stream, before)
            lane.committer.commit((after,), again(after))

        return settled

    for first in [item(f"s{n}") for n in range(3 * MOST_ITEMS)]:
        lane.committer.commit((first,), again(first))
    lane.committer.load("quiet", owned=False, fold_version=1, settled=lambda _: loaded.set())
    in_time = loaded.wait(SOON_S)
    loaded.set()
    assert all(last.acquire(timeout=SOON_S) for _ in range(3 * MOST_ITEMS))
    assert in_time, "whoever starts waits for as long as others work"


def test_a_stream_that_is_only_half_settled_is_not_read_with_the_others(
    lane: Stage, admin: str, answers: Answers
) -> None:
    gate, other, halves = hold_up(lane, answers), hold_up(lane, answers, "other"), chain("s1", 2)
    with row_lock(admin, LOCK_GATE) as blocker, row_lock(admin, LOCK_GATE.replace("gate", "other")) as second:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        commit_each(lane, answers, halves)
        lane.committer.load("s1", owned=False, fold_version=1, settled=answers.to("load"))  # type: ignore[arg-type]  # a Loaded
        commit_each(lane, answers, [*(item(f"other{n}") for n in range(MOST_ITEMS)), other])
        blocker.rollback()
        first = answers.take(MOST_ITEMS)  # the gate, and a batch with one of the two halves
        await_blocked(admin, 1)
        second.rollback()
    assert "s1@1" in first
    loaded = answers.take(5)["load"]
    assert isinstance(loaded, Loaded)
    assert loaded.version == len(halves)
