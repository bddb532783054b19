"""Something to be called later: one thread for all timers of a runtime.

Which actor a timer belongs to, and whether its firing still counts, is its cell's affair.
"""

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Protocol

import structlog

from domainflow.clock import Clock

_log = structlog.get_logger()


class Timer(Protocol):
    """One call to come."""

    def cancel(self) -> None:
        """Don't call. Does nothing when it has been called; a call that is under way is not stopped."""
        ...


class Timers(Protocol):
    """Where timers are set: a seam, so that a test can own time."""

    def after(self, delay_s: float, fire: Callable[[], None]) -> Timer:
        """Call `fire` once, not before `delay_s` seconds from now. It must be short: a put into a mailbox."""
        ...

    def close(self) -> None:
        """Call nothing more."""
        ...


class _Entry:
    __slots__ = ("fire",)

    def __init__(self, fire: Callable[[], None]) -> None:
        self.fire: Callable[[], None] | None = fire

    def cancel(self) -> None:
        self.fire = None


class ThreadTimers:
    """Timers on one daemon thread, which is started by the first one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Entry]] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def after(self, delay_s: float, fire: Callable[[], None]) -> Timer:
        entry = _Entry(fire)
        with self._changed:
            if self._closed:
                return entry
            heapq.heappush(self._due, (self._clock.monotonic_s() + delay_s, next(self._order), entry))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="actor-timers", daemon=True)
                self._thread.start()
            if self._due[0][2] is entry:
                self._changed.notify()
        return entry

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._due.clear()
            self._changed.notify()

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            fire = entry.fire
            if fire is None:
                continue
            try:
                fire()
            except Exception:  # noqa: BLE001  # see below
                # The timers of all others hang on this thread.
                _log.exception("timer_failed")

    def _next(self) -> _Entry | None:
        with self._changed:
            while not self._closed:
                wait_s = self._due[0][0] - self._clock.monotonic_s() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait_s)
        return None
