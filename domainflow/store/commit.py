"""The commit: one prepared statement with binary parameters for many streams, and a locked way for groups.

What it promises is in `port`; when it is called is the coordinator's business. Each function takes a connection of
the role `app` in autocommit and opens its own transaction. Isolation: READ COMMITTED; what makes it right is said at
each place.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int2, Int8

from domainflow.store import campaigns, work_items
from domainflow.store.commit_sql import COMMIT, FIND_EVENT, LOCK_HEADS, RAISE_GENERATION
from domainflow.store.port import Committed, Foreign, Item, KeyTaken, Ledger, Outcome, OutOfStep, OverQuota, Stale
from domainflow.store.transaction import Kind, at_once, transaction

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Lane:
    """One commit lane's place in the barrier: only statements of its current generation have an effect."""

    def __init__(self, runtime: str, number: int) -> None:
        self.runtime = runtime
        self.number = number
        self.generation = 0

    def raise_generation(self, connection: Connection[TupleRow]) -> None:
        """Wait for the statement in flight, if any, and bar every one of the old generation that has not begun."""
        row = connection.execute(RAISE_GENERATION, (self.runtime, self.number)).fetchone()
        assert row is not None  # noqa: S101 - RETURNING of an upsert
        self.generation = int(row[0])


class BarredError(Exception):
    """The lane's generation was raised by somebody else; nothing was written."""


class _RolledBackError(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def commit_batch(connection: Connection[TupleRow], lane: Lane, items: Sequence[Item]) -> list[Outcome]:
    """Commit items of different streams, each for itself; return their outcomes in order.

    Raises psycopg.Error: nothing of the batch was written, unless the connection was lost (then nobody knows).
    """
    tenants = sorted({item.tenant for item in items})
    with at_once(connection, Kind.COMMIT, tenants=tenants):
        cursor = connection.execute(COMMIT, _parameters(lane, items), binary=True)
    return _outcomes(items, cursor.fetchall())


def commit_group(connection: Connection[TupleRow], lane: Lane, items: Sequence[Item]) -> Outcome:
    """Commit all items or none: the deciding stream's first, then streams born with it.

    Heads are locked before the statement begins, so that its snapshot shows what it is going to write on.
    """
    tenants = sorted({item.tenant for item in items})
    try:
        with transaction(connection, Kind.GROUP, tenants=tenants):
            _reserve_quota(connection, items)
            connection.execute(LOCK_HEADS, ([item.stream for item in items],))
            for item in items:
                if item.ledger is Ledger.DROP and item.campaign:
                    work_items.drop(connection, item.campaign)
            outcomes = _outcomes(items, connection.execute(COMMIT, _parameters(lane, items), binary=True).fetchall())
            refused = next((outcome for outcome in outcomes if not isinstance(outcome, Committed)), None)
            if refused is not None:
                raise _RolledBackError(refused)  # noqa: TRY301 - it is the way out of the transaction
            _write_campaigns(connection, items)
            return outcomes[0]
    except _RolledBackError as rolled_back:
        return rolled_back.outcome


def needs_group(items: Sequence[Item]) -> bool:
    """Whether these must go the locked way: several streams, a birth, or a ledger change of what others may hold."""
    item = items[0]
    return len(items) > 1 or item.birth is not None or item.mark is not None or item.ledger is Ledger.DROP


def was_committed(connection: Connection[TupleRow], item: Item) -> bool:
    """Whether `item` is in the store; only meaningful after `raise_generation`."""
    with transaction(connection, Kind.RESOLVE, tenants=(item.tenant,)):
        row = connection.execute(FIND_EVENT, (item.stream, item.version)).fetchone()
    return row is not None and bytes(row[0]) == item.hash


def _reserve_quota(connection: Connection[TupleRow], items: Sequence[Item]) -> None:
    for item in items:
        if item.birth is not None and (reason := campaigns.over_quota(connection, item.tenant, item.birth)):
            raise _RolledBackError(OverQuota(reason))


def _write_campaigns(connection: Connection[TupleRow], items: Sequence[Item]) -> None:
    for item in items:
        if item.birth is not None:
            campaigns.insert(connection, item.tenant, item.birth)
        if item.mark is not None and item.campaign:
            campaigns.mark(connection, item.campaign, item.mark)


def _outcomes(items: Sequence[Item], rows: Sequence[TupleRow]) -> list[Outcome]:
    if not all(row[0] for row in rows):
        raise BarredError
    return [_outcome(item, row) for item, row in zip(items, rows, strict=True)]


def _outcome(item: Item, row: TupleRow) -> Outcome:
    _, done, version, hash_, epoch, command_hash, answer, short, usurped = row
    if done:
        return Committed(item.version)
    if answer is not None:
        return KeyTaken(bytes(command_hash), bytes(answer))
    if usurped or (version is not None and epoch != item.epoch):
        return Foreign(epoch)
    if version != item.expected or bytes(hash_) != item.previous:
        return Stale(version)
    return OutOfStep() if short else Stale(version)


def _parameters(lane: Lane, items: Sequence[Item]) -> dict[str, object]:
    events = [(n, event) for n, item in enumerate(items, 1) for event in item.events]
    opens = [(n, item) for n, each in enumerate(items, 1) for item in each.opens]
    accounts = [(n, id_) for n, item in enumerate(items, 1) for id_ in item.accounts]
    keys = [item.key for item in items]
    return {
        "runtime": lane.runtime,
        "lane": lane.number,
        "generation": lane.generation,
        "stream": [item.stream for item in items],
        "tenant": [item.tenant for item in items],
        "expected": [Int8(item.expected) for item in items],
        "previous": [item.previous for item in items],
        "version": [Int8(item.version) for item in items],
        "hash": [item.hash for item in items],
        "epoch": [None if item.epoch is None else Int8(item.epoch) for item in items],
        "status": [item.status for item in items],
        "fold_version": [Int2(item.fold_version) for item in items],
        "snapshot": [item.snapshot for item in items],
        "campaign": [item.campaign for item in items],
        "ledger": [item.ledger and item.ledger.value for item in items],
        "principal": [key and key.principal for key in keys],
        "key": [key and key.key for key in keys],
        "command_hash": [key and key.command_hash for key in keys],
        "key_answer": [key and key.answer for key in keys],
        "box": [item.box and item.box.command for item in items],
        "box_answer": [item.box and item.box.answer for item in items],
        "about": [item.about and item.about.stream for item in items],
        "about_epoch": [None if item.about is None else Int8(item.about.epoch) for item in items],
        "e_item": [Int8(n) for n, _ in events],
        "e_version": [Int8(event.version) for _, event in events],
        "e_recorded_at": [EPOCH + timedelta(microseconds=event.recorded_at_us) for _, event in events],
        "e_type": [event.type for _, event in events],
        "e_type_version": [Int2(event.type_version) for _, event in events],
        "e_context": [event.context for _, event in events],
        "e_body": [event.body for _, event in events],
        "e_hash": [event.hash for _, event in events],
        "a_item": [Int8(n) for n, _ in accounts],
        "a_id": [Int8(id_) for _, id_ in accounts],
        "o_item": [Int8(n) for n, _ in opens],
        "o_phase": [Int2(item.phase) for _, item in opens],
        "o_run": [Int2(item.run) for _, item in opens],
        "o_batch": [Int8(item.batch) for _, item in opens],
        "o_start": [Int8(item.start) for _, item in opens],
        "o_stop": [Int8(item.stop) for _, item in opens],
        "o_state": [Int2(3 if item.parked else 0) for _, item in opens],
    }
