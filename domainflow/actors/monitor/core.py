"""The rules of alerts: raised once a subject, seen ever more seldom, resolved when the cause is gone or by a person."""

from collections.abc import Iterator
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from domainflow.actors.monitor.messages import (
    BY_SUBJECT,
    SEVERITIES,
    AlertKind,
    AlertRaised,
    AlertResolved,
    AlertSeen,
    Cause,
    Evidence,
    MonitorCommand,
    MonitorEvent,
    Observe,
    RecordVerified,
    ResolveAlert,
    Severity,
    StreamsVerified,
)
from domainflow.errors import NotFound

FOLD_VERSION: Final = 2  # since 2 there are more kinds of alerts
MONITOR: Final = "monitor"  # who resolves by itself
GONE: Final = "its cause is gone"
MOST_OPEN: Final = 500  # a tenant; what is found beyond is raised once some are resolved, for it is found again
MOST_RESOLVED: Final = 50  # that are remembered; the others are in the events
SEEN_FIRST_US: Final = 60_000_000
SEEN_LAST_US: Final = 3_600_000_000


class Resolution(Struct, frozen=True):
    """How an alert ended."""

    by: str
    how: str
    at_us: int


class Alert(Struct, frozen=True, kw_only=True):
    """One alert of one tenant."""

    number: int
    kind: AlertKind
    subject: str
    severity: Severity
    runbook: str
    evidence: Evidence  # when it was raised
    raised_us: int
    seen_us: int
    seen: int = 1  # times that this was recorded: when raised, after a minute, and each time after twice as long
    resolved: Resolution | None = None

    @property
    def cause(self) -> Cause:
        """What tells it from other open ones."""
        return self.kind, self.subject


class Alerts(Struct, frozen=True, kw_only=True):
    """What is open, what has been lately, and how far the streams were verified."""

    raised: int = 0
    open: tuple[Alert, ...] = ()  # by number
    resolved: tuple[Alert, ...] = ()  # the last ones, in the order in which they were
    verified: str = ""


def decide(state: Alerts, command: MonitorCommand) -> tuple[MonitorEvent, ...]:
    """Return what is to be recorded. Raises NotFound: no open alert has this number."""
    match command:
        case Observe():
            return (*_seen(state, command), *_resolved(state, command), *_raised(state, command))
        case ResolveAlert(number=number, by=by, how=how, now_us=now_us):
            if all(alert.number != number for alert in state.open):
                raise NotFound(f"there is no open alert {number}")
            return (AlertResolved(number, by, how, now_us),)
        case RecordVerified(after=after):
            return () if after == state.verified else (StreamsVerified(after),)
        case _ as unreachable:
            assert_never(unreachable)


def evolve(state: Alerts, event: MonitorEvent) -> Alerts:
    """Return the state after an event."""
    match event:
        case AlertRaised():
            return replace(state, raised=event.number, open=(*state.open, _alert(event)))
        case AlertSeen(number=number, at_us=at_us):
            seen = (_again(each, at_us) if each.number == number else each for each in state.open)
            return replace(state, open=tuple(seen))
        case AlertResolved(number=number, by=by, how=how, at_us=at_us):
            ended = [replace(each, resolved=Resolution(by, how, at_us)) for each in state.open if each.number == number]
            still = tuple(each for each in state.open if each.number != number)
            return replace(state, open=still, resolved=(*state.resolved, *ended)[-MOST_RESOLVED:])
        case StreamsVerified(after=after):
            return replace(state, verified=after)
        case _ as unreachable:
            assert_never(unreachable)


def _seen(state: Alerts, command: Observe) -> Iterator[AlertSeen]:
    found = {finding.cause for finding in command.findings}
    for alert in state.open:
        due_us = min(max(alert.seen_us - alert.raised_us, SEEN_FIRST_US), SEEN_LAST_US)
        if alert.cause in found and command.now_us >= alert.seen_us + due_us:
            yield AlertSeen(alert.number, command.now_us)


def _resolved(state: Alerts, command: Observe) -> Iterator[AlertResolved]:
    there = {finding.cause for finding in command.findings} | set(command.undecided)
    for alert in state.open:
        if alert.cause not in there and _was_looked_for(alert, command):
            yield AlertResolved(alert.number, MONITOR, GONE, command.now_us)


def _was_looked_for(alert: Alert, command: Observe) -> bool:
    if alert.kind in BY_SUBJECT:
        return alert.subject in command.checked
    return alert.kind in command.covered


def _raised(state: Alerts, command: Observe) -> Iterator[AlertRaised]:
    known, number = {alert.cause for alert in state.open}, state.raised
    for finding in command.findings:
        if finding.cause in known or len(known) >= MOST_OPEN:
            continue
        known.add(finding.cause)
        number += 1
        yield AlertRaised(
            number=number,
            kind=finding.kind,
            subject=finding.subject,
            severity=SEVERITIES[finding.kind],
            runbook=finding.kind.value,
            evidence=finding.evidence,
            at_us=command.now_us,
        )


def _alert(event: AlertRaised) -> Alert:
    return Alert(
        number=event.number,
        kind=event.kind,
        subject=event.subject,
        severity=event.severity,
        runbook=event.runbook,
        evidence=event.evidence,
        raised_us=event.at_us,
        seen_us=event.at_us,
    )


def _again(alert: Alert, at_us: int) -> Alert:
    return replace(alert, seen=alert.seen + 1, seen_us=at_us)
