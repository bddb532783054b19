"""Work items: claimed under a fence, finished or returned, summed up. Opened and accounted by the commit statement.

States: ready -> claimed -> done -> deleted; parked; dead. `failures` counts what the work did, `losses` what became
of its worker; a lost host counts as neither.
"""

from collections.abc import Sequence
from typing import Final, LiteralString

import msgspec
from msgspec import Struct
from psycopg import Connection, DatabaseError
from psycopg.rows import TupleRow

from domainflow.errors import StoreRefused
from domainflow.store.sqlstates import meaning
from domainflow.store.transaction import nested

# After so many losses an item is suspected: it runs alone, so that it takes no other with it and can be told apart.
SUSPECT_AFTER: Final = 3
SLICE_ROWS: Final = 1_000  # put back in one transaction: readers of the feed wait for it
# An item that was its worker's only one each time has killed it: it is poison. So many, since kills from outside hit
# whoever runs long: half of all that fall on two workers hit the one that runs alone.
MOST_LOST_ALONE: Final = 10

CLAIM: Final[LiteralString] = """
with picked as materialized (
  select ready.id
    from (values (true, %(suspects)s::bigint), (false, %(limit)s::bigint)) as wanted(suspects, most)
   cross join lateral (
     select w.id from domainflow.work_item w
       join domainflow.head h on h.stream = 'campaign/' || w.campaign and h.status = 'running'
      where w.state = 0 and w.run_at <= clock_timestamp() and (w.losses >= %(suspect_after)s) = wanted.suspects
        and exists (select 1 from domainflow.live_runtime where id = %(runtime)s::uuid)
      order by w.run_at, w.id limit wanted.most for update of w skip locked
   ) ready
)
update domainflow.work_item w set state = 1, fence = w.fence + 1, runtime = %(runtime)s::uuid
  from picked where w.id = picked.id
returning w.id, w.fence, w.campaign::text, w.tenant, w.phase, w.run, w.batch, w.start, w.stop, w.failures, w.losses
"""
LOCK_CLAIMED: Final[LiteralString] = """
select campaign::text, tenant, phase, run, batch, start, stop from domainflow.work_item
 where id = %s and fence = %s and state = 1 for update
"""
INSERT_BATCH: Final[LiteralString] = """
insert into domainflow.batch (campaign, tenant, phase, run, batch, start, stop, counts, outcomes)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
INSERT_HITS: Final[LiteralString] = """
insert into domainflow.hit (campaign, tenant, phase, run, position, body)
select %(campaign)s::uuid, %(tenant)s, %(phase)s, %(run)s, h.position, h.body
  from unnest(%(positions)b::bigint[], %(bodies)b::bytea[]) as h(position, body)
"""
FINISH: Final[LiteralString] = "update domainflow.work_item set state = 2, runtime = null where id = %s"
FAIL: Final[LiteralString] = """
update domainflow.work_item
   set failures = failures + 1, fence = fence + 1, runtime = null, reason = %(reason)s,
       state = case when failures + 1 > %(retries)s then 4 else 0 end,
       run_at = clock_timestamp() + make_interval(secs => %(delay_s)s)
 where id = %(item)s and fence = %(fence)s and state = 1
"""
RETURN_LOST: Final[LiteralString] = """
update domainflow.work_item
   set losses = losses + 1, lost_alone = lost_alone + %(alone)s::int, fence = fence + 1, runtime = null,
       state = case when lost_alone + %(alone)s::int >= %(most)s then 4 else 0 end,
       reason = case when lost_alone + %(alone)s::int >= %(most)s then 'poison: its worker died each time'
                     else reason end
 where id = %(item)s and fence = %(fence)s and state = 1
"""
UNWANTED: Final[LiteralString] = """
select held.item from unnest(%(items)s::bigint[], %(fences)s::bigint[]) as held(item, fence)
 where not exists (select 1 from domainflow.work_item w
                    where w.id = held.item and w.fence = held.fence and w.state = 1)
"""
GIVE_BACK: Final[LiteralString] = """
with held as materialized (
  select id from domainflow.work_item
   where runtime = %(runtime)s and state = 1 and not id = any(%(but)s) order by id limit %(most)s for update
)
update domainflow.work_item w set state = 0, fence = w.fence + 1, runtime = null from held where w.id = held.id
"""
UNCLAIM: Final[LiteralString] = """
update domainflow.work_item set state = 0, fence = fence + 1, runtime = null where id = %s and fence = %s and state = 1
"""
PUT_OFF: Final[LiteralString] = """
update domainflow.work_item
   set state = 0, fence = fence + 1, runtime = null, reason = %(reason)s,
       run_at = clock_timestamp() + make_interval(secs => %(delay_s)s)
 where id = %(item)s and fence = %(fence)s and state = 1
"""
# Skip locked: a rescuer that meets another, or a completion in flight, leaves the row to it.
RESCUE: Final[LiteralString] = """
with lost as materialized (
  select w.id from domainflow.work_item w
   where w.state = 1 and w.runtime <> %s and w.runtime not in (select id from domainflow.live_runtime)
   order by w.id limit %s for update skip locked
)
update domainflow.work_item w set state = 0, fence = w.fence + 1, runtime = null from lost where w.id = lost.id
"""
LOCK_OF_CAMPAIGN: Final[LiteralString] = "select 1 from domainflow.work_item where campaign = %s order by id for update"
DROP: Final[LiteralString] = """
with dropped as (
  delete from domainflow.work_item where campaign = %s returning campaign, phase, run, batch, start, stop, state
), unresulted as (
  delete from domainflow.batch b using dropped d
   where d.state = 2 and b.campaign = d.campaign and b.phase = d.phase and b.run = d.run and b.batch = d.batch
)
delete from domainflow.hit h using dropped d
 where d.state = 2 and h.campaign = d.campaign and h.phase = d.phase and h.run = d.run
   and h.position >= d.start and h.position < d.stop
"""
DONE: Final[LiteralString] = """
select w.campaign::text, w.id, w.phase, w.run, w.batch, b.counts
  from domainflow.work_item w
  join domainflow.batch b on b.campaign = w.campaign and b.phase = w.phase and b.run = w.run and b.batch = w.batch
 where w.state = 2 and w.campaign = any(%s::uuid[])
 order by w.campaign, w.phase, w.batch limit 2000
"""
LEDGER: Final[LiteralString] = """
select campaign::text,
       count(*) filter (where state = 0), count(*) filter (where state = 1),
       count(*) filter (where state = 2), count(*) filter (where state = 4),
       min(reason) filter (where state = 4)
  from domainflow.work_item where campaign = any(%s::uuid[]) group by campaign
"""


class Claim(Struct, frozen=True):
    """One claimed item."""

    id: int
    fence: int
    campaign: str
    tenant: str
    phase: int
    run: int
    batch: int
    start: int
    stop: int
    failures: int
    losses: int

    @property
    def suspected(self) -> bool:
        """Whether it must run alone."""
        return self.losses >= SUSPECT_AFTER


class Result(Struct, frozen=True, kw_only=True):
    """What a batch found, as it is stored."""

    item: int
    fence: int
    counts: tuple[tuple[str, int], ...]
    outcomes: bytes
    hits: tuple[tuple[int, bytes], ...]


class Unstorable(Struct, frozen=True):
    """What became of a result that Postgres does not take as it is; nothing of it was written."""

    kind: str  # the error's class: its text may hold values


class Done(Struct, frozen=True):
    """One finished batch that its campaign has not accounted yet."""

    item: int
    phase: int
    run: int
    batch: int
    counts: tuple[tuple[str, int], ...]


class LedgerCounts(Struct, frozen=True):
    """The open items of one campaign, by state."""

    ready: int
    claimed: int
    done: int
    dead: int
    dead_reason: str


NO_ITEMS: Final = LedgerCounts(0, 0, 0, 0, "")


def claim(connection: Connection[TupleRow], runtime: str, limit: int, *, suspects: int = 0) -> list[Claim]:
    """Claim the oldest ready items of running campaigns; none if `runtime` is not alive.

    At most `suspects` that must run alone, which come first, and `limit` others.
    """
    values = {"runtime": runtime, "limit": limit, "suspects": suspects, "suspect_after": SUSPECT_AFTER}
    claims = [Claim(*row) for row in connection.execute(CLAIM, values).fetchall()]
    return sorted(claims, key=lambda claimed: not claimed.suspected)


def unwanted(connection: Connection[TupleRow], held: Sequence[Claim]) -> list[int]:
    """Return the items of those claims that hold no longer: dropped, rescued, claimed again, or done."""
    items, fences = [claimed.id for claimed in held], [claimed.fence for claimed in held]
    rows = connection.execute(UNWANTED, {"items": items, "fences": fences}).fetchall()
    return [int(row[0]) for row in rows]


def complete(connection: Connection[TupleRow], result: Result) -> bool:
    """Store a result under its fence, in a transaction of the item's tenant; False: it is no longer wanted."""
    row = connection.execute(LOCK_CLAIMED, (result.item, result.fence)).fetchone()
    if row is None:
        return False
    campaign, tenant, phase, run, batch, start, stop = row
    counts = msgspec.msgpack.encode(dict(result.counts))
    connection.execute(INSERT_BATCH, (campaign, tenant, phase, run, batch, start, stop, counts, result.outcomes))
    if result.hits:
        positions, bodies = zip(*result.hits, strict=True)
        where = {"campaign": campaign, "tenant": tenant, "phase": phase, "run": run}
        connection.execute(INSERT_HITS, {**where, "positions": list(positions), "bodies": list(bodies)})
    connection.execute(FINISH, (result.item,))
    return True


def complete_each(connection: Connection[TupleRow], results: Sequence[Result]) -> list[bool | Unstorable]:
    """Complete one by one, in a transaction of all their tenants: one that cannot be stored takes no other with it."""
    return [_complete_apart(connection, result) for result in results]


def _complete_apart(connection: Connection[TupleRow], result: Result) -> bool | Unstorable:
    try:
        with nested(connection):
            return complete(connection, result)
    except DatabaseError as error:
        if isinstance(meaning(error, lost=connection.closed, outcome=""), StoreRefused):
            return Unstorable(type(error).__name__)
        raise  # of the connection, of others or of the database: no fault of the result's


class Failure(Struct, frozen=True, kw_only=True):
    """What became of a batch that raised."""

    reason: str
    retries: int  # further attempts that it may have in all
    delay_s: float  # before the next one


def fail(connection: Connection[TupleRow], item: int, fence: int, failure: Failure) -> None:
    """Count a failure: the item comes back after its delay, or is dead when its retries are used up."""
    values = {"reason": failure.reason, "retries": failure.retries, "delay_s": failure.delay_s}
    connection.execute(FAIL, {"item": item, "fence": fence, **values})


def unclaim(connection: Connection[TupleRow], item: int, fence: int) -> None:
    """Put back an item that was claimed and not begun."""
    connection.execute(UNCLAIM, (item, fence))


def put_off(connection: Connection[TupleRow], item: int, fence: int, *, reason: str, delay_s: float) -> None:
    """Put back an item that this host cannot do just now; counts nothing against it."""
    connection.execute(PUT_OFF, {"item": item, "fence": fence, "reason": reason, "delay_s": delay_s})


def return_lost(connection: Connection[TupleRow], item: int, fence: int, *, alone: bool) -> None:
    """Put back an item whose worker died while the host lived."""
    connection.execute(RETURN_LOST, {"item": item, "fence": fence, "alone": alone, "most": MOST_LOST_ALONE})


def give_back(connection: Connection[TupleRow], runtime: str, *, but: list[int]) -> int:
    """Put back up to SLICE_ROWS items that `runtime` has and does not work on, uncounted; return how many."""
    return connection.execute(GIVE_BACK, {"runtime": runtime, "but": but, "most": SLICE_ROWS}).rowcount


def rescue(connection: Connection[TupleRow], runtime: str) -> int:
    """Put back up to SLICE_ROWS items that dead runtimes had claimed; return how many. As `give_back`."""
    return connection.execute(RESCUE, (runtime, SLICE_ROWS)).rowcount


def drop(connection: Connection[TupleRow], campaign: str) -> None:
    """Delete all items of a campaign and the results of those that were done but not accounted.

    The items are locked first, so that the second statement's snapshot shows every result of theirs.
    """
    connection.execute(LOCK_OF_CAMPAIGN, (campaign,))
    connection.execute(DROP, (campaign,))


def done(connection: Connection[TupleRow], campaigns: list[str]) -> dict[str, list[Done]]:
    """Return finished batches that wait to be accounted, by campaign; at most 2000 in all."""
    found: dict[str, list[Done]] = {}
    for campaign, item, phase, run, batch, counts in connection.execute(DONE, (campaigns,)).fetchall():
        by_outcome = msgspec.msgpack.decode(counts, type=dict[str, int])
        found.setdefault(campaign, []).append(Done(item, phase, run, batch, tuple(sorted(by_outcome.items()))))
    return found


def ledger(connection: Connection[TupleRow], campaigns: list[str]) -> dict[str, LedgerCounts]:
    """Return the open items of each campaign by state; a campaign without items is missing."""
    rows = connection.execute(LEDGER, (campaigns,)).fetchall()
    return {
        campaign: LedgerCounts(ready, claimed, finished, dead, reason or "")
        for campaign, ready, claimed, finished, dead, reason in rows
    }
