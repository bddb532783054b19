"""A tenant's monitor stream judged: alerts are numbered as they come, open once a cause, and end once."""

from collections.abc import Iterator

from domainflow.actors.monitor.alerts import RULES
from domainflow.actors.monitor.core import Alerts
from domainflow.actors.monitor.messages import AlertRaised, AlertResolved, AlertSeen, MonitorEvent
from domainflow.store.faults import Fault
from domainflow.store.verify_rows import Instant, StreamRow
from domainflow.verify.folding import OutOfPlaceError, fold


def check_alerts(instant: Instant, row: StreamRow) -> Iterator[Fault]:
    """Yield what is wrong with it."""
    yield from fold(instant, row, RULES, _judge)


def _judge(state: Alerts, event: MonitorEvent) -> Iterator[Fault]:
    match event:
        case AlertRaised(number=number) if number != state.raised + 1:
            raise OutOfPlaceError(f"it has number {number} after {state.raised}")
        case AlertRaised(kind=kind, subject=subject) if any(each.cause == (kind, subject) for each in state.open):
            raise OutOfPlaceError(f"{kind} of {subject} is open already")
        case AlertSeen(number=number) | AlertResolved(number=number) if all(n.number != number for n in state.open):
            raise OutOfPlaceError(f"alert {number} is not open")
        case _:
            yield from ()
