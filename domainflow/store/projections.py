"""Projections as they are kept: the generations of each, and how much of the feed each has applied.

In a transaction of the tenant's, which somebody else has opened: a place moves in the one that writes what came of the
events up to there, so that neither is without the other.
"""

from typing import Final, LiteralString, TypeAlias

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.store.feed import Position

Rows: TypeAlias = Connection[TupleRow]  # what a host's function reads and writes with

GENERATIONS: Final[LiteralString] = """
select generation, version, live, era, xid::text::bigint, seq from domainflow.projection
 where tenant = %s and name = %s order by generation
"""
LOCK: Final[LiteralString] = f"{GENERATIONS} for update"
BEGIN: Final[LiteralString] = """
insert into domainflow.projection (tenant, name, generation, version) values (%s, %s, %s, %s) on conflict do nothing
"""
# Who comes second waits here for the first one's commit, and then finds the place moved.
MOVE: Final[LiteralString] = """
update domainflow.projection set era = %s, xid = %s::text::xid8, seq = %s
 where tenant = %s and name = %s and generation = %s and (era, xid, seq) = (%s, %s::text::xid8, %s)
"""
# Two statements: within one, which row comes first is nobody's to say, and no two may be live.
OUTLIVE: Final[LiteralString] = "update domainflow.projection set live = false where tenant = %s and name = %s and live"
ENLIVEN: Final[LiteralString] = """
update domainflow.projection set live = true where tenant = %s and name = %s and generation = %s
"""
HOLD: Final[LiteralString] = """
select 1 from domainflow.projection where tenant = %s and name = %s and generation = %s and not live for update
"""
FORGET: Final[LiteralString] = "delete from domainflow.projection where tenant = %s and name = %s and generation = %s"


class Key(Struct, frozen=True):
    """One projection of one tenant."""

    tenant: str
    name: str


class Generation(Struct, frozen=True):
    """One building of it."""

    number: int
    version: int  # of the function that builds it
    live: bool
    position: Position  # everything up to here is applied


def generations(connection: Rows, key: Key) -> list[Generation]:
    """Return them, oldest first."""
    rows = connection.execute(GENERATIONS, (key.tenant, key.name)).fetchall()
    return [_generation(row) for row in rows]


def begin(connection: Rows, key: Key, number: int, version: int) -> None:
    """Have a generation of this number, from the beginning of the feed; one that is there already stays as it is."""
    connection.execute(BEGIN, (key.tenant, key.name, number, version))


def move(connection: Rows, key: Key, generation: Generation, to: Position) -> bool:
    """Say that everything up to `to` is applied; False: its place is another one by now, or it is gone."""
    old = generation.position
    moved = connection.execute(
        MOVE,
        (to.era, str(to.xid), to.seq, key.tenant, key.name, generation.number, old.era, str(old.xid), old.seq),
    )
    return moved.rowcount == 1


def enliven(connection: Rows, key: Key, number: int) -> bool:
    """Make a generation the live one, unless it is behind the one that is, or gone; say whether it is."""
    found = [_generation(row) for row in connection.execute(LOCK, (key.tenant, key.name)).fetchall()]
    risen = next((each for each in found if each.number == number), None)
    live = next((each for each in found if each.live), None)
    if risen is None or (live is not None and (live.number > number or live.position > risen.position)):
        return False
    connection.execute(OUTLIVE, (key.tenant, key.name))
    connection.execute(ENLIVEN, (key.tenant, key.name, number))
    return True


def hold(connection: Rows, key: Key, number: int) -> bool:
    """Have nobody move a generation that is not live until the transaction ends; False: it is live, or gone."""
    return connection.execute(HOLD, (key.tenant, key.name, number)).fetchone() is not None


def forget(connection: Rows, key: Key, number: int) -> None:
    """Delete a generation."""
    connection.execute(FORGET, (key.tenant, key.name, number))


def _generation(row: TupleRow) -> Generation:
    number, version, live, *place = row
    return Generation(number, version, live, Position(*place))
