"""Work items: claimed under a fence, finished or returned; the twin of `store.work_items`."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from domainflow.errors import StoreRefused
from domainflow.store.memory.tables import MemoryStore, State, WorkItem
from domainflow.store.port import Item, Ledger
from domainflow.store.results import StoredBatch
from domainflow.store.work_items import MOST_LOST_ALONE, SUSPECT_AFTER, Claim, Done, Failure, LedgerCounts, Result

MOST_DONE: Final = 2000
POISON: Final = "poison: its worker died each time"
SHIFTS: Final = {
    Ledger.PARK: (frozenset({State.READY}), State.PARKED),
    Ledger.UNPARK: (frozenset({State.PARKED}), State.READY),
    Ledger.REVIVE: (frozenset({State.PARKED, State.DEAD}), State.READY),
}

# --- what a commit does, under its lock


def open_for(store: MemoryStore, item: Item) -> None:
    """Insert the work items that a commit opens. Raises StoreRefused: one is open already, or has no campaign."""
    taken = {each.place for each in store.tables.work_items.values()}
    now_us = store.now_us()
    for new in item.opens:
        opened = WorkItem(
            id=next(store.item_ids),
            campaign=item.campaign or "",
            tenant=item.tenant,
            phase=new.phase,
            run=new.run,
            batch=new.batch,
            start=new.start,
            stop=new.stop,
            state=State.PARKED if new.parked else State.READY,
            run_at_us=now_us,
        )
        if item.campaign is None or opened.place in taken:
            raise StoreRefused(f"work item {opened.place} cannot be opened")
        taken.add(opened.place)
        _put(store, opened)


def shift(store: MemoryStore, campaign: str, change: Ledger) -> None:
    """Do to all open items of a campaign what a commit says; dropping is `drop`."""
    if change is Ledger.DROP:
        return
    before, after = SHIFTS[change]
    now_us = store.now_us()
    for item in _of(store, campaign):
        if item.state in before:
            anew = {"failures": 0, "losses": 0, "lost_alone": 0} if change is Ledger.REVIVE else {}
            _put(store, replace(item, state=after, run_at_us=now_us, **anew))


def drop(store: MemoryStore, campaign: str) -> None:
    """Delete all items of a campaign and the results of those that were done but not accounted."""
    with store.lock:
        for item in _of(store, campaign):
            del store.tables.work_items[item.id]
            if item.state is State.DONE:
                store.tables.batches.pop(item.place, None)
                for position in range(item.start, item.stop):
                    store.tables.hits.pop((*item.place[:3], position), None)


# --- those who work


def claim(store: MemoryStore, runtime: str, limit: int, *, suspects: int = 0) -> list[Claim]:
    """Claim the oldest ready items of running campaigns; none if `runtime` is not alive. Suspects come first."""
    with store.lock:
        if not store.is_alive(runtime):
            return []
        now_us = store.now_us()
        ready = [
            each for each in store.tables.work_items.values() if each.run_at_us <= now_us and _is_wanted(store, each)
        ]
        oldest = sorted(ready, key=lambda each: (each.run_at_us, each.id))
        suspected = [each for each in oldest if each.losses >= SUSPECT_AFTER][:suspects]
        others = [each for each in oldest if each.losses < SUSPECT_AFTER][:limit]
        return [_claim(store, each, runtime) for each in suspected + others]


def unwanted(store: MemoryStore, held: Sequence[Claim]) -> list[int]:
    """Return the items of those claims that hold no longer: dropped, rescued, claimed again, or done."""
    with store.lock:
        return [each.id for each in held if _claimed(store, each.id, each.fence) is None]


def complete(store: MemoryStore, result: Result) -> bool:
    """Store a result under its fence; False: it is no longer wanted. Raises StoreRefused: it is there already."""
    with store.transaction() as tables:
        item = _claimed(store, result.item, result.fence)
        if item is None:
            return False
        counts = msgspec.msgpack.encode(dict(result.counts))
        kept = {(*item.place[:3], position): body for position, body in result.hits}
        if item.place in tables.batches or len(kept) < len(result.hits) or kept.keys() & tables.hits.keys():
            raise StoreRefused(f"a result of {item.place} is there already")
        tables.batches[item.place] = StoredBatch(item.batch, item.start, item.stop, counts, result.outcomes)
        tables.hits.update(kept)
        _put(store, replace(item, state=State.DONE, runtime=None))
        return True


def fail(store: MemoryStore, item: int, fence: int, failure: Failure) -> None:
    """Count a failure: the item comes back after its delay, or is dead when its retries are used up."""
    with store.lock:
        found = _claimed(store, item, fence)
        if found is not None:
            dead = found.failures + 1 > failure.retries
            counted = replace(found, failures=found.failures + 1)
            _return(store, counted, dead=dead, reason=failure.reason, delay_s=failure.delay_s)


def unclaim(store: MemoryStore, item: int, fence: int) -> None:
    """Put back an item that was claimed and not begun."""
    with store.lock:
        found = _claimed(store, item, fence)
        if found is not None:
            _return(store, found)


def put_off(store: MemoryStore, item: int, fence: int, *, reason: str, delay_s: float) -> None:
    """Put back an item that this host cannot do just now; counts nothing against it."""
    with store.lock:
        found = _claimed(store, item, fence)
        if found is not None:
            _return(store, found, reason=reason, delay_s=delay_s)


def return_lost(store: MemoryStore, item: int, fence: int, *, alone: bool) -> None:
    """Put back an item whose worker died while the host lived."""
    with store.lock:
        found = _claimed(store, item, fence)
        if found is not None:
            counted = replace(found, losses=found.losses + 1, lost_alone=found.lost_alone + alone)
            dead = counted.lost_alone >= MOST_LOST_ALONE
            _return(store, counted, dead=dead, reason=POISON if dead else None)


def give_back(store: MemoryStore, runtime: str, *, but: list[int]) -> int:
    """Put back what `runtime` has and does not work on, uncounted; return how many."""
    with store.lock:
        held = [each for each in _in_hand(store) if each.runtime == runtime and each.id not in but]
        for item in held:
            _return(store, item)
        return len(held)


def rescue(store: MemoryStore, runtime: str) -> int:
    """Put back what dead runtimes had claimed; return how many."""
    with store.lock:
        lost = [each for each in _in_hand(store) if each.runtime != runtime and not store.is_alive(str(each.runtime))]
        for item in lost:
            _return(store, item)
        return len(lost)


# --- those who look


def done(store: MemoryStore, campaigns: list[str]) -> dict[str, list[Done]]:
    """Return finished batches that wait to be accounted, by campaign; at most 2000 in all."""
    with store.lock:
        finished = [each for each in store.tables.work_items.values() if each.state is State.DONE]
        asked = sorted((each for each in finished if each.campaign in campaigns), key=lambda each: each.place)
        found: dict[str, list[Done]] = {}
        for item in asked[:MOST_DONE]:
            counts = msgspec.msgpack.decode(store.tables.batches[item.place].counts, type=dict[str, int])
            finished_ = Done(item.id, item.phase, item.run, item.batch, tuple(sorted(counts.items())))
            found.setdefault(item.campaign, []).append(finished_)
        return found


def ledger(store: MemoryStore, campaigns: list[str]) -> dict[str, LedgerCounts]:
    """Return the open items of each campaign by state; a campaign without items is missing."""
    with store.lock:
        return {campaign: _counted(items) for campaign in campaigns if (items := _of(store, campaign))}


def _counted(items: list[WorkItem]) -> LedgerCounts:
    ready, claimed, finished, dead = (
        [each for each in items if each.state is state]
        for state in (State.READY, State.CLAIMED, State.DONE, State.DEAD)
    )
    reason = min((each.reason for each in dead if each.reason is not None), default="")
    return LedgerCounts(len(ready), len(claimed), len(finished), len(dead), reason)


def _of(store: MemoryStore, campaign: str) -> list[WorkItem]:
    return [each for each in store.tables.work_items.values() if each.campaign == campaign]


def _in_hand(store: MemoryStore) -> list[WorkItem]:
    return [each for each in store.tables.work_items.values() if each.state is State.CLAIMED]


def _is_wanted(store: MemoryStore, item: WorkItem) -> bool:
    head = store.tables.heads.get(f"campaign/{item.campaign}")
    return item.state is State.READY and head is not None and head.status == "running"


def _put(store: MemoryStore, item: WorkItem) -> None:
    store.tables.work_items[item.id] = item


def _claim(store: MemoryStore, item: WorkItem, runtime: str) -> Claim:
    mine = replace(item, state=State.CLAIMED, fence=item.fence + 1, runtime=runtime)
    _put(store, mine)
    return Claim(
        mine.id,
        mine.fence,
        mine.campaign,
        mine.tenant,
        *mine.place[1:],
        mine.start,
        mine.stop,
        mine.failures,
        mine.losses,
    )


def _claimed(store: MemoryStore, item: int, fence: int) -> WorkItem | None:
    found = store.tables.work_items.get(item)
    return found if found and found.fence == fence and found.state is State.CLAIMED else None


def _return(
    store: MemoryStore, item: WorkItem, *, dead: bool = False, reason: str | None = None, delay_s: float | None = None
) -> None:
    """Let go of a claimed item. Without a delay it keeps its place in the line, without a reason the one it has."""
    run_at_us = item.run_at_us if delay_s is None else store.now_us() + round(delay_s * 1_000_000)
    state = State.DEAD if dead else State.READY
    reason = item.reason if reason is None else reason
    _put(store, replace(item, state=state, fence=item.fence + 1, runtime=None, run_at_us=run_at_us, reason=reason))
