"""One thing at a time: every turn, message, timer and thread of a story, in the order that a strategy picks.

The code that runs is the real one. Each turn and each thread of the host is a greenlet; wherever on real threads
somebody else could come between (before a message arrives, a turn begins, a timer goes off, a wait is over) it stops
and the strategy says who goes on. Time is virtual: it passes when the strategy lets it.
"""

import heapq
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from greenlet import GreenletExit, getcurrent, greenlet

from domainflow.actors.dispatcher import Runnable
from domainflow.actors.envelope import here
from domainflow.testing import points
from domainflow.testing.strategies import Strategy

MOST_STEPS: Final = 20_000
EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


class RestlessError(AssertionError):
    """The story does not come to its end."""


class Thread:
    """One line of execution, and where it stands."""

    __slots__ = ("greenlet", "name", "path", "turn")

    def __init__(self, name: str, run: Callable[[], object], hub: greenlet) -> None:
        self.name = name
        self.greenlet = greenlet(run, hub)
        self.path, self.turn = "", 0  # of the actor it is in


class Step(NamedTuple):
    """One point that was picked, with what came earlier and had to wait."""

    name: str
    passed_over: tuple[str, ...]


class _Waiter(NamedTuple):
    thread: Thread
    name: str
    is_over: Callable[[], bool]
    alarm: "_Alarm"
    until_s: float
    for_rest: bool


class _Alarm:
    __slots__ = ("fire", "name")

    def __init__(self, name: str, fire: Callable[[], None]) -> None:
        self.name = name
        self.fire: Callable[[], None] | None = fire

    def cancel(self) -> None:
        self.fire = None


class Scheduler:
    """Clock, timers and dispatcher of one story."""

    turn_messages: int = 1  # another actor may come between any two messages

    def __init__(self, strategy: Strategy, *, pressed: bool = False, most_steps: int = MOST_STEPS) -> None:
        """Make one in which nothing is ready.

        Args:
            strategy: picks.
            pressed: time may pass although something could happen.
            most_steps: more are taken for a story that never ends.
        """
        self.steps: list[Step] = []
        self.calm = False  # while it is, everything happens in its natural order
        self._strategy = strategy
        self._pressed = pressed
        self._most_steps = most_steps
        self._hub = getcurrent()
        self._now_s = 0.0
        self._ready: dict[str, Thread] = {}  # oldest first
        self._counts: Counter[str] = Counter()
        self._waiters: list[_Waiter] = []
        self._due: list[tuple[float, int, _Alarm]] = []
        self._order = itertools.count()
        self._current: Thread | None = None
        self._passings = 0
        self._over = False
        self.on_standstill: Callable[[], None] = _nothing  # called when only time can bring anything more

    # --- clock

    def monotonic_s(self) -> float:
        return self._now_s

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._now_s)

    # --- timers

    def after(self, delay_s: float, fire: Callable[[], None]) -> _Alarm:
        alarm = _Alarm(points.alarm(self.who, self.nth(f"{self.who}@")), fire)
        heapq.heappush(self._due, (self._now_s + delay_s, next(self._order), alarm))
        return alarm

    # --- dispatcher

    def schedule(self, runnable: Runnable) -> None:
        path = str(getattr(runnable, "path", type(runnable).__name__))
        self.begin(points.turn(path, self.nth(f"{path}!")), path, runnable.run)

    def replace(self, runnable: Runnable) -> None:
        """Nothing: a thread that is stuck holds no other one up here."""

    def close(self, timeout_s: float = 0.0) -> bool:  # noqa: ARG002 - nothing to wait for
        return True

    # --- for those who run

    @property
    def who(self) -> str:
        """The actor or thread that runs now."""
        if here.path:
            return here.path
        return points.NO_PERSON if self._current is None else self._current.name

    def nth(self, what: str) -> int:
        """How many of these there have been, this one included."""
        self._counts[what] += 1
        return self._counts[what]

    def begin(self, name: str, thread: str, run: Callable[[], object]) -> None:
        """Have a new line of execution ready, to begin at the point of this name."""
        if not self._over:
            self._ready[name] = Thread(thread, run, self._hub)

    def pause(self, name: str) -> None:
        """Let others come first, if the strategy wants it; for whoever runs within the story."""
        if self._current is None or self._over:
            return
        self._ready[name] = self._current
        self._hub.switch()

    def wait(self, event: threading.Event, timeout_s: float | None) -> bool:
        """As `event.wait`, while others run."""
        self._wait(event.is_set, float("inf") if timeout_s is None else timeout_s)
        return event.is_set()

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until it is so."""
        self._wait(is_so, float("inf"))

    def rest(self, within_s: float) -> None:
        """Wait until nothing can happen any more; not longer than so many virtual seconds, if timers never end."""
        self._wait(lambda: False, within_s, for_rest=True)

    def sleep(self, delay_s: float) -> None:
        """Wait for so many virtual seconds."""
        self._wait(lambda: False, delay_s)

    # --- for who tells the story

    def run(self, *, until: Callable[[], bool]) -> None:
        """Take step after step until it is so, or nothing can happen any more.

        Raises:
            RestlessError: too many steps.
            BaseException: what a thread of the host raised.
        """
        while not until() and (name := self._next()) is not None:
            if len(self.steps) >= self._most_steps:
                raise RestlessError(f"no end after {self._most_steps} steps; the last was {points.words(name)}")
            if not points.is_time(name):
                self._resume(self._ready.pop(name))

    @property
    def ready(self) -> tuple[str, ...]:
        """What could happen next, oldest first, but for time."""
        return tuple(self._ready)

    @property
    def at_rest(self) -> bool:
        """Whether nothing can happen any more, however much time passes."""
        self._drop_cancelled()
        return not self._ready and not self._due

    def waiting(self) -> list[str]:
        """Whoever waits."""
        return [waiter.thread.name for waiter in self._waiters]

    def end(self) -> None:
        """Run everything that is paused to its end, with nothing that it does being heard any more."""
        self._over = True
        threads = [*self._ready.values(), *(waiter.thread for waiter in self._waiters)]
        for thread in threads:
            while thread.greenlet:  # it has begun and not ended
                with suppress(BaseException):
                    self._resume(thread)
        self._ready.clear()
        self._waiters.clear()

    # --- steps

    def _next(self) -> str | None:
        self._wake()
        names = list(self._ready)
        self._drop_cancelled()
        if self._due and (self._pressed or not names):
            names.append(f"{points.TIME}#{self._passings + 1}")
        if not self._ready:
            self.on_standstill()
        if not names:
            return None
        index = 0 if self.calm else self._strategy.pick(names, self._now_s)
        self.steps.append(Step(names[index], tuple(names[:index])))
        if points.is_time(names[index]):
            self._pass_time()
        return names[index]

    def _resume(self, thread: Thread) -> None:
        self._current = thread
        here.path, here.turn, here.wait = thread.path, thread.turn, self.wait
        try:
            thread.greenlet.switch()
        finally:
            thread.path, thread.turn = here.path, here.turn
            here.path, self._current = "", None
            del here.wait

    def _pass_time(self) -> None:
        self._passings += 1
        self._now_s = max(self._now_s, self._due[0][0])
        while self._due and self._due[0][0] <= self._now_s:
            alarm = heapq.heappop(self._due)[2]
            if alarm.fire is not None and alarm.fire is not _nothing:
                self.begin(alarm.name, alarm.name.rpartition("@")[0], alarm.fire)

    def _drop_cancelled(self) -> None:
        while self._due and self._due[0][2].fire is None:
            heapq.heappop(self._due)

    def _wait(self, is_over: Callable[[], bool], timeout_s: float, *, for_rest: bool = False) -> None:
        thread = self._current
        if thread is None or self._over:
            raise GreenletExit
        name = points.awakening(thread.name, self.nth(f"{thread.name}<"))
        until_s, alarm = self._now_s + timeout_s, _Alarm(name, _nothing)
        self._waiters.append(_Waiter(thread, name, is_over, alarm, until_s, for_rest))
        if until_s < float("inf") and not for_rest:
            heapq.heappush(self._due, (until_s, next(self._order), alarm))
        self._hub.switch()

    def _wake(self) -> None:
        for waiter in tuple(self._waiters):
            if not waiter.for_rest and (waiter.is_over() or self._now_s >= waiter.until_s):
                self._go_on(waiter)
        for waiter in tuple(self._waiters):
            if waiter.for_rest and not self._ready and not self._sooner(waiter.until_s):
                self._go_on(waiter)

    def _go_on(self, waiter: _Waiter) -> None:
        waiter.alarm.cancel()
        self._waiters.remove(waiter)
        self._ready[waiter.name] = waiter.thread

    def _sooner(self, than_s: float) -> bool:
        return any(at_s < than_s and alarm.fire is not None for at_s, _, alarm in self._due)


def _nothing() -> None:
    """Only the moment matters."""
