"""The real kernel on the test's own thread: what is due runs at once, timers go off when the test says so.

A behaviour that is stuck lets the others run from inside its turn, and is in it all the while.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kernel import CONTEXT, HandTimers
from structlog.testing import capture_logs
from tree import Diary, alive

from domainflow.actors.dispatcher import Runnable
from domainflow.actors.environment import Environment
from domainflow.actors.system import System


class OneThread:
    """A dispatcher whose turns run one after the other, in the order they became due, on whichever thread asks."""

    turn_messages = 1

    def __init__(self) -> None:
        self.due: deque[Runnable] = deque()
        self.running = False

    def schedule(self, runnable: Runnable) -> None:
        self.due.append(runnable)
        if not self.running:
            self.run_on()

    def run_on(self) -> None:
        """Run turns until none is due; from inside a turn too."""
        before, self.running = self.running, True
        while self.due:
            self.due.popleft().run()
        self.running = before

    def step(self) -> None:
        """Run one turn, if one is due."""
        if self.due:
            self.due.popleft().run()

    def run_others(self) -> None:
        """Run turns as long as the one that has been due for longest is not the only one."""
        while len(self.due) > 1:
            self.due.pop().run()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Run nothing before the block has ended."""
        self.running = True
        yield
        self.running = False
        self.run_on()

    def replace(self, runnable: Runnable) -> None:
        """The thread is nobody's: whoever is stuck on it gave it to the others."""

    def close(self, timeout_s: float) -> bool:  # noqa: ARG002  # nothing runs
        return True


class Stage(Environment):
    """An environment on one thread, without a clock's part in it."""

    def __init__(self, note: Callable[[str], None]) -> None:
        """Take who is to hear `~path` of an actor that was given up."""
        self.thread, self.hand = OneThread(), HandTimers()
        super().__init__(timers=self.hand, pool=self.thread, supervisors=self.thread, chance=lambda: 0.0)
        self.note = note

    def abandoned(self, path: str, stack: str) -> None:
        super().abandoned(path, stack)
        self.note(f"~{path}")

    def act(self, path: str, what: Callable[..., object]) -> None:
        """Have an actor do this, and all do what follows from it."""
        self.tell(path, what)
        self.settle()

    def tell(self, path: str, what: Callable[..., object]) -> None:
        ref: Any = self.directory.find(path)
        ref.tell(what, CONTEXT)

    def settle(self) -> None:
        """Run on until nothing is due and no timer is set."""
        self.thread.run_on()
        while any(timer.fire is not None for timer in self.hand.set):
            self.hand.go_off()
            self.thread.run_on()


class Staged(System):
    """A system on one thread."""

    def __init__(self, diary: Diary) -> None:
        self.stage = Stage(diary.lines.put)
        super().__init__(self.stage)

    def start(self, *children: Any, **how: Any) -> None:  # noqa: ANN401  # as a system's
        """All that follows has happened before it looks: there is nothing to wait for."""
        super().start(*children, timeout_s=0, **how)


@pytest.fixture
def staged(diary: Diary) -> Iterator[Staged]:
    made = Staged(diary)
    with capture_logs():  # a traceback costs twenty times what its test does
        yield made
        made.stop(0)
    assert alive(made) == []
