"""What of that which was watched is a cause for an alert. Pure; for how long a thing has stood is remembered for it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from domainflow.actors.monitor.messages import AlertKind, Cause, Evidence, Finding
from domainflow.store.faults import Fault
from domainflow.store.watched import MOST, Overdue, Still, Waiting, Watched

PHASE_COMPLETED: Final = "campaign.phase_completed"

Period: TypeAlias = tuple[int, int]  # item and fence: one time of lying there, or of being in hand
Since: TypeAlias = Mapping[Period, float]  # when it was first seen, s


class Judged(NamedTuple):
    """What one look came to."""

    findings: dict[str, tuple[Finding, ...]]  # by tenant
    covered: tuple[AlertKind, ...]  # of these nothing was left out
    undecided: tuple[Cause, ...]  # but for these: they have not been seen for long enough
    since: Since  # to be remembered


def judge(watched: Watched, since: Since, *, now_s: float, stall_s: float, held_s: float) -> Judged:
    """Return what is the matter. Work is judged by how long it was seen as it is, for its row does not say."""
    suspects = [each for each in watched.waiting if each.runtime is not None or each.passed_by]
    since = {_period(each): since.get(_period(each), now_s) for each in suspects}
    late, young = list[Waiting](), list[Waiting]()
    for each in suspects:
        limit_s = stall_s if each.runtime is None else held_s
        (late if now_s - since[_period(each)] >= limit_s else young).append(each)
    found = defaultdict[str, list[Finding]](list)
    for tenant, finding in (
        *map(_of_still, watched.still),
        *_of_work(late, watched.runtimes),
        *map(_of_overdue, watched.overdue),
        *((each.tenant, _finding(AlertKind.ACTOR_CANNOT_LIVE, each.stream, why=each.reason)) for each in watched.alone),
    ):
        found[tenant].append(finding)
    undecided = tuple({(_kind_of_work(each), each.stream): None for each in young})
    return Judged({tenant: tuple(each) for tenant, each in found.items()}, _covered(watched), undecided, since)


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


def _finding(kind: AlertKind, subject: str, **evidence: str | int) -> Finding:
    said: Evidence = tuple((name, str(value)) for name, value in evidence.items())
    return Finding(kind, subject, said)
