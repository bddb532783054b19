"""Whether clients were told the truth and the tables agree with each other: SQL and the clients' own ledgers, no more.

Imports nothing of the system under test. `witness` plants a trigger that writes down each completion of a work item.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, LiteralString, NamedTuple

from chaos.ledger import Entry
from psycopg import Connection
from psycopg.rows import TupleRow

MARK: Final = re.compile(rb"mark-[a-z]+-\d+-\d+-\d+z")  # closed by a letter: a digit may follow in the bytes of a body
# Which events a command is seen by. Others of its commit say nothing of who asked.
SEEN_AS: Final[dict[str, str]] = {
    "campaign.created": "create",
    "campaign.phase_configured": "configure",
    "campaign.pause_requested": "pause",
    "campaign.holder_added": "pause",
    "campaign.holder_lifted": "resume",
}

WITNESS: Final[LiteralString] = """
create schema chaos;
create table chaos.completion (item bigint not null, fence bigint not null, at timestamptz default clock_timestamp());
create function chaos.complete() returns trigger language plpgsql security definer as $$
begin
  insert into chaos.completion (item, fence) values (new.id, new.fence);
  return null;
end $$;
create trigger chaos_completion after update on domainflow.work_item
  for each row when (new.state = 2 and old.state <> 2) execute function chaos.complete();
"""
EVENTS: Final[LiteralString] = "select stream, version, type, body from domainflow.event where type = any(%s)"
VERSIONS: Final[LiteralString] = "select stream, version from domainflow.event where stream = any(%s)"
DONE_UNDER_KEY: Final[LiteralString] = "select key from domainflow.idempotency where key = any(%s)"
BROKEN_STREAMS: Final[LiteralString] = """
select coalesce(h.stream, e.stream), h.version, e.first, e.last, e.number
  from domainflow.head h
  full join (select stream, min(version) as first, max(version) as last, count(*) as number
               from domainflow.event group by stream) e on e.stream = h.stream
 where h.version is distinct from e.last or e.first <> 1 or e.number <> e.last
"""
INVERTED: Final[LiteralString] = """
select stream, version, before from (
  select stream, version, lag(version) over (partition by stream order by era, xid, seq) as before
    from domainflow.event) e
 where version <= before
"""
COMPLETED_TWICE: Final[LiteralString] = """
select item, array_agg(fence order by at) from chaos.completion group by item having count(*) > 1
"""
RESULTS_TWICE: Final[LiteralString] = """
select campaign::text, phase, run, batch, count(*) from domainflow.batch
 group by campaign, phase, run, batch having count(*) > 1
"""
# Who is alive is known to whoever kills; the tables only say who they believe does what.
STRANDED: Final[LiteralString] = """
select 'item ' || id from domainflow.work_item where state = 1 and runtime <> all(%(alive)s::uuid[])
union all
select stream from domainflow.head
 where status in ('queued', 'running', 'pausing') and (owner is null or owner <> all(%(alive)s::uuid[]))
"""
IDLE: Final[LiteralString] = """
select pid, application_name, state from pg_stat_activity
 where datname = current_database() and application_name like 'domainflow%%' and state like 'idle in transaction%%'
   and state_change < clock_timestamp() - make_interval(secs => %(late_s)s)
"""
UNFINISHED: Final[LiteralString] = """
select stream || ' is ' || status from domainflow.head
 where status in ('queued', 'running', 'pausing', 'paused', 'failed')
union all
select 'item ' || id || ' is in state ' || state from domainflow.work_item
"""
BACKENDS: Final[LiteralString] = """
select pid, application_name from pg_stat_activity
 where datname = current_database() and application_name like 'domainflow%'
"""


class Violation(NamedTuple):
    """One thing that must not be."""

    kind: str
    what: str


class Applied(NamedTuple):
    """An event that shows whose command it is."""

    stream: str
    version: int


Found = list[Violation]
Marks = dict[tuple[str, str], list[Applied]]  # (verb, mark) -> the events that show it


def witness(connection: Connection[TupleRow]) -> None:
    """Have each completion of a work item written down, from now on."""
    connection.execute(WITNESS)


# --- what clients were told


def applied(connection: Connection[TupleRow]) -> Marks:
    """Return every event that shows a mark."""
    marks: Marks = defaultdict(list)
    for stream, version, type_, body in connection.execute(EVENTS, (list(SEEN_AS),)):
        if shown := MARK.search(body):
            marks[SEEN_AS[type_], shown.group().decode()].append(Applied(stream, version))
    return marks


def promises(before: Mapping[str, Entry], marks: Marks, after: Mapping[str, Entry]) -> Found:
    """Check acknowledged <= applied <= acknowledged + in doubt, and that none is applied twice.

    The ledgers are read before the events and again after them: what is asked and answered meanwhile proves nothing.
    """
    found: Found = []
    for entry in before.values():
        found += _broken(entry, marks.get((entry.command.verb, entry.command.shows), []))
    sent = {(entry.command.verb, entry.command.shows) for entry in after.values()}
    for who, events in marks.items():
        if who not in sent:
            found.append(Violation("applied and never sent", f"{who}: {events}"))
        if len(events) > 1:
            found.append(Violation("applied twice", f"{who}: {events}"))
    return found


def _broken(entry: Entry, events: list[Applied]) -> Found:
    """What of a client's knowledge is not true."""
    if not entry.command.shows or entry.fate not in {"acknowledged", "refused"}:
        return []
    if entry.fate == "refused":
        return [Violation("refused and applied", f"{entry.command}: {events}")] if events else []
    if any(event.stream == entry.stream and event.version <= entry.version for event in events):
        return []
    return [Violation("acknowledged and not applied", f"{entry.command}: {entry.stream} {entry.version}")]


def undone(connection: Connection[TupleRow], ledger: Mapping[str, Entry]) -> Found:
    """Of what was said not to be done there is no key. There may be an event: the same was asked for again."""
    said = [mark for mark, entry in ledger.items() if entry.fate == "undone"]
    rows = connection.execute(DONE_UNDER_KEY, (said,))
    return [Violation("undone and applied", str(ledger[mark].command)) for (mark,) in rows]


def resolved(ledger: Mapping[str, Entry]) -> Found:
    """Nothing is in doubt any more. With `promises`, applied is exactly what was acknowledged then."""
    return [Violation("still in doubt", str(entry.command)) for entry in ledger.values() if entry.fate == "in doubt"]


def acknowledged_versions(connection: Connection[TupleRow], ledger: Mapping[str, Entry]) -> Found:
    """Every acknowledgement names a version that is there; also of commands whose events show no mark."""
    told = [entry for entry in ledger.values() if entry.fate == "acknowledged"]
    rows = connection.execute(VERSIONS, (sorted({entry.stream for entry in told}),))
    there = {(stream, version) for stream, version in rows}
    return [
        Violation("acknowledged version missing", f"{entry.command}: {entry.stream} {entry.version}")
        for entry in told
        if (entry.stream, entry.version) not in there
    ]


# --- what the tables say


def streams(connection: Connection[TupleRow]) -> Found:
    """Versions are 1, 2, 3 … up to the head's, and the feed has them in this order."""
    broken = [Violation("versions not gapless", str(row)) for row in connection.execute(BROKEN_STREAMS)]
    return broken + [Violation("feed out of order", str(row)) for row in connection.execute(INVERTED)]


def work(connection: Connection[TupleRow]) -> Found:
    """No item is completed under two fences, no result is there twice."""
    found = [Violation("completed twice", str(row)) for row in connection.execute(COMPLETED_TWICE)]
    return found + [Violation("result twice", str(row)) for row in connection.execute(RESULTS_TWICE)]


def stranded(connection: Connection[TupleRow], alive: Sequence[str]) -> Found:
    """No work and no campaign that should be executing is with anybody but these runtimes."""
    return [Violation("stranded", row[0]) for row in connection.execute(STRANDED, {"alive": list(alive)})]


def idle(connection: Connection[TupleRow], *, late_s: float) -> Found:
    """No backend has been idle in a transaction for `late_s`."""
    return [Violation("idle in transaction", str(row)) for row in connection.execute(IDLE, {"late_s": late_s})]


def unfinished(connection: Connection[TupleRow]) -> Found:
    """Every campaign that was begun has ended, and its work with it."""
    return [Violation("unfinished", row[0]) for row in connection.execute(UNFINISHED)]


def backends(connection: Connection[TupleRow]) -> Found:
    """Nobody has a connection any more."""
    return [Violation("connection left", str(row)) for row in connection.execute(BACKENDS)]
