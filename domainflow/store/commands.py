"""The command box: commands for streams that another live runtime owns.

Put in by who wants it done, answered in the owner's commit; the id is the idempotency key of the delivery.
"""

from collections.abc import Collection
from typing import Final, LiteralString

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.store.transaction import by_index

PUT: Final[LiteralString] = """
insert into domainflow.command (id, stream, tenant, body, context, deadline)
values (%s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))
"""
# From stream to stream by the index, whose rows of one stream may be thousands.
PENDING: Final[LiteralString] = """
with recursive waiting(stream) as (
  (select stream from domainflow.command where answered_at is null order by stream limit 1)
  union all
  select (select c.stream from domainflow.command c where c.answered_at is null and c.stream > w.stream
           order by c.stream limit 1)
    from waiting w where w.stream is not null
)
select c.id::text, c.stream, c.tenant, c.body, c.context, extract(epoch from c.deadline - clock_timestamp())::float8
  from waiting w
 cross join lateral (select owner from domainflow.head where stream = w.stream) h
 cross join lateral (
   select id, stream, tenant, body, context, deadline, created_at from domainflow.command
    where stream = w.stream and answered_at is null order by created_at, id limit 1) c
 where h.owner = %(runtime)s::uuid and not w.stream = any(%(busy)s)
 order by c.created_at, c.id limit 500
"""
ANSWER: Final[LiteralString] = "select answer from domainflow.command where id = %s"
# Only as long as nobody answered: who gives up must not race with the commit that answers.
WITHDRAW: Final[LiteralString] = """
update domainflow.command set answered_at = clock_timestamp(), answer = %s
 where id = %s and answered_at is null returning 1
"""
PRUNE: Final[LiteralString] = """
delete from domainflow.command where id = any(array(
  select id from domainflow.command where created_at < clock_timestamp() - interval '24 hours' limit %s))
"""
PRUNE_KEYS: Final[LiteralString] = """
delete from domainflow.idempotency where ctid = any(array(
  select ctid from domainflow.idempotency where created_at < clock_timestamp() - interval '24 hours' limit %s))
"""
PRUNED_AT_ONCE: Final = 5_000  # of each: a day's are millions


class Boxed(Struct, frozen=True):
    """One command that waits for its owner."""

    id: str
    stream: str
    tenant: str
    body: bytes
    context: bytes
    left_s: float = 0.0  # until its deadline, when it was looked at; negative: it had passed


def put(connection: Connection[TupleRow], command: Boxed, *, deadline_s: float) -> None:
    """Put a command into the box; it expires after `deadline_s` by the database clock."""
    connection.execute(PUT, (command.id, command.stream, command.tenant, command.body, command.context, deadline_s))


def pending(connection: Connection[TupleRow], runtime: str, *, busy: Collection[str] = ()) -> list[Boxed]:
    """Return the oldest unanswered command of each stream that `runtime` owns, but of `busy` ones; up to 500."""
    by_index(connection)
    return [Boxed(*row) for row in connection.execute(PENDING, {"runtime": runtime, "busy": list(busy)}).fetchall()]


def answer(connection: Connection[TupleRow], command: str) -> bytes | None:
    """Return the answer of a command; None: not yet."""
    row = connection.execute(ANSWER, (command,)).fetchone()
    return row[0] if row else None


def withdraw(connection: Connection[TupleRow], command: str, answer_: bytes) -> bool:
    """Answer a command without doing it; False: it was answered before."""
    return connection.execute(WITHDRAW, (answer_, command)).fetchone() is not None


def prune(connection: Connection[TupleRow]) -> bool:
    """Delete some commands and idempotency records that are older than 24 hours; True: there may be more."""
    pruned = [connection.execute(query, (PRUNED_AT_ONCE,)).rowcount for query in (PRUNE, PRUNE_KEYS)]
    return max(pruned) == PRUNED_AT_ONCE
