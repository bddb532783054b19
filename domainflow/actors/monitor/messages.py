"""Everything the monitor of one tenant hears and records: alerts, and how far it has verified. Tags are permanent."""

from enum import StrEnum
from typing import ClassVar, Final, TypeAlias

from msgspec import Struct


class AlertKind(StrEnum):
    """What is the matter; it is the id of its runbook too (docs/operations.md). The values are permanent."""

    CAMPAIGN_STILL = "campaign_still"  # executed, and nothing moves
    PHASE_NOT_STARTED = "phase_not_started"  # one is completed, and the next one does not begin
    WORK_NOT_TAKEN = "work_not_taken"  # ready for too long, while nobody works, or works on what came later
    WORK_HELD = "work_held"  # in hand for too long
    COMMAND_OVERDUE = "command_overdue"  # in the box, past its deadline, and its owner lives
    ACTOR_CANNOT_LIVE = "actor_cannot_live"  # left alone by the reconciler
    STORE_CONTRADICTS = "store_contradicts"  # what verify calls a fault
    FEED_HELD_BACK = "feed_held_back"  # by a transaction that may still write, in whatever database
    PROJECTION_BEHIND = "projection_behind"  # what happened long ago is not applied
    RUNTIME_SILENT = "runtime_silent"  # it is connected and its lease is over: stopped, or stuck
    LEASE_LATE = "lease_late"  # renewed at the last moment, or too late
    POOL_EXHAUSTED = "pool_exhausted"  # callers wait for a connection, or are refused
    DISK_LOW = "disk_low"


class Severity(StrEnum):
    """How soon somebody should look."""

    WARNING = "warning"  # today
    CRITICAL = "critical"  # now


SEVERITIES: Final = {
    AlertKind.CAMPAIGN_STILL: Severity.CRITICAL,
    AlertKind.PHASE_NOT_STARTED: Severity.CRITICAL,
    AlertKind.WORK_NOT_TAKEN: Severity.WARNING,
    AlertKind.WORK_HELD: Severity.WARNING,
    AlertKind.COMMAND_OVERDUE: Severity.WARNING,
    AlertKind.ACTOR_CANNOT_LIVE: Severity.CRITICAL,
    AlertKind.STORE_CONTRADICTS: Severity.CRITICAL,
    AlertKind.FEED_HELD_BACK: Severity.WARNING,
    AlertKind.PROJECTION_BEHIND: Severity.WARNING,
    AlertKind.RUNTIME_SILENT: Severity.WARNING,
    AlertKind.LEASE_LATE: Severity.WARNING,
    AlertKind.POOL_EXHAUSTED: Severity.WARNING,
    AlertKind.DISK_LOW: Severity.CRITICAL,
}
OWN: Final = frozenset({AlertKind.LEASE_LATE, AlertKind.POOL_EXHAUSTED, AlertKind.DISK_LOW})  # a runtime's, of itself
BY_SUBJECT: Final = OWN | {AlertKind.STORE_CONTRADICTS}  # no look covers all that there may be of them

SYSTEM: Final = "system"  # the tenant of what is nobody's

Evidence: TypeAlias = tuple[tuple[str, str], ...]  # name, value
Cause: TypeAlias = tuple[AlertKind, str]  # kind and subject: of each there is one open alert at most


def runtime_subject(runtime: str) -> str:
    """Return what an alert about a runtime is about."""
    return f"runtime/{runtime}"


class Finding(Struct, frozen=True):
    """One cause for an alert, as it was seen."""

    kind: AlertKind
    subject: str  # what it is about: a stream, a runtime, a transaction, a projection
    evidence: Evidence

    @property
    def cause(self) -> Cause:
        """What tells it from others."""
        return self.kind, self.subject


class _Message(Struct, frozen=True, forbid_unknown_fields=True):
    pass


# --- commands


class Observe(_Message, frozen=True, kw_only=True, tag="monitor.observe"):
    """Take note of what was found for this tenant: what is new is raised, what is gone is resolved."""

    findings: tuple[Finding, ...]
    covered: tuple[AlertKind, ...]  # of these, whatever is the matter is among the findings
    undecided: tuple[Cause, ...]  # but for these, which are not known yet
    checked: tuple[str, ...]  # of these subjects all faults are among the findings
    now_us: int  # database clock


class ResolveAlert(_Message, frozen=True, kw_only=True, tag="monitor.resolve"):
    """Call an alert done with. If its cause is still there, it is raised anew."""

    number: int
    by: str
    how: str
    now_us: int


class RecordVerified(_Message, frozen=True, tag="monitor.record_verified"):
    """Remember how far the streams were verified."""

    after: str


# --- events


class AlertRaised(_Message, frozen=True, kw_only=True, tag="monitor.alert_raised"):
    """Something needs a person."""

    VERSION: ClassVar[int] = 2  # since 2 there are more kinds

    number: int  # 1-based, a tenant
    kind: AlertKind
    subject: str
    severity: Severity
    runbook: str
    evidence: Evidence
    at_us: int


class AlertSeen(_Message, frozen=True, tag="monitor.alert_seen"):
    """Its cause was still there."""

    number: int
    at_us: int


class AlertResolved(_Message, frozen=True, tag="monitor.alert_resolved"):
    """It needs nobody any more: `by` is who says so, or the monitor itself, which does not find its cause again."""

    number: int
    by: str
    how: str
    at_us: int


class StreamsVerified(_Message, frozen=True, tag="monitor.streams_verified"):
    """Every stream up to this one was verified in the round that goes on; "": the round has come to its end."""

    after: str


MonitorCommand: TypeAlias = Observe | ResolveAlert | RecordVerified
MonitorEvent: TypeAlias = AlertRaised | AlertSeen | AlertResolved | StreamsVerified
