import queue
import threading
from collections.abc import Iterator

import pytest
from kernel import SOON_S

from domainflow.actors.timers import ThreadTimers
from domainflow.clock import SystemClock


@pytest.fixture
def timers() -> Iterator[ThreadTimers]:
    made = ThreadTimers(SystemClock())
    yield made
    made.close()


def test_timers_fire_in_the_order_they_are_due_not_in_the_order_they_were_set(timers: ThreadTimers) -> None:
    fired: queue.SimpleQueue[str] = queue.SimpleQueue()
    timers.after(0.05, lambda: fired.put("later"))
    timers.after(0.0, lambda: fired.put("at once"))
    assert [fired.get(timeout=SOON_S) for _ in range(2)] == ["at once", "later"]


def test_a_timer_is_never_early(timers: ThreadTimers) -> None:
    clock = SystemClock()
    set_at_s = clock.monotonic_s()
    fired: queue.SimpleQueue[float] = queue.SimpleQueue()
    timers.after(0.02, lambda: fired.put(clock.monotonic_s()))
    assert fired.get(timeout=SOON_S) - set_at_s >= 0.02


def test_a_cancelled_timer_does_not_fire(timers: ThreadTimers) -> None:
    fired: queue.SimpleQueue[str] = queue.SimpleQueue()
    timers.after(0.01, lambda: fired.put("cancelled")).cancel()
    timers.after(0.02, lambda: fired.put("kept"))
    assert fired.get(timeout=SOON_S) == "kept"


def test_one_that_raises_takes_no_other_with_it(timers: ThreadTimers) -> None:
    fired = threading.Event()

    def fail() -> None:
        raise ValueError("a mistake")

    timers.after(0.0, fail)
    timers.after(0.0, fired.set)
    assert fired.wait(SOON_S)


def test_after_closing_nothing_fires() -> None:
    timers = ThreadTimers(SystemClock())
    fired = threading.Event()
    timers.after(0.01, fired.set)
    timers.close()
    timers.after(0.0, fired.set)
    assert not fired.wait(0.05)
