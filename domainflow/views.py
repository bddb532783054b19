"""What campaigns and alerts look like from outside: folded from their streams, never asked of an actor.

Values and pure functions.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct

from domainflow.actors.campaign.actor import RULES, campaign_of
from domainflow.actors.campaign.events import BatchesAccounted
from domainflow.actors.campaign.history import CampaignEvent
from domainflow.actors.campaign.state import Campaign, PhaseState
from domainflow.actors.monitor.core import Alert
from domainflow.actors.monitor.messages import AlertKind, Severity
from domainflow.store.campaigns import Summary
from domainflow.store.feed import Placed
from domainflow.store.port import Recorded
from domainflow.vocabulary import PHASES, BusinessStatus, CampaignStatus, Mode, Phase, PhaseStatus

ACCOUNTED: Final = "campaign.batches_accounted"
RECENT: Final = 64  # events that a rate is measured over


class PhaseView(Struct, frozen=True, kw_only=True):
    """One phase."""

    phase: Phase
    status: PhaseStatus
    run: int  # 0: never
    done: int  # names accounted
    total: int  # names
    batches: int
    accounted: int  # batches
    counts: dict[str, int]  # outcome -> names
    rate_per_s: float | None  # names, over the last events; None: not known
    eta_s: float | None


class View(Struct, frozen=True, kw_only=True):
    """One campaign, as of one version of its stream."""

    id: str
    tenant: str
    principal: str
    name: str
    status: CampaignStatus
    business_status: BusinessStatus | None
    mode: Mode
    version: int
    base: int  # offset of its first name in the source
    count: int
    holders: tuple[str, ...]  # of a pause
    reason: str  # of a failure or cancellation
    created_at: datetime
    held_by: str | None  # who executes it: host and pid
    phases: tuple[PhaseView, ...]


class Change(Struct, frozen=True, kw_only=True):
    """One thing that happened to a campaign."""

    version: int
    type: str
    recorded_at: datetime
    event: CampaignEvent


class FeedChange(Change, frozen=True, kw_only=True):
    """One thing that happened to some campaign, with where a subscription goes on behind it."""

    campaign: str  # uuid
    bookmark: str


class AlertResolution(Struct, frozen=True, kw_only=True):
    """How an alert ended."""

    by: str  # "monitor": its cause was not found any more
    how: str
    at: datetime


class AlertView(Struct, frozen=True, kw_only=True):
    """Something that needs a person, or did."""

    number: int
    kind: AlertKind
    severity: Severity
    subject: str  # the stream that it is about
    runbook: str  # id of what to do, in docs/operations.md
    evidence: dict[str, str]  # when it was raised
    raised_at: datetime
    seen_at: datetime
    seen: int  # times that its cause was recorded: after a minute, and then each time after twice as long
    resolved: AlertResolution | None


def alert_view(alert: Alert) -> AlertView:
    """Return one alert for people."""
    ended = alert.resolved
    return AlertView(
        number=alert.number,
        kind=alert.kind,
        severity=alert.severity,
        subject=alert.subject,
        runbook=alert.runbook,
        evidence=dict(alert.evidence),
        raised_at=_time(alert.raised_us),
        seen_at=_time(alert.seen_us),
        seen=alert.seen,
        resolved=AlertResolution(by=ended.by, how=ended.how, at=_time(ended.at_us)) if ended else None,
    )


class Point(NamedTuple):
    """How many names were accounted by one event, and when."""

    version: int
    recorded_at_us: int
    phase: Phase
    names: int


def points(events: Sequence[Recorded]) -> tuple[Point, ...]:
    """Return what a rate is measured by, of events in order."""
    return tuple(
        Point(recorded.version, recorded.recorded_at_us, event.phase, sum(number for _, number in event.counts))
        for recorded in events
        if recorded.type == ACCOUNTED and isinstance(event := RULES.decode_event(recorded), BatchesAccounted)
    )


def view(summary: Summary, state: Campaign, recent: Sequence[Point], *, version: int, held_by: str | None) -> View:
    """Return the view of a state; `recent` are the points of its last events."""
    rates = {phase: _rate([point for point in recent if point.phase is phase]) for phase in PHASES}
    return View(
        id=summary.id,
        tenant=summary.tenant,
        principal=summary.principal,
        name=summary.name,
        status=state.status,
        business_status=state.business_status,
        mode=state.spec.mode,
        version=version,
        base=state.spec.base,
        count=state.spec.count,
        holders=state.holders,
        reason=state.reason,
        created_at=summary.created_at,
        held_by=held_by,
        phases=tuple(_phase(phase, state.phase(phase), rates[phase]) for phase in PHASES),
    )


def change(recorded: Recorded) -> Change:
    """Return one recorded event for people."""
    return Change(
        version=recorded.version,
        type=recorded.type,
        recorded_at=_time(recorded.recorded_at_us),
        event=RULES.decode_event(recorded),
    )


def feed_change(placed: Placed) -> FeedChange:
    """Return one event of the feed for people."""
    recorded = placed.recorded
    return FeedChange(
        version=recorded.version,
        type=recorded.type,
        recorded_at=_time(recorded.recorded_at_us),
        event=RULES.decode_event(recorded),
        campaign=campaign_of(recorded.stream),
        bookmark=str(placed.position),
    )


def _time(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


def _phase(phase: Phase, state: PhaseState, rate_per_s: float | None) -> PhaseView:
    running = state.status is PhaseStatus.IN_PROGRESS
    left = state.total - state.names
    return PhaseView(
        phase=phase,
        status=state.status,
        run=state.run,
        done=state.names,
        total=state.total,
        batches=state.batches,
        accounted=state.accounted,
        counts=dict(state.counts),
        rate_per_s=rate_per_s,
        eta_s=left / rate_per_s if running and rate_per_s else None,
    )


def _rate(points: Sequence[Point]) -> float | None:
    """Names a second between the first and the last accounting of a phase."""
    elapsed_us = points[-1].recorded_at_us - points[0].recorded_at_us if points else 0
    return sum(point.names for point in points[1:]) / (elapsed_us / 1e6) if elapsed_us > 0 else None
