"""The actors of one runtime as a whole: the root supervisor, its start and its end.

What children there are and why stands in the runtime; nothing here is global to the process.
"""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final

import structlog

from domainflow.actors.cell import Cell
from domainflow.actors.children import ChildSpec
from domainflow.actors.directory import ROOT
from domainflow.actors.environment import Environment, RunsOn, Stuck
from domainflow.actors.ref import Ref
from domainflow.actors.restart import Exit, Policy
from domainflow.actors.signals import ChildFailed, ChildStarted, ChildStopped, Stop
from domainflow.actors.supervisor import Supervisor
from domainflow.errors import ActorStopped, Unavailable

START_S: Final = 60.0
STOP_S: Final = 30.0

_log = structlog.get_logger()


def _no_report(_: BaseException) -> None:
    """Nobody wants to know."""


class System:
    """A supervision tree from its start to its end."""

    def __init__(self, environment: Environment | None = None) -> None:
        self.environment = environment or Environment()
        self._reports: SimpleQueue[object] = SimpleQueue()
        self._root: Cell | None = None
        self._on_root_failed: Callable[[BaseException], None] = _no_report
        self._running = threading.Event()

    def start(
        self,
        children: Sequence[ChildSpec],
        policy: Policy | None = None,
        *,
        timeout_s: float = START_S,
        on_root_failed: Callable[[BaseException], None] = _no_report,
    ) -> None:
        """Start a root over these children, left to right; returns when all have started.

        Args:
            children: of the root, in start order.
            policy: the root's.
            timeout_s: for all of them together.
            on_root_failed: hears when the root itself has used up its budget, or has ended by its `auto_shutdown`:
                all below it is stopped by then and nobody will restart it. Called on the supervisors' thread, so
                it must not stop the system itself.

        Raises:
            Unavailable: not started in time; what had started is stopped.
            Exception: what the first child that could not start failed with; what had started is stopped.
        """
        root = Cell(
            self.environment, ROOT, lambda: Supervisor(children, policy), report=self._heard, runs_on=RunsOn.SUPERVISORS
        )
        self._root, self._on_root_failed = root, on_root_failed
        root.launch()
        report = self._next_report(timeout_s)
        match report:
            case ChildStarted():
                self._running.set()
            case ChildFailed(error=error):
                self.stop()
                raise error
            case _:
                self.stop()
                raise Unavailable(f"the actors had not started within {timeout_s} s; they are stopped")

    @property
    def root(self) -> Ref[object]:
        """The root's address.

        Raises:
            Unavailable: there is none, for `start` was not called.
        """
        if self._root is None:
            raise Unavailable("the actors were not started")
        return self._root.ref

    def stop(self, timeout_s: float = STOP_S) -> tuple[Stuck, ...]:
        """Stop all actors, right to left, then the threads; a second call only says so again.

        Returns:
            Who did not make it in time, with the place where each was: abandoned by their supervisor or still
            stopping now. Their threads are daemons and end with the process.
        """
        self._running.clear()
        if self._root is not None and self._root.ref.is_alive():
            self._root.order(Stop(Exit.SHUTDOWN))
            if not self.environment.directory.await_empty(timeout_s):
                _log.error("actors_left_behind", count=len(self.environment.directory))
        left = [Stuck(ref.path, ref.stack()) for ref in self.environment.directory.all()]
        self.environment.close(1.0 if left or self.environment.stuck else timeout_s)
        return (*self.environment.stuck, *left)

    def _next_report(self, timeout_s: float) -> object | None:
        try:
            return self._reports.get(timeout=timeout_s)
        except Empty:
            return None

    def _heard(self, report: object) -> None:
        self._reports.put(report)
        match report:
            case ChildFailed(error=error) if self._running.is_set():
                self._on_root_failed(error)
            case ChildStopped(exit=Exit.NORMAL) if self._running.is_set():
                self._on_root_failed(ActorStopped("the root ended in order, and all below it"))
