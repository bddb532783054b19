"""Sixteen threads that do what runtimes do, while their statements are cancelled and their sessions ended.

What they were told is written down; `checked` holds what is stored against it, by SQL of its own over a session of its
own. Started as a child it can be run with a guard taken out.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import psycopg
from child import Talk
from databases import Database
from durable import SOON_S, Actor, birth, item, new_uuid
from psycopg import Connection
from psycopg.rows import TupleRow
from stage import Stage

from domainflow.errors import StoreRefused, StoreUnavailable
from domainflow.store import commands, work_items
from domainflow.store.commands import Boxed
from domainflow.store.port import Committed, Item, OpenItem, Outcome
from domainflow.store.postgres import UNDONE
from domainflow.store.transaction import Kind
from domainflow.store.work_items import Result

THREADS: Final = 16
PURSES, COINS = 20, 1_000
ITEMS_A_CAMPAIGN: Final = 5
WAIT_S: Final = 60.0  # for the outcome of a commit, however often its lane must reconnect
PLANTED, CANCELLED, ENDED = 0.05, 0.02, 0.01  # of all operations

TABLES: Final = """
create table public.purse (id int primary key, coins bigint not null);
create table public.moved (id text primary key);
grant select, insert, update on public.purse, public.moved to domainflow_app;
insert into public.purse select n, {coins} from generate_series(1, {purses}) n;
"""
VICTIMS: Final = """
select {how}(pid) from (
  select pid from pg_stat_activity
   where datname = current_database() and application_name like 'domainflow %'
     and application_name <> 'domainflow upkeep'
   order by random() limit 1
) victim
"""


class PlantedError(Exception):
    """What the caller's own code raises in the middle of its transaction."""


@dataclass
class Told:
    """What was said of each thing that was done: done, not done, or (in neither) not known."""

    done: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)

    def tell(self, what: str, *, done: bool | None) -> None:
        if done is not None:
            (self.done if done else self.undone).add(what)


class Worker:
    """One thread's operations; each is for itself, and its own streams are nobody else's."""

    def __init__(self, stage: Stage, database: Database, seed: int) -> None:
        self.told = Told()
        self._stage = stage
        self._chance = random.Random(seed)  # noqa: S311 - a test's dice
        self._killer = psycopg.connect(database.admin_dsn, autocommit=True, application_name="chance")
        self._last: Item | None = None
        self._stream = f"pattern/acme/{new_uuid()}"
        self._weighted: tuple[tuple[float, Callable[[], None]], ...] = (
            (0.40, self._commit),
            (0.05, self._group),
            (0.35, self._move_coins),
            (0.12, self._work),
            (0.08, self._box),
        )

    def run(self, operations: int) -> None:
        for _ in range(operations):
            self._strike()
            (do,) = self._chance.choices([each for _, each in self._weighted], [weight for weight, _ in self._weighted])
            do()
        self._killer.close()

    def _strike(self) -> None:
        dice = self._chance.random()
        if dice < ENDED:
            self._killer.execute(VICTIMS.format(how="pg_terminate_backend").encode())
        elif dice < ENDED + CANCELLED:
            self._killer.execute(VICTIMS.format(how="pg_cancel_backend").encode())

    # --- by the commit lanes

    def _send(self, *items: Item) -> Outcome:
        settled: list[Outcome] = []
        heard = threading.Event()

        def hear(outcome: Outcome) -> None:
            settled.append(outcome)
            heard.set()

        self._stage.committer.commit(items, hear)
        assert heard.wait(WAIT_S), "a commit is never answered"
        return settled[0]

    def _next(self, events: int) -> Item:
        """The next item of its stream; none is like another that was refused before it."""
        return item(self._stream, self._last, events=events, body=new_uuid().encode())

    def _commit(self) -> None:
        move = self._next(self._chance.choice([1, 1, 2]))
        outcome = self._send(move)
        self.told.outcomes[type(outcome).__name__] += 1
        self.told.tell(_name(move), done=isinstance(outcome, Committed))
        if isinstance(outcome, Committed):
            self._last = move

    def _group(self) -> None:
        born = birth(new_uuid(), most_active=1_000_000, most_created_a_day=1_000_000)
        move = self._next(1)
        outcome = self._send(move, born)
        self.told.outcomes["group " + type(outcome).__name__] += 1
        for each in (move, born):
            self.told.tell(_name(each), done=isinstance(outcome, Committed))
        if isinstance(outcome, Committed):
            self._last = move

    # --- by transactions of a pool

    def _done(
        self, what: str, work: Callable[[Connection[TupleRow]], object], kind: Kind, *tenants: str
    ) -> bool | None:
        """Do it; None: nobody knows whether it was done. A planted error must take everything back."""
        store = self._stage.store
        try:
            store.retrying(lambda: store.tenants(kind, *tenants, timeout_s=SOON_S), work)
        except (StoreUnavailable, StoreRefused) as error:
            self.told.outcomes[f"{what} {type(error.__cause__).__name__}"] += 1
            return False if UNDONE in str(error) else None
        except PlantedError:
            self.told.outcomes[f"{what} planted"] += 1
            return False
        self.told.outcomes[what] += 1
        return True

    def _move_coins(self) -> None:
        id_ = new_uuid()
        source, target = self._chance.sample(range(1, PURSES + 1), 2)
        planted = self._chance.random() < PLANTED / 0.35

        def work(connection: Connection[TupleRow]) -> None:
            connection.execute("insert into public.moved values (%s)", (id_,))
            connection.execute("update public.purse set coins = coins - 1 where id = %s", (source,))
            if planted:
                raise PlantedError
            connection.execute("update public.purse set coins = coins + 1 where id = %s", (target,))

        self.told.tell(f"moved {id_}", done=self._done("moved", work, Kind.TOOL, "acme"))

    def _work(self) -> None:
        """Claim an item and store its result."""
        store = self._stage.store
        try:
            with store.upkeep(Kind.CLAIM, timeout_s=SOON_S) as connection:
                claims = work_items.claim(connection, self._stage.actor.runtime, 1)
        except StoreUnavailable:  # what was claimed in it is anybody's
            return
        for claim in claims:
            found = Result(
                item=claim.id,
                fence=claim.fence,
                counts=(("resolved", 10),),
                outcomes=b"v",
                hits=((claim.start, b"one"), (claim.start + 1, b"two")),
            )
            done: bool | None = None
            with suppress(StoreUnavailable):
                (stored,) = store.store_results([found], ["acme"])
                done = stored is True
            self.told.outcomes[f"result {done}"] += 1
            self.told.tell(f"result {claim.id}", done=done)

    def _box(self) -> None:
        boxed = Boxed(new_uuid(), self._stream, "acme", b"body", b"context")
        put = self._done("boxed", lambda c: commands.put(c, boxed, deadline_s=60.0), Kind.BOX, "acme")
        self.told.tell(f"boxed {boxed.id}", done=put)
        if put:
            answered = self._done("answered", lambda c: commands.withdraw(c, boxed.id, b"answer"), Kind.BOX, "acme")
            self.told.tell(f"answered {boxed.id}", done=answered)


def _name(item_: Item) -> str:
    return f"{item_.stream}@{item_.hash.hex()}"


def transact(database: Database, operations: int, seed: int) -> Told:
    """Do so many operations in all, and return what was told of them; the pools are full again, or this fails."""
    actor = Actor(database.dsn, lane=2)  # behind the stage's
    stage = Stage(actor, lanes=2)
    try:
        for _ in range(max(1, operations // 40)):
            opens = tuple(OpenItem(1, 1, n, 10 * n, 10 * n + 10, parked=False) for n in range(ITEMS_A_CAMPAIGN))
            id_ = new_uuid()
            actor.commit(item(f"campaign/{id_}", epoch=1, status="running", campaign=id_, opens=opens))
        workers = [Worker(stage, database, seed + n) for n in range(THREADS)]
        threads = [threading.Thread(target=each.run, args=(operations // THREADS,), daemon=True) for each in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _fill_again(stage)
    finally:
        stage.close()
        actor.close()
    told = [each.told for each in workers]
    done, undone = (set[str]().union(*(getattr(each, which) for each in told)) for which in ("done", "undone"))
    return Told(done, undone, sum((each.outcomes for each in told), Counter()))


def _fill_again(stage: Stage) -> None:
    """Every connection of every pool is to be had again."""
    deadline_s = time.monotonic() + SOON_S
    while full := [pool for pool in stage.store.pools() if pool.waiting or pool.free < pool.size]:
        assert time.monotonic() < deadline_s, f"connections are missing: {full}"
        time.sleep(0.01)


def prepare(database: Database) -> None:
    """Make the tables that are the test's own."""
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute(TABLES.format(coins=COINS, purses=PURSES).encode())


# --- from outside

STORED: Final = """
select 'moved ' || id from public.moved
union all select stream || '@' || encode(hash, 'hex') from domainflow.event
union all select 'result ' || w.id from domainflow.work_item w
  join domainflow.batch b using (campaign, phase, run, batch) where w.state = 2
union all select 'boxed ' || id from domainflow.command
union all select 'answered ' || id from domainflow.command where answered_at is not null
"""
BROKEN: Final = """
select 'coins', sum(coins)::text from public.purse having sum(coins) <> {all}
union all
select 'gap', e.stream from domainflow.event e group by e.stream having count(*) <> max(version)
union all
select 'head', h.stream from domainflow.head h
  join domainflow.event e on e.stream = h.stream and e.version = h.version where e.hash <> h.hash
union all
select 'headless', e.stream from domainflow.event e left join domainflow.head h using (stream)
 group by e.stream, h.version having h.version is distinct from max(e.version)
union all
select 'unborn', h.stream from domainflow.head h
 where h.stream like 'campaign/%' and h.status = 'pending'
   and not exists (select 1 from domainflow.campaign c where h.stream = 'campaign/' || c.id)
union all
select 'half a result', w.id::text
  from domainflow.work_item w left join domainflow.batch b using (campaign, phase, run, batch)
 where (w.state = 2) <> (b.batch is not null)
union all
select 'hits', w.id::text from domainflow.work_item w
 where (select count(*) from domainflow.hit i
         where i.campaign = w.campaign and i.position between w.start and w.stop - 1)
       <> case when w.state = 2 then 2 else 0 end
union all
select 'half an answer', id::text from domainflow.command where (answered_at is null) <> (answer is null)
"""


def checked(database: Database, told: Told) -> list[str]:
    """Return what is stored that should not be, and what is not that should."""
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        stored = {row[0] for row in admin.execute(STORED).fetchall()}
        broken = [f"{what}: {which}" for what, which in admin.execute(BROKEN.format(all=PURSES * COINS).encode())]
    lost = [f"lost: {what}" for what in sorted(told.done - stored)]
    return [*broken, *lost, *(f"undone and there: {what}" for what in sorted(told.undone & stored))]


def child(talk: Talk, *, dsn: str, admin_dsn: str, operations: int, seed: int) -> None:
    """The same in a process of its own, for a guard to be taken out of it."""
    database = Database(dsn, admin_dsn)
    prepare(database)
    found = checked(database, transact(database, operations, seed))
    talk.say("found", len(found))
    for fault in found[:10]:
        talk.say("fault", fault)
