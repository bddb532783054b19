"""What the tests of the actor kernel share: an actor whose messages are what it shall do, and a world to put it in."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from domainflow.actors.cell import Behaviour, Cell
from domainflow.actors.envelope import DEFERRED, Envelope
from domainflow.actors.environment import Environment, RunsOn
from domainflow.actors.restart import Exit
from domainflow.actors.signals import Stop
from domainflow.security.context import Context, Principal

CONTEXT = Context(principal=Principal(id="tester"), correlation_id="story")
SOON_S = 5.0  # for what must happen at once; only a failing test waits so long


class Puppet(Behaviour[Any]):
    """Does what its messages and signals say: they are functions of itself (and the envelope)."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.heard: queue.SimpleQueue[object] = queue.SimpleQueue()

    def receive(self, message: Callable[["Puppet", Envelope], object], envelope: Envelope) -> object:
        return message(self, envelope)

    def on_signal(self, signal: object) -> None:
        if callable(signal):
            signal(self)
        else:
            self.heard.put(signal)


def failing(error: BaseException) -> Callable[..., Any]:
    """A message or signal at which its receiver raises this."""

    def act(*_: object) -> None:
        raise error

    return act


def count(me: Puppet, _: Envelope) -> int:
    """A message: how many of them came."""
    me.done.append(1)
    return len(me.done)


class Gate:
    """A message that keeps its receiver inside until it is let out."""

    def __init__(self) -> None:
        self.inside, self.out = threading.Event(), threading.Event()

    def __call__(self, *_: object) -> None:
        self.inside.set()
        assert self.out.wait(SOON_S)


class Defers(Puppet):
    """A puppet that defers the message "defer"."""

    def receive(self, message: Any, envelope: Envelope) -> object:  # noqa: ANN401  # as a puppet
        return DEFERRED if message == "defer" else super().receive(message, envelope)


class HandTimer:
    def __init__(self, fire: Callable[[], None]) -> None:
        self.fire: Callable[[], None] | None = fire

    def cancel(self) -> None:
        self.fire = None


class HandTimers:
    """Timers that go off when the test says so."""

    def __init__(self) -> None:
        self.set: list[HandTimer] = []

    def after(self, delay_s: float, fire: Callable[[], None]) -> HandTimer:  # noqa: ARG002  # the test is the clock
        self.set.append(HandTimer(fire))
        return self.set[-1]

    def close(self) -> None:
        self.set.clear()

    def go_off(self) -> None:
        """Fire all that are set and not cancelled, in the order they were set."""
        due, self.set = self.set, []
        for timer in due:
            if timer.fire is not None:
                timer.fire()


class World:
    """One environment and the reports of the cells in it."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.reports: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.cells: list[Cell] = []

    def launch(self, factory: Callable[[], Behaviour[Any]] = Puppet, path: str = "a", capacity: int = 10_000) -> Cell:
        """A cell whose start is under way."""
        cell = Cell(self.environment, path, factory, report=self.reports.put, capacity=capacity, runs_on=RunsOn.POOL)
        self.cells.append(cell)
        cell.launch()
        return cell

    def start(self, factory: Callable[[], Behaviour[Any]] = Puppet, path: str = "a", capacity: int = 10_000) -> Cell:
        """A cell that has reported its start."""
        cell = self.launch(factory, path, capacity)
        self.report()
        return cell

    def report(self) -> Any:  # noqa: ANN401  # the test says which one it expects
        """The next report."""
        return self.reports.get(timeout=SOON_S)


@contextmanager
def world(environment: Environment | None = None) -> Iterator[World]:
    """A world that has ended with all its threads when the block ends."""
    made = World(environment or Environment())
    try:
        yield made
    finally:
        for cell in made.cells:
            cell.order(Stop(Exit.SHUTDOWN))
        assert made.environment.directory.await_empty(SOON_S)
        assert made.environment.close(SOON_S)
