"""The commit of items and groups; the twin of `store.commit`, with the same outcomes.

As in one statement, all items of a batch are judged by what stood before it. A batch sees its own tenants and no other,
as row-level security has it: a stream of another tenant is not there, and cannot be born either.
"""

from collections.abc import Sequence

from domainflow.errors import StoreRefused
from domainflow.store.commit import BarredError
from domainflow.store.memory import campaigns, work_items
from domainflow.store.memory.tables import InBox, MemoryStore, Picture, Remembered, State
from domainflow.store.port import (
    NO_ANSWER,
    Committed,
    Foreign,
    Item,
    KeyTaken,
    Ledger,
    NewEvent,
    Outcome,
    OutOfStep,
    OverQuota,
    Recorded,
    Stale,
)
from domainflow.store.streams import Head


class Lane:
    """One commit lane's place in the barrier: only commits of its current generation have an effect."""

    def __init__(self, runtime: str, number: int) -> None:
        self.runtime = runtime
        self.number = number
        self.generation = 0

    def raise_generation(self, store: MemoryStore) -> None:
        """Bar every commit of the old generation. Raises StoreRefused: the runtime is not registered."""
        with store.transaction() as tables:
            if self.runtime not in tables.runtimes:
                raise StoreRefused(f"runtime {self.runtime} is not registered")
            place = (self.runtime, self.number)
            self.generation = tables.lanes[place] = tables.lanes.get(place, 0) + 1


class _RolledBackError(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def commit_batch(store: MemoryStore, lane: Lane, items: Sequence[Item]) -> list[Outcome]:
    """Commit items of different streams, each for itself; return their outcomes in order.

    Raises StoreRefused or BarredError: nothing of the batch was written.
    """
    with store.transaction():
        return _commit(store, lane, items)


def commit_group(store: MemoryStore, lane: Lane, items: Sequence[Item]) -> Outcome:
    """Commit all items or none: the deciding stream's first, then streams born with it."""
    try:
        with store.transaction():
            for item in items:
                if item.birth is not None and (reason := campaigns.over_quota(store, item.tenant, item.birth)):
                    raise _RolledBackError(OverQuota(reason))  # noqa: TRY301 - it is the way out of the transaction
            for item in items:
                if item.ledger is Ledger.DROP and item.campaign:
                    work_items.drop(store, item.campaign)
            outcomes = _commit(store, lane, items)
            refused = next((outcome for outcome in outcomes if not isinstance(outcome, Committed)), None)
            if refused is not None:
                raise _RolledBackError(refused)  # noqa: TRY301 - likewise
            _write_campaigns(store, items)
            return outcomes[0]
    except _RolledBackError as rolled_back:
        return rolled_back.outcome


def was_committed(store: MemoryStore, item: Item) -> bool:
    """Whether `item` is in the store; only meaningful after `raise_generation`."""
    found = store.tables.events.get((item.stream, item.version))
    return found is not None and found.tenant == item.tenant and found.hash == item.hash


def _commit(store: MemoryStore, lane: Lane, items: Sequence[Item]) -> list[Outcome]:
    if store.tables.lanes.get((lane.runtime, lane.number)) != lane.generation:
        raise BarredError
    tenants = frozenset(item.tenant for item in items)
    outcomes = [_judge(store, tenants, item) for item in items]
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, Committed):
            _write(store, tenants, item)
    return outcomes


# --- judging: nothing is written here


def _judge(store: MemoryStore, tenants: frozenset[str], item: Item) -> Outcome:
    """What becomes of an item, in the order in which its writer is told of several faults at once."""
    head = _visible(store, tenants, item.stream)
    if (taken := _answered_before(store, tenants, item)) is not None:
        return taken
    if _is_usurped(store, tenants, item) or (head is not None and head.epoch != item.epoch):
        return Foreign(head.epoch if head else None)
    if head is None:
        is_free = item.expected == 0 and item.stream not in store.tables.heads and not _is_short(store, item)
        return Committed(item.version) if is_free else Stale(None)
    if head.version != item.expected or head.hash != item.previous:
        return Stale(head.version)
    if _is_short(store, item):
        return OutOfStep()
    return Committed(item.version) if item.expected and head.tenant == item.tenant else Stale(head.version)


def _visible(store: MemoryStore, tenants: frozenset[str], stream: str) -> Head | None:
    head = store.tables.heads.get(stream)
    return head if head and head.tenant in tenants else None


def _boxed(store: MemoryStore, tenants: frozenset[str], item: Item) -> InBox | None:
    found = store.tables.commands.get(item.box.command) if item.box else None
    return found if found and found.command.tenant in tenants else None


def _answered_before(store: MemoryStore, tenants: frozenset[str], item: Item) -> KeyTaken | None:
    known = store.tables.keys.get((item.tenant, item.key.principal, item.key.key)) if item.key else None
    if known is not None:
        return KeyTaken(known.key.command_hash, known.key.answer)
    boxed = _boxed(store, tenants, item)
    return KeyTaken(b"", boxed.answer) if boxed and boxed.answer is not None else None


def _is_usurped(store: MemoryStore, tenants: frozenset[str], item: Item) -> bool:
    if item.about is None:
        return False
    head = _visible(store, tenants, item.about.stream)
    return head is None or head.epoch != item.about.epoch


def _is_short(store: MemoryStore, item: Item) -> bool:
    found = [store.tables.work_items.get(id_) for id_ in item.accounts]
    return any(each is None or each.state is not State.DONE for each in found)


# --- writing


def _write(store: MemoryStore, tenants: frozenset[str], item: Item) -> None:
    tables = store.tables
    tables.heads[item.stream] = Head(item.tenant, item.version, item.hash, item.epoch, item.status)
    for event in item.events:
        _record(store, item, event)
    if item.snapshot is not None:
        tables.snapshots[item.stream] = Picture(item.version, item.fold_version, item.snapshot)
    _answer(store, tenants, item)
    for id_ in item.accounts:
        tables.work_items.pop(id_, None)
    if item.ledger is not None and item.campaign is not None:
        work_items.shift(store, item.campaign, item.ledger)
    work_items.open_for(store, item)


def _record(store: MemoryStore, item: Item, event: NewEvent) -> None:
    place = (item.stream, event.version)
    if place in store.tables.events:
        raise StoreRefused(f"event {place} is there already")
    store.tables.events[place] = Recorded(
        stream=item.stream,
        version=event.version,
        tenant=item.tenant,
        recorded_at_us=event.recorded_at_us,
        type=event.type,
        type_version=event.type_version,
        context=event.context,
        body=event.body,
        hash=event.hash,
    )


def _answer(store: MemoryStore, tenants: frozenset[str], item: Item) -> None:
    if item.key is not None and item.key.answer != NO_ANSWER:
        place = (item.tenant, item.key.principal, item.key.key)
        if place in store.tables.keys:
            raise StoreRefused(f"key {place} was taken by another item of this batch")
        store.tables.keys[place] = Remembered(item.key, store.now_us())
    boxed = _boxed(store, tenants, item)
    if boxed is not None and item.box is not None:
        answered = InBox(
            command=boxed.command,
            created_at_us=boxed.created_at_us,
            deadline_us=boxed.deadline_us,
            answer=item.box.answer,
            answered=True,
        )
        store.tables.commands[item.box.command] = answered


def _write_campaigns(store: MemoryStore, items: Sequence[Item]) -> None:
    for item in items:
        if item.birth is not None:
            campaigns.insert(store, item.tenant, item.birth)
        if item.mark is not None and item.campaign:
            campaigns.mark(store, item.campaign, item.mark)
