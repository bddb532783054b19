"""What of that which was watched is a cause for an alert. Pure; for how long a thing has stood is remembered for it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from domainflow.actors.monitor.messages import SYSTEM, AlertKind, Cause, Evidence, Finding, runtime_subject
from domainflow.store.faults import Fault
from domainflow.store.watched import MOST, Behind, Overdue, Silent, Still, Waiting, Watched, Writer

PHASE_COMPLETED: Final = "campaign.phase_completed"

# An item and its fence: one time of lying there, or of being in hand. A transaction: the time until it ends.
Period: TypeAlias = tuple[int, int] | int
Since: TypeAlias = Mapping[Period, float]  # when it was first seen, s


class Limits(NamedTuple):
    """For how long something may be as it is, s."""

    stall_s: float
    held_s: float
    lag_s: float


class Judged(NamedTuple):
    """What one look came to."""

    findings: dict[str, tuple[Finding, ...]]  # by tenant
    covered: tuple[AlertKind, ...]  # of these nothing was left out
    undecided: tuple[Cause, ...]  # but for these: they have not been seen for long enough
    since: Since  # to be remembered


def judge(watched: Watched, since: Since, *, now_s: float, limits: Limits) -> Judged:
    """Return what is the matter. Work is judged by how long it was seen as it is, for its row does not say.

    Transactions are too: how old they are may be hidden.
    """
    suspects = [each for each in watched.waiting if each.runtime is not None or each.passed_by]
    periods = (*map(_period, suspects), *(writer.xid for writer in watched.writers))
    since = {period: since.get(period, now_s) for period in periods}
    late, young = list[Waiting](), list[Waiting]()
    for each in suspects:
        limit_s = limits.stall_s if each.runtime is None else limits.held_s
        (late if now_s - since[_period(each)] >= limit_s else young).append(each)
    old = {each.xid: now_s - since[each.xid] for each in watched.writers if now_s - since[each.xid] >= limits.lag_s}
    found = defaultdict[str, list[Finding]](list)
    for tenant, finding in (
        *map(_of_still, watched.still),
        *_of_work(late, len(watched.alive)),
        *map(_of_overdue, watched.overdue),
        *((each.tenant, _finding(AlertKind.ACTOR_CANNOT_LIVE, each.stream, why=each.reason)) for each in watched.alone),
        *(_of_writer(each, old[each.xid]) for each in watched.writers if each.xid in old),
        *map(_of_behind, watched.behind),
        *map(_of_silent, watched.silent),
    ):
        found[tenant].append(finding)
    undecided: dict[Cause, None] = {(_kind_of_work(each), each.stream): None for each in young}
    undecided |= {(AlertKind.ACTOR_CANNOT_LIVE, stream): None for stream in watched.on_trial}
    undecided |= {_cause(each): None for each in watched.writers if each.xid not in old}
    return Judged({tenant: tuple(each) for tenant, each in found.items()}, _covered(watched), tuple(undecided), since)


def of_faults(faults: Iterable[Fault]) -> tuple[Finding, ...]:
    """Return one finding a stream, with its first fault and their number."""
    by_stream = defaultdict[str, list[Fault]](list)
    for fault in faults:
        by_stream[stream_of(fault)].append(fault)
    return tuple(
        _finding(AlertKind.STORE_CONTRADICTS, stream, faults=len(its), first=its[0].line)
        for stream, its in by_stream.items()
    )


def stream_of(fault: Fault) -> str:
    """Return the stream that a fault is about."""
    return fault.where.partition(" ")[0]


def _covered(watched: Watched) -> tuple[AlertKind, ...]:
    ready = sum(each.runtime is None for each in watched.waiting)
    rows = {
        AlertKind.CAMPAIGN_STILL: len(watched.still),
        AlertKind.PHASE_NOT_STARTED: len(watched.still),
        AlertKind.WORK_NOT_TAKEN: ready,
        AlertKind.WORK_HELD: len(watched.waiting) - ready,
        AlertKind.COMMAND_OVERDUE: len(watched.overdue),
        AlertKind.ACTOR_CANNOT_LIVE: len(watched.alone),
        AlertKind.FEED_HELD_BACK: len(watched.writers),
        AlertKind.PROJECTION_BEHIND: len(watched.behind),
        AlertKind.RUNTIME_SILENT: len(watched.silent),
    }
    return tuple(kind for kind, number in rows.items() if number < MOST)


def _of_still(still: Still) -> tuple[str, Finding]:
    kind = AlertKind.PHASE_NOT_STARTED if still.last == PHASE_COMPLETED else AlertKind.CAMPAIGN_STILL
    return still.tenant, _finding(
        kind,
        still.stream,
        status=still.status,
        version=still.version,
        last_event=still.last,
        still_s=round(still.still_s),
        batches_not_accounted=still.done,
    )


def _of_work(late: Iterable[Waiting], runtimes: int) -> Iterator[tuple[str, Finding]]:
    by_cause = defaultdict[tuple[AlertKind, str], list[Waiting]](list)
    for each in late:
        by_cause[_kind_of_work(each), each.stream].append(each)
    for (kind, stream), items in by_cause.items():
        first = items[0]
        of_whom = {"runtimes_alive": runtimes} if first.runtime is None else {"runtime": first.runtime}
        yield first.tenant, _finding(kind, stream, items=len(items), first_item=first.item, **of_whom)


def _kind_of_work(waiting: Waiting) -> AlertKind:
    return AlertKind.WORK_NOT_TAKEN if waiting.runtime is None else AlertKind.WORK_HELD


def _period(waiting: Waiting) -> Period:
    return waiting.item, waiting.fence


def _of_overdue(overdue: Overdue) -> tuple[str, Finding]:
    return overdue.tenant, _finding(
        AlertKind.COMMAND_OVERDUE,
        overdue.stream,
        commands=overdue.commands,
        late_s=round(overdue.late_s),
        owner=overdue.owner,
    )


def _cause(writer: Writer) -> Cause:
    return AlertKind.FEED_HELD_BACK, f"transaction/{writer.xid}"


def _of_writer(writer: Writer, seen_s: float) -> tuple[str, Finding]:
    return SYSTEM, _finding(
        *_cause(writer),
        pid=writer.pid,
        database=writer.database,
        user=writer.user,
        application=writer.application,
        state=writer.state,
        seen_for_s=round(seen_s),
    )


def _of_behind(behind: Behind) -> tuple[str, Finding]:
    return behind.tenant, _finding(
        AlertKind.PROJECTION_BEHIND,
        f"projection/{behind.name}",
        version=behind.version,
        generation=behind.generation,
        behind_s=round(behind.behind_s),
    )


def _of_silent(silent: Silent) -> tuple[str, Finding]:
    return SYSTEM, _finding(
        AlertKind.RUNTIME_SILENT,
        runtime_subject(silent.runtime),
        host=silent.host,
        pid=silent.pid,
        late_s=round(silent.late_s),
    )


def _finding(kind: AlertKind, subject: str, **evidence: str | int) -> Finding:
    said: Evidence = tuple((name, str(value)) for name, value in evidence.items())
    return Finding(kind, subject, said)
