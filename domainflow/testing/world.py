"""The world of one story: real cells, mailboxes and supervisors, whose every turn the scheduler deals out.

A story is a function of its world. It starts actors and threads of the host, waits, and asserts.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, cast

from domainflow.actors.behaviour import Factory
from domainflow.actors.cell import Cell
from domainflow.actors.children import ChildSpec
from domainflow.actors.directory import ROOT
from domainflow.actors.dynamic import DynamicSupervisor, StartChild, StopChild
from domainflow.actors.environment import Environment, RunsOn
from domainflow.actors.ref import Ref
from domainflow.actors.restart import Policy, Restart
from domainflow.security.context import Context, Principal
from domainflow.testing import points
from domainflow.testing.exchange import Exchange, crashing
from domainflow.testing.faults import CrashError, Drawn
from domainflow.testing.history import History
from domainflow.testing.schedule import Schedule
from domainflow.testing.scheduler import Scheduler
from domainflow.testing.strategies import Strategy

CONTEXT: Final = Context(principal=Principal(id="story", roles=("super_admin",)), correlation_id="story")
_REST_S: Final = 60.0


class World:
    """What a story is given."""

    def __init__(
        self, strategy: Strategy, schedule: Schedule, chances: Mapping[str, float], *, most_faults: int
    ) -> None:
        """Make one in which nothing has happened yet; for `explore`, which also ends it."""
        self.scheduler = Scheduler(strategy, pressed=schedule.pressed)
        self.exchange = Exchange(
            self.scheduler, Drawn(schedule, chances, most_faults, calm=lambda: self.scheduler.calm)
        )
        self.scheduler.on_standstill = self.exchange.refuse_deadlock
        self.random = random.Random(schedule.seed)  # noqa: S311 - a story's chance, no secret
        self.history = History(self.scheduler)
        self.environment = Environment(
            clock=self.scheduler,
            timers=cast(Any, self.scheduler),
            pool=self.scheduler,
            supervisors=self.scheduler,
            pinned=lambda _: self.scheduler,
            chance=self.random.random,
            mailbox=self.exchange.mailbox,
        )
        self._expected: tuple[type[BaseException], ...] = (CrashError,)
        self._threads = 0  # of the host, that have not ended
        root = Cell(
            self.environment, ROOT, lambda: DynamicSupervisor(Policy()), report=_unheard, runs_on=RunsOn.SUPERVISORS
        )
        root.launch()
        self._root = root.ref

    # --- actors

    def start(self, name: str, factory: Factory, *, restart: Restart = Restart.PERMANENT) -> Ref[Any]:
        """Have an actor alive, supervised one_for_one, and return its ref; waits, calmly, until it has started."""
        with self.calm():
            return self.start_child(ChildSpec(name=name, factory=factory, restart=restart))

    def start_child(self, spec: ChildSpec) -> Ref[Any]:
        """Have this child of the root alive and return its ref; waits, and how it starts is part of the story."""
        factory = crashing(spec.factory, spec.name, self.exchange)
        return cast("Ref[Any]", self._root.ask(StartChild(replace(spec, factory=factory)), CONTEXT))

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Have all happen in its natural order, and nothing befall, until the block ends: what a story is not about."""
        before, self.scheduler.calm = self.scheduler.calm, True
        try:
            yield
        finally:
            self.scheduler.calm = before

    def stop(self, name: str) -> bool:
        """Have no actor of this name; waits, and says whether there was one."""
        return bool(self._root.ask(StopChild(name), CONTEXT))

    # --- the host's side

    def thread(self, name: str, act: Callable[[], object]) -> None:
        """Have another thread of the host do this. What it raises fails the story."""
        self._threads += 1

        def run() -> None:
            act()
            self._threads -= 1

        self.scheduler.begin(points.turn(name, self.scheduler.nth(f"{name}!")), name, run)

    def join(self) -> None:
        """Wait until every thread of the host has come to its end."""
        self.scheduler.until(lambda: not self._threads)

    def rest(self, within_s: float = _REST_S) -> None:
        """Wait until nothing is left to do; not longer than so many virtual seconds, where timers never end."""
        self.scheduler.rest(within_s)

    def sleep(self, delay_s: float) -> None:
        """Wait for so many virtual seconds."""
        self.scheduler.sleep(delay_s)

    def expect_failures(self, *kinds: type[BaseException]) -> None:
        """Have a story not fail because an actor raised one of these: it is what it is about."""
        self._expected = (*self._expected, *kinds)

    # --- telling

    def tell(self, story: Callable[["World"], object]) -> None:
        """Run it to its end, and see that it left nothing undone.

        Raises:
            AssertionError: an actor raised what was no fault of the story; a message waits for ever.
            BaseException: whatever the story, or a thread of its host, raised.
        """
        ended: list[object] = []
        self.scheduler.begin(points.turn(points.TELLER, 1), points.TELLER, lambda: ended.append(story(self)))
        try:
            self.scheduler.run(until=lambda: bool(ended))
        finally:
            self._check_failures()  # whoever waited for an actor that failed says less of it
        if not ended:
            raise AssertionError(f"nothing can happen any more, and these wait: {', '.join(self.scheduler.waiting())}")
        self.scheduler.run(until=lambda: not self.scheduler.ready)
        self._check_failures()
        self._check_nobody_waits()

    def _check_failures(self) -> None:
        for failed in self.exchange.failures:
            if not isinstance(failed.error, self._expected):
                raise AssertionError(f"{failed.path} failed: {failed.error!r}") from failed.error  # noqa: TRY004 - a verdict

    def _check_nobody_waits(self) -> None:
        if not self.scheduler.at_rest:
            return  # a timer may still bring the answer, or its time-out
        for who, whom in self.exchange.unanswered():
            raise AssertionError(f"{who} asked {whom}, and nothing will answer")
        for ref in self.environment.directory.all():
            if ref.waiting():
                raise AssertionError(f"{ref.waiting()} messages wait in the mailbox of {ref.path} for ever")


def _unheard(_: object) -> None:
    """The root of a story is restarted by nobody."""
