"""The monitor actor: of all runtimes one at a time looks, judges, and has alerts recorded. Pinned, for it waits.

It mends nothing. What an alert says is decided once more by the tenant's stream, so that two monitors at once, as when
a term ends, raise nothing twice.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import StartChild
from domainflow.actors.effects import Wake
from domainflow.actors.monitor.alerts import RULES, stream_of
from domainflow.actors.monitor.core import Alerts, decide
from domainflow.actors.monitor.judging import Judged, Limits, Since, judge
from domainflow.actors.monitor.messages import (
    SYSTEM,
    AlertRaised,
    AlertResolved,
    MonitorCommand,
    MonitorEvent,
    Observe,
)
from domainflow.actors.monitor.own import Own, of_the_gone
from domainflow.actors.monitor.verifying import Round, Verified, Verifying
from domainflow.actors.ref import Ref
from domainflow.actors.signals import Answer
from domainflow.errors import Corrupt, Unavailable
from domainflow.ids import new_id
from domainflow.security.context import Context, system
from domainflow.settings import Settings
from domainflow.store import leaders, monitor_sql
from domainflow.store.leaders import Term
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

MONITOR: Final = "monitor"
LEAST_TERM_S: Final = 10.0
LOOKS_A_TERM: Final = 3
START_S: Final = 30.0
RECORD_S: Final = 120.0  # as for a commit: Postgres may be away for a while

_log = structlog.get_logger()


class AlertActors(NamedTuple):
    """The actors of the tenants' monitor streams in this runtime."""

    supervisor: Callable[[], Ref[Any] | None]  # None: it is being restarted
    spec: Callable[[str], ChildSpec]  # of a tenant's


class Telling(NamedTuple):
    """Whose outcome is heard: of a command for a tenant's stream, on its way by way of its actor's start."""

    tenant: str
    command: MonitorCommand
    events: tuple[MonitorEvent, ...]  # that are expected of it
    started: bool


class Monitor(Behaviour[object]):
    """One look after the other: at its own runtime, and while it leads at everything else."""

    blocks: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913 - what it is wired to
        self,
        store: Postgres,
        verifying: Verifying,
        own: Own,
        actors: AlertActors,
        *,
        runtime: str,
        settings: Settings,
        now_us: Callable[[], int],
    ) -> None:
        """Wire it; `now_us` is the database's clock."""
        self._store = store
        self._own = own
        self._own_is_told = False  # something is the matter with this runtime, or was at the last look
        self._actors = actors
        self._runtime = runtime
        self._settings = settings
        self._now_us = now_us
        self._round = Round(store, verifying, settings)
        self._term: Term | None = None
        self._look_is_due = False
        self._since: Since = {}
        self._alerted: dict[str, Alerts] = {}  # tenants with open alerts, as of the last look
        self._under_way: set[str] = set()  # tenants with a command that has no outcome yet

    def on_start(self) -> None:
        self.cell.signal(Wake())

    def on_signal(self, signal: object) -> None:
        match signal:
            case Wake():
                self._look_is_due = True
            case Answer(token=Telling() as telling):
                self._hear(telling, signal)
            case _:
                pass

    def on_idle(self) -> None:
        """Look, if it is time; again after a while."""
        if not self._look_is_due:
            return
        self._look_is_due = False
        try:
            self._look_at_oneself()
            if self._leads():
                self._look()
        except Unavailable as error:
            _log.warning("monitor_waits_for_store", error=str(error)[:200])
        self.cell.start_timer("look", self._settings.monitor_s, Wake())

    # --- lead

    def _leads(self) -> bool:
        term_s = max(LEAST_TERM_S, LOOKS_A_TERM * self._settings.monitor_s)
        with self._store.upkeep(Kind.UPKEEP) as connection:
            term = leaders.hold(connection, MONITOR, self._runtime, term_s=term_s)
        if term is not None and term != self._term:
            self._begin()
        self._term = term
        return term is not None

    def _begin(self) -> None:
        """Begin a term: where the last one was is in the store."""
        with self._store.upkeep(Kind.SWEEP) as connection:
            tenants = monitor_sql.tenants(connection)
        self._since = {}
        self._alerted = {tenant: Alerts() for tenant in tenants}
        system_state = self._read(SYSTEM)
        self._round.begin(self.cell.clock.monotonic_s(), system_state.verified if system_state else "")

    # --- look

    def _look_at_oneself(self) -> None:
        found = self._own.look(self.cell.clock.monotonic_s())
        if not found and not self._own_is_told:
            return
        state = self._read(SYSTEM) or Alerts()
        self._own_is_told = bool(found) or any(alert.subject == self._own.subject for alert in state.open)
        observe = Observe(findings=found, covered=(), undecided=(), checked=(self._own.subject,), now_us=self._now_us())
        if events := decide(state, observe):
            self._tell(SYSTEM, observe, events)

    def _look(self) -> None:
        judged, there = self._watch(self.cell.clock.monotonic_s())
        verified = self._round.go_on(self.cell.clock, self._alerted)
        for tenant in sorted({SYSTEM, *judged.findings, *verified.findings, *self._alerted}):
            if (state := self._read(tenant)) is not None:
                gone = of_the_gone(state, there)
                self._compare(tenant, state, self._observe(tenant, judged, verified, gone))
        if verified.to_record is not None:
            self._tell(SYSTEM, verified.to_record, ())

    def _watch(self, now_s: float) -> tuple[Judged, tuple[str, ...]]:
        """Return what is the matter, and the runtimes that are there, if only as somebody who sleeps."""
        limits = Limits(self._settings.stall_s, self._settings.held_s, self._settings.lag_s)
        with self._store.upkeep(Kind.SWEEP, one_instant=True) as connection:
            watched = monitor_sql.observe(connection, **limits._asdict())
        judged = judge(watched, self._since, now_s=now_s, limits=limits)
        self._since = judged.since
        return judged, (*watched.alive, *(each.runtime for each in watched.silent))

    def _read(self, tenant: str) -> Alerts | None:
        """Return what stands in a tenant's stream; None: it cannot be read, and `verify` says why."""
        try:
            return RULES.fold(self._store.peek(stream_of(tenant), fold_version=RULES.fold_version))
        except (Corrupt, msgspec.MsgspecError, ValueError) as error:
            _log.error("alerts_unreadable", tenant=tenant, error=str(error)[:200])
            return None

    def _observe(self, tenant: str, judged: Judged, verified: Verified, gone: tuple[str, ...]) -> Observe:
        return Observe(
            findings=(*judged.findings.get(tenant, ()), *verified.findings.get(tenant, ())),
            covered=judged.covered,
            undecided=judged.undecided,
            checked=(*verified.checked, *gone),
            now_us=self._now_us(),
        )

    # --- have it recorded

    def _compare(self, tenant: str, state: Alerts, observe: Observe) -> None:
        events = decide(state, observe)
        if events or state.open:
            self._alerted[tenant] = state
        else:
            self._alerted.pop(tenant, None)
        if events:
            self._tell(tenant, observe, events)

    def _tell(self, tenant: str, command: MonitorCommand, events: tuple[MonitorEvent, ...]) -> None:
        supervisor = self._actors.supervisor()
        if supervisor is None or tenant in self._under_way:
            return  # the next look finds the same
        start = StartChild(self._actors.spec(tenant))
        self._request(supervisor, start, Telling(tenant, command, events, started=False), START_S)

    def _request(self, ref: Ref[Any], message: object, telling: Telling, timeout_s: float) -> None:
        context = Context(principal=system(telling.tenant), correlation_id=new_id())
        try:
            self.cell.request(ref, message, context, token=telling, timeout_s=timeout_s)
        except Unavailable as error:  # a full mailbox
            _log.warning("alerts_not_recorded", tenant=telling.tenant, error=str(error)[:200])
        else:
            self._under_way.add(telling.tenant)

    def _hear(self, telling: Telling, answer: Answer) -> None:
        self._under_way.discard(telling.tenant)
        if answer.error is not None:
            _log.warning("alerts_not_recorded", tenant=telling.tenant, error=str(answer.error)[:200])
        elif not telling.started:
            self._request(answer.value, telling.command, telling._replace(started=True), RECORD_S)  # type: ignore[arg-type]  # a start is answered with a ref
        else:
            _say(telling.tenant, telling.events)


def _say(tenant: str, events: Sequence[MonitorEvent]) -> None:
    for event in events:
        match event:
            case AlertRaised():
                _log.warning(
                    "alert_raised",
                    tenant=tenant,
                    number=event.number,
                    kind=str(event.kind),
                    subject=event.subject,
                    evidence=dict(event.evidence),
                )
            case AlertResolved():
                _log.info("alert_resolved", tenant=tenant, number=event.number, how=event.how)
            case _:
                pass
