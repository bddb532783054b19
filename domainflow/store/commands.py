"""The command box: commands for streams that another live runtime owns.

Put in by who wants it done, answered in the owner's commit; the id is the idempotency key of the delivery.
"""

from typing import Final, LiteralString

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

PUT: Final[LiteralString] = """
insert into domainflow.command (id, stream, tenant, body, context, deadline)
values (%s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))
"""
PENDING: Final[LiteralString] = """
select c.id::text, c.stream, c.tenant, c.body, c.context, c.deadline < clock_timestamp()
  from domainflow.command c join domainflow.head h on h.stream = c.stream
 where c.answered_at is null and h.owner = %s::uuid
 order by c.created_at limit 100
"""
ANSWER: Final[LiteralString] = "select answer from domainflow.command where id = %s"
# Only as long as nobody answered: who gives up must not race with the commit that answers.
WITHDRAW: Final[LiteralString] = """
update domainflow.command set answered_at = clock_timestamp(), answer = %s
 where id = %s and answered_at is null returning 1
"""
PRUNE: Final[LiteralString] = (
    "delete from domainflow.command where created_at < clock_timestamp() - interval '24 hours'"
)
PRUNE_KEYS: Final[LiteralString] = (
    "delete from domainflow.idempotency where created_at < clock_timestamp() - interval '24 hours'"
)


class Boxed(Struct, frozen=True):
    """One command that waits for its owner."""

    id: str
    stream: str
    tenant: str
    body: bytes
    context: bytes
    expired: bool


def put(connection: Connection[TupleRow], command: Boxed, *, deadline_s: float) -> None:
    """Put a command into the box; it expires after `deadline_s` by the database clock."""
    connection.execute(PUT, (command.id, command.stream, command.tenant, command.body, command.context, deadline_s))


def pending(connection: Connection[TupleRow], runtime: str) -> list[Boxed]:
    """Return up to 100 unanswered commands for streams that `runtime` owns, oldest first."""
    return [Boxed(*row) for row in connection.execute(PENDING, (runtime,)).fetchall()]


def answer(connection: Connection[TupleRow], command: str) -> bytes | None:
    """Return the answer of a command; None: not yet."""
    row = connection.execute(ANSWER, (command,)).fetchone()
    return row[0] if row else None


def withdraw(connection: Connection[TupleRow], command: str, answer_: bytes) -> bool:
    """Answer a command without doing it; False: it was answered before."""
    return connection.execute(WITHDRAW, (answer_, command)).fetchone() is not None


def prune(connection: Connection[TupleRow]) -> None:
    """Delete commands and idempotency records older than 24 hours."""
    connection.execute(PRUNE)
    connection.execute(PRUNE_KEYS)
