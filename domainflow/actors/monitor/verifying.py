"""One round over all streams after the other, a slice at a time and never faster than its budget; then from the first.

No actor: the monitor goes on with it at each look.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from domainflow.actors.monitor.core import Alerts
from domainflow.actors.monitor.judging import of_faults
from domainflow.actors.monitor.messages import SYSTEM, AlertKind, Finding, RecordVerified
from domainflow.clock import Clock
from domainflow.errors import Corrupt, DomainFlowError, StoreRefused
from domainflow.settings import Settings
from domainflow.store import monitor_sql
from domainflow.store.faults import Fault, Slice
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

MOST_SHARE: Final = 0.05  # of the time, whatever the budget: streams with many results cost more than their events
MOST_CHECKED: Final = 5  # streams with an open alert that are looked at again with a slice
RECORDED_EACH_S: Final = 60.0  # about so much is verified again after a crash
POSTGRES: Final = "postgres"  # what a fault is about that lets nothing be read


class Verifying(NamedTuple):
    """The verifier, which stands on a higher floor."""

    next: Callable[[str, int], Slice]  # behind a stream, about so many events
    check: Callable[[str], tuple[Fault, ...]]  # of a stream


class Verified(NamedTuple):
    """What a slice came to; nothing where none was due."""

    findings: dict[str, tuple[Finding, ...]]  # by tenant
    checked: tuple[str, ...]  # streams with an open alert: of them all faults are among the findings
    to_record: RecordVerified | None


NOTHING: Final = Verified({}, (), None)


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
        self._narrow = False  # whether each stream is looked at alone

    def begin(self, now_s: float, after: str) -> None:
        """Go on behind a stream."""
        self._after = self._recorded = after
        self._next_record_s = now_s + RECORDED_EACH_S

    def go_on(self, clock: Clock, alerted: Mapping[str, Alerts]) -> Verified:
        """Verify the next slice, if it is time, and some of the streams with an open alert again."""
        now_s = clock.monotonic_s()
        if not self._rate or now_s < self._next_s:
            return NOTHING
        try:
            verified = self._verify(now_s, self._again(alerted))
        except (Corrupt, StoreRefused) as error:
            verified = self._unreadable(error)
        self._next_s = max(self._next_s, now_s + (clock.monotonic_s() - now_s) / MOST_SHARE)
        return verified

    def _verify(self, now_s: float, again: tuple[str, ...]) -> Verified:
        slice_ = self._verifying.next(self._after, 1 if self._narrow else self._slice_events)
        faults = dict.fromkeys((*slice_.faults, *chain.from_iterable(map(self._verifying.check, again))))
        self._next_s, self._after = now_s + slice_.events / self._rate, slice_.after
        self._narrow = self._narrow and bool(slice_.after) and not faults
        return Verified(self._by_tenant(of_faults(faults)), (*again, POSTGRES), self._to_record(now_s))

    def _unreadable(self, error: DomainFlowError) -> Verified:
        """One of many streams cannot be read: look at each alone, until it is found. Where that is so, none can."""
        if not self._narrow:
            self._narrow = True
            return NOTHING
        finding = Finding(AlertKind.STORE_CONTRADICTS, POSTGRES, (("after", self._after), ("why", str(error))))
        return Verified({SYSTEM: (finding,)}, (), None)

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
