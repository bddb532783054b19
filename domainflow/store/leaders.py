"""Who leads: for each name one runtime at a time, in terms that only rise, by the database clock.

A term ends with its time, or at once when its holder is not alive any more. Whoever acts under one holds its row in the
same transaction, so that the next term waits for what the last one has begun, and nothing of the last one follows.
"""

from typing import Final, LiteralString

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

HOLD: Final[LiteralString] = """
insert into domainflow.leader as l (name, holder, term, until)
select %(name)s, %(runtime)s::uuid, 1, clock_timestamp() + make_interval(secs => %(term_s)s)
 where exists (select 1 from domainflow.live_runtime where id = %(runtime)s::uuid)
on conflict (name) do update
   set term = case when l.holder = excluded.holder and l.until > clock_timestamp() then l.term else l.term + 1 end,
       holder = excluded.holder, until = excluded.until
 where l.holder = excluded.holder or l.until < clock_timestamp()
    or l.holder not in (select id from domainflow.live_runtime)
returning term
"""
HOLDS: Final[LiteralString] = """
select 1 from domainflow.leader
 where name = %s and holder = %s and term = %s and until > clock_timestamp() for share
"""


class Term(Struct, frozen=True):
    """One term of one leader."""

    name: str
    holder: str
    number: int


def hold(connection: Connection[TupleRow], name: str, runtime: str, *, term_s: float) -> Term | None:
    """Begin a term, or go on with the one that `runtime` holds, for `term_s`; None: another live runtime holds it."""
    row = connection.execute(HOLD, {"name": name, "runtime": runtime, "term_s": term_s}).fetchone()
    return Term(name, runtime, row[0]) if row else None


def holds(connection: Connection[TupleRow], term: Term) -> bool:
    """Whether it is this term still; then no other one begins before the transaction ends."""
    return connection.execute(HOLDS, (term.name, term.holder, term.number)).fetchone() is not None
