"""One round over all streams after the other, a slice at a time and never faster than its budget; then from the first.

No actor: the monitor goes on with it at each look.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from domainflow.actors.monitor.alerts import SYSTEM
from domainflow.actors.monitor.core import Alerts
from domainflow.actors.monitor.judging import of_faults
from domainflow.actors.monitor.messages import AlertKind, Finding, RecordVerified
from domainflow.clock import Clock
from domainflow.errors import Corrupt
from domainflow.settings import Settings
from domainflow.store import monitor_sql
from domainflow.store.faults import Fault, Slice
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

MOST_SHARE: Final = 0.05  # of the time, whatever the budget: streams with many results cost more than their events
MOST_CHECKED: Final = 20  # streams with an open alert that are looked at again with a slice
RECORDED_EACH_S: Final = 60.0  # about so much is verified again after a crash
POSTGRES: Final = "postgres"  # what a fault is about that lets nothing be read


class Verifying(NamedTuple):
    """The verifier, which stands on a higher floor."""

    next: Callable[[str, int], Slice]  # behind a stream, about so many events
    check: Callable[[Sequence[str]], tuple[Fault, ...]]  # of these streams


class Verified(NamedTuple):
    """What a slice came to; nothing where none was due."""

    findings: dict[str, tuple[Finding, ...]]  # by tenant
    checked: tuple[str, ...]  # streams with an open alert: of them all faults are among the findings
    to_record: RecordVerified | None


class Round:
    """Where it is, and when it may go on."""

    def __init__(self, store: Postgres, verifying: Verifying, settings: Settings) -> None:
        """Nothing is verified yet."""
        self._store = store
        self._verifying = verifying
        self._rate = settings.verify_events_per_s
        self._slice_events = max(1, int(self._rate * settings.monitor_s))
        self._after = ""
        self._recorded = ""
        self._next_record_s = 0.0
        self._next_s = 0.0
        self._checked_last = ""

    def begin(self, now_s: float, after: str) -> None:
        """Go on behind a stream."""
        self._after = self._recorded = after
        self._next_record_s = now_s + RECORDED_EACH_S

    def go_on(self, clock: Clock, alerted: Mapping[str, Alerts]) -> Verified:
        """Verify the next slice, if it is time, and some of the streams with an open alert again."""
        now_s = clock.monotonic_s()
        if not self._rate or now_s < self._next_s:
            return Verified({}, (), None)
        again = self._again(alerted)
        try:
            slice_ = self._verifying.next(self._after, self._slice_events)
            faults = dict.fromkeys((*slice_.faults, *(self._verifying.check(again) if again else ())))
        except Corrupt as error:  # Postgres cannot read it
            self._rest(now_s, clock.monotonic_s() - now_s, 0)
            unreadable = Finding(AlertKind.STORE_CONTRADICTS, POSTGRES, (("after", self._after), ("why", str(error))))
            return Verified({SYSTEM: (unreadable,)}, (), None)
        self._rest(now_s, clock.monotonic_s() - now_s, slice_.events)
        self._after = slice_.after
        return Verified(self._by_tenant(of_faults(faults)), (*again, POSTGRES), self._to_record(now_s))

    def _rest(self, now_s: float, took_s: float, events: int) -> None:
        self._next_s = now_s + max(events / self._rate, took_s / MOST_SHARE)

    def _again(self, alerted: Mapping[str, Alerts]) -> tuple[str, ...]:
        """The next few streams with an open alert, by turns."""
        subjects = sorted(
            alert.subject
            for alerts in alerted.values()
            for alert in alerts.open
            if alert.kind is AlertKind.STORE_CONTRADICTS and alert.subject != POSTGRES
        )
        chosen = ([each for each in subjects if each > self._checked_last] or subjects)[:MOST_CHECKED]
        self._checked_last = chosen[-1] if chosen else ""
        return tuple(chosen)

    def _by_tenant(self, findings: Sequence[Finding]) -> dict[str, tuple[Finding, ...]]:
        if not findings:
            return {}
        found = defaultdict[str, tuple[Finding, ...]](tuple)
        with self._store.upkeep(Kind.SWEEP) as connection:
            for each in findings:
                found[monitor_sql.tenant_of(connection, each.subject) or SYSTEM] += (each,)
        return found

    def _to_record(self, now_s: float) -> RecordVerified | None:
        """What is to be remembered of where it is: of a round that takes less than a minute, nothing."""
        if self._after and now_s < self._next_record_s:
            return None
        self._next_record_s = now_s + RECORDED_EACH_S
        if self._after == self._recorded:
            return None
        self._recorded = self._after
        return RecordVerified(self._after)
