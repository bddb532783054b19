"""Streams judged: chains and heads by statements, meaning by folding. What lies across streams is not here."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from domainflow.errors import Corrupt, StoreRefused
from domainflow.store import verify_rows, verify_sql
from domainflow.store.faults import Fault, Kind, Slice
from domainflow.store.postgres import Postgres
from domainflow.store.verify_rows import Instant
from domainflow.store.verify_sql import Span
from domainflow.verify.alerts import check_alerts
from domainflow.verify.campaigns import check_campaign
from domainflow.verify.patterns import check_pattern

MOST: Final = 1_000  # faults of a slice
BREAKING: Final = frozenset(
    {Kind.VERSION_GAP, Kind.CHAIN_BROKEN, Kind.TENANT_DIFFERS, Kind.HEAD_DIFFERS, Kind.HEAD_WITHOUT_EVENTS}
)
# By the first word of the stream.
CHECKS: Final = {"campaign": check_campaign, "monitor": check_alerts, "pattern": check_pattern}


def check_streams(store: Postgres, streams: Sequence[str]) -> tuple[Fault, ...]:
    """Return every fault of these streams, all as of one instant; their ledgers, results and snapshots belong to them.

    For a look at a few, again and again: time and memory are those of the streams that are named. A stream that does
    not exist has no fault. Raises as `verify` does.
    """
    with verify_sql.instant(store.dsn) as instant:
        return tuple(fault for stream in streams for fault in check_span(instant, Span(stream, stream)))


def check_next(store: Postgres, after: str, events: int) -> Slice:
    """Return the faults of the streams behind one ("": from the first), all as of one instant, and which was the last.

    So many that they have about `events` events, and one at least; of their faults the first MOST. Raises as `verify`,
    but not over a stream that is looked at alone: that it cannot be read is a fault then.
    """
    with verify_sql.instant(store.dsn) as instant:
        span = verify_sql.span_after(instant, after, events=events)
        if span is None:
            return Slice("", 0, ())
        number = verify_sql.events_of(instant, span)
        if span.first != span.last:
            return Slice(span.last, number, tuple(islice(check_span(instant, span), MOST)))
    return Slice(span.last, number, check_stream(store, span.last))


def check_stream(store: Postgres, stream: str) -> tuple[Fault, ...]:
    """Return every fault of a stream; one is that Postgres cannot read it. Raises StoreUnavailable."""
    try:
        return check_streams(store, (stream,))
    except (Corrupt, StoreRefused) as error:
        return (Fault(Kind.EVENT_UNREADABLE, stream, str(error)),)


def check_span(instant: Instant, span: Span, judged: Callable[[], None] = lambda: None) -> Iterator[Fault]:
    """Yield every fault of the streams of a span; `judged` is called after each that has a head."""
    broken: set[str] = set()
    for fault in verify_sql.faults_of_span(instant, span):
        if fault.kind in BREAKING:
            broken.add(fault.where)
        yield fault
    for row in verify_rows.streams(instant, span):
        check = CHECKS.get(row.stream.partition("/")[0])
        if check is not None and row.stream not in broken:
            yield from check(instant, row)
        judged()
