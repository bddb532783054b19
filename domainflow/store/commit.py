"""The commit: one prepared statement with binary parameters for many streams, and a locked way for groups.

What it promises is in `port`; when it is called is the coordinator's business. Each function takes a connection of
the role `app` in autocommit and opens its own transaction. Isolation: READ COMMITTED; what makes it right is said at
each place.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, LiteralString

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int2, Int8

from domainflow.store import campaigns, work_items
from domainflow.store.port import Committed, Foreign, Item, KeyTaken, Ledger, Outcome, OutOfStep, OverQuota, Stale
from domainflow.store.transaction import transaction

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

COMMIT: Final[LiteralString] = """
with barrier as materialized (
  -- Whoever resolves a lost connection raises the generation: that waits for this lock, and bars what comes after it.
  select 1 from domainflow.lane
   where runtime = %(runtime)s::uuid and lane = %(lane)s::smallint and generation = %(generation)s::bigint
     for share
), item as materialized (
  select * from unnest(%(stream)b::text[], %(tenant)b::text[], %(expected)b::bigint[], %(previous)b::bytea[],
                       %(version)b::bigint[], %(hash)b::bytea[], %(epoch)b::bigint[], %(status)b::text[],
                       %(fold_version)b::smallint[], %(snapshot)b::bytea[], %(campaign)b::text[], %(ledger)b::text[],
                       %(principal)b::text[], %(key)b::text[], %(command_hash)b::bytea[], %(key_answer)b::bytea[],
                       %(box)b::text[], %(box_answer)b::bytea[],
                       %(about)b::text[], %(about_epoch)b::bigint[])
    with ordinality as i(stream, tenant, expected, previous, version, hash, epoch, status, fold_version, snapshot,
                         campaign, ledger, principal, key, command_hash, key_answer, box, box_answer,
                         about, about_epoch, ord)
   where exists (select 1 from barrier)
), locked as materialized (
  -- In stream order, so that two lanes or runtimes can never deadlock.
  select h.stream, h.version, h.hash, h.epoch, h.tenant from domainflow.head h
   where h.stream = any (%(stream)b::text[]) and exists (select 1 from barrier)
   order by h.stream for no key update
), settled_work as materialized (
  -- Locked here, deleted below: only the owner deletes them, and the owner is whoever wins the update of the head.
  select w.id from domainflow.work_item w
   where w.id = any (%(a_id)b::bigint[]) and w.state = 2 and (select count(*) from locked) >= 0 for update
), short as (
  select a.item as ord from unnest(%(a_item)b::bigint[], %(a_id)b::bigint[]) as a(item, id)
    left join settled_work s on s.id = a.id where s.id is null
), boxed as materialized (
  -- Locked, so that who takes his command back either comes before this, and is seen here, or finds it answered.
  select c.id, c.answer from domainflow.command c
   where c.id = any (%(box)b::uuid[]) and (select count(*) from locked) >= 0 for update
), taken as materialized (
  select i.ord, k.command_hash, k.answer from item i
    join domainflow.idempotency k on k.tenant = i.tenant and k.principal = i.principal and k.key = i.key
  union all
  select i.ord, ''::bytea, c.answer from item i
    join boxed c on c.id = i.box::uuid where c.answer is not null
), usurped as materialized (
  -- What is said of an owned stream is only true under its owner's epoch.
  select i.ord from item i where i.about is not null
     and not exists (select 1 from domainflow.head h where h.stream = i.about and h.epoch = i.about_epoch)
), fit as materialized (
  select i.* from item i
   where i.ord not in (select ord from short) and i.ord not in (select ord from taken)
     and i.ord not in (select ord from usurped)
), moved as (
  update domainflow.head h set version = i.version, hash = i.hash, status = i.status
    from fit i join locked l using (stream)
   where h.stream = i.stream and i.expected > 0
     and h.version = i.expected and h.hash = i.previous and h.tenant = i.tenant and h.epoch is not distinct from i.epoch
  returning h.stream
), born as (
  insert into domainflow.head (stream, tenant, version, hash, epoch, status)
  select stream, tenant, version, hash, epoch, status from fit where expected = 0 order by stream
  on conflict do nothing
  returning stream
), done as materialized (
  -- Everything below hangs off what was really written, never off what was read: `locked` may show a row that
  -- was committed while it waited, and the update does not see that one. Not joins: the planner expects few items,
  -- and would compare each with each.
  select i.* from fit i
   where i.stream in (select stream from moved) or i.stream in (select stream from born)
), recorded as (
  insert into domainflow.event (stream, version, tenant, recorded_at, type, type_version, context, body, hash)
  select d.stream, e.version, d.tenant, e.recorded_at, e.type, e.type_version, e.context, e.body, e.hash
    from unnest(%(e_item)b::bigint[], %(e_version)b::bigint[], %(e_recorded_at)b::timestamptz[], %(e_type)b::text[],
                %(e_type_version)b::smallint[], %(e_context)b::bytea[], %(e_body)b::bytea[], %(e_hash)b::bytea[])
      as e(item, version, recorded_at, type, type_version, context, body, hash)
    join done d on d.ord = e.item
   order by d.stream, e.version
), pictured as (
  insert into domainflow.snapshot as s (stream, tenant, version, fold_version, state)
  select stream, tenant, version, fold_version, snapshot from done where snapshot is not null
  on conflict (stream) do update
     set version = excluded.version, fold_version = excluded.fold_version, state = excluded.state
), keyed as (
  -- Not `on conflict`: two that race for one key must not both move their heads. The loser's statement raises.
  insert into domainflow.idempotency (tenant, principal, key, command_hash, answer)
  select tenant, principal, key, command_hash, key_answer from done where key is not null
), answered as (
  update domainflow.command c set answer = d.box_answer, answered_at = clock_timestamp()
    from done d where d.box is not null and c.id = d.box::uuid
), accounted as (
  delete from domainflow.work_item w
   using unnest(%(a_item)b::bigint[], %(a_id)b::bigint[]) as a(item, id) join done d on d.ord = a.item
   where w.id = a.id
), shifted as (
  update domainflow.work_item w
     set state = case d.ledger when 'park' then 3 else 0 end,
         failures = case d.ledger when 'revive' then 0 else w.failures end,
         losses = case d.ledger when 'revive' then 0 else w.losses end,
         lost_alone = case d.ledger when 'revive' then 0 else w.lost_alone end,
         run_at = clock_timestamp()
    from done d
   where d.ledger is not null and w.campaign = d.campaign::uuid
     and case d.ledger when 'park' then w.state = 0 when 'unpark' then w.state = 3
                       when 'revive' then w.state in (3, 4) end
), opened as (
  insert into domainflow.work_item (campaign, tenant, phase, run, batch, start, stop, state)
  select d.campaign::uuid, d.tenant, o.phase, o.run, o.batch, o.start, o.stop, o.state
    from unnest(%(o_item)b::bigint[], %(o_phase)b::smallint[], %(o_run)b::smallint[], %(o_batch)b::int[],
                %(o_start)b::bigint[], %(o_stop)b::bigint[], %(o_state)b::smallint[])
      as o(item, phase, run, batch, start, stop, state)
    join done d on d.ord = o.item
   order by o.item, o.batch
)
select exists (select 1 from barrier), d.ord is not null, l.version, l.hash, l.epoch, t.command_hash, t.answer,
       i.ord in (select ord from short), i.ord in (select ord from usurped)
  from unnest(%(stream)b::text[]) with ordinality as i(stream, ord)
  left join done d on d.ord = i.ord
  left join locked l on l.stream = i.stream
  left join lateral (select command_hash, answer from taken where taken.ord = i.ord limit 1) t on true
 order by i.ord
"""
LOCK_HEADS: Final[LiteralString] = (
    "select 1 from domainflow.head where stream = any(%s) order by stream for no key update"
)
RAISE_GENERATION: Final[LiteralString] = """
insert into domainflow.lane (runtime, lane, generation) values (%s, %s, 1)
on conflict (runtime, lane) do update set generation = domainflow.lane.generation + 1
returning generation
"""
FIND_EVENT: Final[LiteralString] = "select hash from domainflow.event where stream = %s and version = %s"


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
    with connection.pipeline(), transaction(connection, tenants=sorted({item.tenant for item in items})):
        cursor = connection.execute(COMMIT, _parameters(lane, items), binary=True)
    return _outcomes(items, cursor.fetchall())


def commit_group(connection: Connection[TupleRow], lane: Lane, items: Sequence[Item]) -> Outcome:
    """Commit all items or none: the deciding stream's first, then streams born with it.

    Heads are locked before the statement begins, so that its snapshot shows what it is going to write on.
    """
    tenants = sorted({item.tenant for item in items})
    try:
        with transaction(connection, tenants=tenants):
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
    with transaction(connection, tenants=(item.tenant,)):
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
