"""A host's projection for tests: how many changes each campaign has had, and a process that applies it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
from child import Talk

from domainflow import FeedChange, Principal, Projection, Runtime
from domainflow.projections import Projector
from domainflow.store import projections
from domainflow.store.feed import Position
from domainflow.store.projections import Generation, Rows

ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")

TABLE: Final = """
create table public.tally (generation int, campaign uuid, changes bigint not null, primary key (generation, campaign));
grant select, insert, update, delete on public.tally to domainflow_app;
"""
COUNT: Final = """
insert into public.tally as t values (%s, %s, 1)
on conflict (generation, campaign) do update set changes = t.changes + 1
"""
CLEAR: Final = """
with doomed as (select ctid from public.tally where generation = %s limit 2)
delete from public.tally t using doomed d where t.ctid = d.ctid
"""
# As of one instant: what each generation holds, and what it must hold, being as far as it says. One that is cleared may
# hold anything.
DIFFERS: Final = """
select p.generation, p.live, coalesce((select sum(changes) from public.tally t where t.generation = p.generation), 0),
       (select count(*) from domainflow.event e
         where e.stream like 'campaign/%' and (e.era, e.xid, e.seq) <= (p.era, p.xid, p.seq))
  from domainflow.projection p
"""


def count(connection: Rows, generation: int, changes: Sequence[FeedChange]) -> None:
    for change in changes:
        connection.execute(COUNT, (generation, change.campaign))


def clear(connection: Rows, generation: int) -> bool:
    return connection.execute(CLEAR, (generation,)).rowcount > 0


def tally(version: int = 1) -> Projection:
    return Projection(name="tally", version=version, apply=count, clear=clear)


def held(admin_dsn: str) -> list[tuple[int, bool, int]]:
    """Each generation, whether it is live, and how many changes it holds; fails when they are not what it says."""
    with psycopg.connect(admin_dsn) as admin:
        rows = sorted(admin.execute(DIFFERS).fetchall())
    first = next((number for number, live, _, _ in rows if live), 0)
    for number, _, kept, due in rows:
        assert number < first or kept == due, rows
    return [(number, live, int(kept)) for number, live, kept, _ in rows]


# --- another process


def host(talk: Talk, *, dsn: str, home: str, stops: bool) -> None:
    """Follow; say "applied" within each transaction, when it has written, and wait there to be told if it `stops`."""

    def telling(connection: Rows, generation: int, changes: Sequence[FeedChange]) -> None:
        count(connection, generation, changes)
        talk.say("applied", len(changes))
        if stops:
            talk.hear()

    projection = Projection(name="tally", version=1, apply=telling, clear=clear)
    with Runtime.open(dsn, home=Path(home), campaigns=False, work=False) as runtime:
        runtime.as_principal(ALICE).projector(projection).follow()


# --- the guard taken out


def apply_apart(self: Projector, generation: Generation, to: Position, changes: Sequence[FeedChange]) -> bool:
    """As it is often done: the place first, in a transaction of its own."""
    with self._transaction() as connection:
        moved = projections.move(connection, self._key, generation, to)
    with self._transaction() as connection:
        self._projection.apply(connection, generation.number, changes)
    return moved
