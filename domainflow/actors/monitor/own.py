"""What a runtime knows to be the matter with itself: its lease, its connections, its disks. Nobody else can see it.

No actor: its monitor looks with it, leading or not.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from domainflow.actors.monitor.core import Alerts
from domainflow.actors.monitor.messages import OWN, AlertKind, Finding, runtime_subject
from domainflow.settings import Settings
from domainflow.store.pool import PoolState
from domainflow.store.presence import Presence

MIB: Final = 2**20


class Own:
    """Looks at one runtime."""

    def __init__(
        self,
        runtime: str,
        presence: Presence,
        pools: Callable[[], Iterable[PoolState]],
        folders: Sequence[Path],
        settings: Settings,
    ) -> None:
        """`folders`: where there must be room; those that are not there are passed over."""
        self.subject = runtime_subject(runtime)
        self._presence = presence
        self._pools = pools
        self._folders = folders
        self._settings = settings
        self._risen: dict[str, tuple[int, float]] = {}  # counts, and when each was seen to rise last
        self._waiting: dict[str, float] = {}  # pools with callers at each look, and since which one

    def look(self, now_s: float) -> tuple[Finding, ...]:
        """Return what is the matter: what is so now, and what happened within the last `lag_s`."""
        return tuple(chain(self._lease(now_s), self._connections(now_s), self._disk()))

    def _lease(self, now_s: float) -> Iterator[Finding]:
        presence = self._presence
        if self._rose("late", presence.late, now_s) or presence.is_late():
            yield self._finding(AlertKind.LEASE_LATE, renewed_late=presence.late, lapsed=presence.lapses)

    def _connections(self, now_s: float) -> Iterator[Finding]:
        states = tuple(self._pools())
        self._waiting = {each.purpose: self._waiting.get(each.purpose, now_s) for each in states if each.waiting}
        exhausted = [each for each in states if self._is_exhausted(each, now_s)]
        if exhausted:
            evidence = {f"{each.purpose}_waiting": each.waiting for each in exhausted}
            evidence |= {f"{each.purpose}_refused": each.refused for each in exhausted}
            yield self._finding(AlertKind.POOL_EXHAUSTED, **evidence)

    def _is_exhausted(self, state: PoolState, now_s: float) -> bool:
        refused = self._rose(f"{state.purpose}_refused", state.refused, now_s)
        return refused or now_s - self._waiting.get(state.purpose, now_s) >= self._settings.lag_s

    def _disk(self) -> Iterator[Finding]:
        free = [(shutil.disk_usage(folder).free // MIB, str(folder)) for folder in self._folders if folder.exists()]
        least_mib = self._settings.least_free_mib
        if free and min(free)[0] < least_mib:
            free_mib, folder = min(free)
            yield self._finding(AlertKind.DISK_LOW, folder=folder, free_mib=free_mib, least_free_mib=least_mib)

    def _rose(self, what: str, number: int, now_s: float) -> bool:
        """Whether a count has risen within the last while."""
        before, at_s = self._risen.get(what, (0, float("-inf")))
        at_s = now_s if number > before else at_s
        self._risen[what] = number, at_s
        return now_s - at_s < self._settings.lag_s

    def _finding(self, kind: AlertKind, **evidence: str | int) -> Finding:
        return Finding(kind, self.subject, tuple((name, str(value)) for name, value in evidence.items()))


def of_the_gone(state: Alerts, there: Iterable[str]) -> tuple[str, ...]:
    """Return the subjects of open alerts of runtimes about themselves which are there no more, and say nothing."""
    present = {runtime_subject(runtime) for runtime in there}
    return tuple(alert.subject for alert in state.open if alert.kind in OWN and alert.subject not in present)
