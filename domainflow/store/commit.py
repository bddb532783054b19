"""The commit: one prepared statement with binary parameters for many streams, and a locked way for groups.

What it promises is in `port`; when it is called is the coordinator's business. Each function takes a connection of
the role `app` in autocommit and opens its own transaction. Isolation: READ COMMITTED; what makes it right is said at
each place.
"""

from collections.abc import Sequence

from psycopg import Connection, RawCursor
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int2, Int8

from domainflow.store import campaigns, work_items
from domainflow.store.commit_sql import FIND_EVENT, FULL, LOCK_HEADS, PLAIN, RAISE_GENERATION
from domainflow.store.commit_values import columns, is_plain
from domainflow.store.port import Committed, Foreign, Item, KeyTaken, Ledger, Outcome, OutOfStep, OverQuota, Stale
from domainflow.store.transaction import Kind, alone, set_session, transaction


class Lane:
    """One commit lane's place in the barrier: only statements of its current generation have an effect."""

    def __init__(self, runtime: str, number: int) -> None:
        self.runtime = runtime
        self.number = number
        self.generation = 0
        self._sees: tuple[Connection[TupleRow], list[str]] | None = None

    def raise_generation(self, connection: Connection[TupleRow]) -> None:
        """Wait for the statement in flight, if any, and bar every one of the old generation that has not begun."""
        row = connection.execute(RAISE_GENERATION, (self.runtime, self.number)).fetchone()
        assert row is not None  # noqa: S101 - RETURNING of an upsert
        self.generation = int(row[0])

    def see(self, connection: Connection[TupleRow], tenants: list[str]) -> None:
        """Have the connection see these tenants; as a rule those of the last batch, and it does already."""
        if self._sees is None or self._sees[0] is not connection or self._sees[1] != tenants:
            set_session(connection, Kind.COMMIT, tenants)
            self._sees = (connection, tenants)


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
    lane.see(connection, sorted({item.tenant for item in items}))
    with alone(connection, Kind.COMMIT):
        cursor = _statement(connection, lane, items)
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
            outcomes = _outcomes(items, _statement(connection, lane, items).fetchall())
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


def _statement(connection: Connection[TupleRow], lane: Lane, items: Sequence[Item]) -> RawCursor[TupleRow]:
    """Send the statement; a raw cursor, since psycopg reads any other text of this length anew each time."""
    plain = all(is_plain(item) for item in items)
    statement = PLAIN if plain else FULL
    values: dict[str, object] = {
        "runtime": lane.runtime,
        "lane": Int2(lane.number),
        "generation": Int8(lane.generation),
        **columns(items, plain=plain),
    }
    return RawCursor(connection).execute(statement.text, [values[name] for name in statement.names], binary=True)
