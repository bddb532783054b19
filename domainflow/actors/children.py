"""A supervisor's children: what each is made from, where each stands, and how one is started, stopped or given up.

Which child is started or stopped, and when, is decided by the supervisors in `supervisor` and `dynamic`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Final, Literal, NamedTuple

import structlog

from domainflow.actors.behaviour import Behaviour, Factory
from domainflow.actors.cell import Cell
from domainflow.actors.directory import child_path
from domainflow.actors.envelope import Reply
from domainflow.actors.environment import RunsOn
from domainflow.actors.mailbox import CAPACITY, TurnSeized
from domainflow.actors.ref import Ref, Status
from domainflow.actors.restart import Exit, Restart, Sibling, exit_by
from domainflow.actors.signals import ChildFailed, ChildStarted, ChildStopped, Stamped, Start, Stop
from domainflow.errors import ActorStopped, InvalidInput

SHUTDOWN_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.01  # a turn is outside the behaviour's code for microseconds

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildSpec:
    """What a child is made from.

    Args:
        name: unique among its siblings; no slash.
        factory: makes its behaviour, once a start, on the child's thread.
        restart: when it is restarted.
        significant: its end, if it does not come back, may end its supervisor: `Policy.auto_shutdown`.
        dispatcher: pool, or pinned for a behaviour that waits for the outside world: a thread of its own.
        shutdown_s: how long a stop may take before the child is given up; None: 5 s for a worker, for a supervisor
            as long as its children need; `inf`: as long as it takes; 0: it is not asked but taken away, and its
            `on_stop` does not run. A supervisor's time is for all below it: when it is over, they have none left.
        capacity: user messages that may wait.
        kind: a supervisor runs beside the pool.

    Raises:
        InvalidInput: a name that cannot stand in a path; a permanent child whose end is significant.
    """

    name: str
    factory: Factory
    restart: Restart = Restart.PERMANENT
    significant: bool = False
    dispatcher: Literal["pool", "pinned"] = "pool"
    shutdown_s: float | None = None
    capacity: int = CAPACITY
    kind: Literal["worker", "supervisor"] = "worker"

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not self.name or "/" in self.name:
            raise InvalidInput(f"the name of a child must not be empty or contain a slash: {self.name!r}")
        if self.significant and self.restart is Restart.PERMANENT:
            raise InvalidInput(f"{self.name} cannot be significant: a permanent child always comes back")

    @property
    def patience_s(self) -> float:
        """How long its stop may take."""
        if self.shutdown_s is not None:
            return self.shutdown_s
        return inf if self.kind == "supervisor" else SHUTDOWN_S


class ChildStatus(StrEnum):
    """Where a child stands, as its supervisor knows."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    WAITING = "waiting"  # for its restart


@dataclass(slots=True, eq=False)
class Child:
    """One child of one supervisor."""

    spec: ChildSpec
    cell: Cell | None = None  # none before the first start and after an end for good
    status: ChildStatus = ChildStatus.IDLE
    restarts_at_s: tuple[float, ...] = ()  # where each child has its own budget
    ended: int = 0  # the incarnation whose end was heard last
    gone: bool = False  # ended by itself, and was not to come back
    final: bool = False  # its stop under way ends the cell too
    proven: bool = False  # has started once, or is wanted whether it starts or not
    then_start: ChildSpec | None = None  # to be started when it has stopped
    start_replies: list[Reply] = field(default_factory=list)
    stop_replies: list[Reply] = field(default_factory=list)

    @property
    def ref(self) -> Ref[object] | None:
        """Its address, if it has a cell."""
        return None if self.cell is None else self.cell.ref

    @property
    def sibling(self) -> Sibling:
        """The child as a decision sees it."""
        return Sibling(self.spec.name, self.spec.restart, self.spec.significant, self.gone)


class _Overdue(NamedTuple):
    name: str


class _Hurry(NamedTuple):
    """To a supervisor that is being stopped: its time is over, and so is that of all below it."""


class RestartDue(NamedTuple):
    """The delay before a child's restart is over."""

    name: str


class Supervising(Behaviour[object]):
    """What all supervisors do alike. Children report by signals: a supervisor waits for nothing and nobody."""

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}  # in start order
        self._giving_up: BaseException | None = None
        self._hurried = False

    # --- what each supervisor decides

    def _child_started(self, child: Child) -> None:
        raise NotImplementedError

    def _child_not_started(self, child: Child, error: BaseException) -> None:
        """Its start failed and it is without a behaviour."""
        raise NotImplementedError

    def _child_ended(self, child: Child, how: Exit, error: BaseException | None) -> None:
        """It had started, ended by itself and is without a behaviour."""
        raise NotImplementedError

    def _child_stopped(self, child: Child) -> None:
        """It stopped because it was told to, or was given up."""
        raise NotImplementedError

    def _hear_own(self, signal: object) -> None:
        raise NotImplementedError

    def _give_up(self, error: BaseException) -> None:
        """Stop all children; then fail with this error."""
        raise NotImplementedError

    # --- what they share

    def on_signal(self, signal: object) -> None:
        self._protected(lambda: self._hear(signal))

    def _protected(self, act: Callable[[], None]) -> None:
        """Act; if that fails for a reason of its own, a host's hook say, then not before the children are stopped."""
        try:
            act()
        except TurnSeized:
            raise
        except BaseException as error:
            if self._giving_up is not None:
                raise
            self._giving_up = error
            self._give_up(error)

    def _hear(self, signal: object) -> None:
        match signal:
            case ChildStarted():
                if (child := self._reporter(signal.path)) and child.status is ChildStatus.STARTING:
                    child.status = ChildStatus.RUNNING
                    self._child_started(child)
            case ChildFailed():
                if child := self._reporter(signal.path):
                    self._hear_end(child, signal.incarnation, exit_by(signal.error), signal.error)
            case ChildStopped():
                if child := self._reporter(signal.path):
                    self._hear_stopped(child, signal)
            case _Overdue():
                self._give_up_on(self._children.get(signal.name))
            case _Hurry():
                self._hurry()
            case _:
                self._hear_own(signal)

    def _reporter(self, path: str) -> Child | None:
        return self._children.get(path.rpartition("/")[2])

    def _hear_stopped(self, child: Child, report: ChildStopped) -> None:
        if report.incarnation <= child.ended and not report.final:
            return  # it told itself to stop and failed before it did; or it was told to, and given up
        ordered = child.status is ChildStatus.STOPPING
        # An order that met an actor which had just ended by itself is answered twice: as its own end, and as ours.
        if ordered != (report.exit is Exit.SHUTDOWN or (ordered and report.final)):
            return
        if report.final:
            child.cell = None
        if not ordered:
            self._hear_end(child, report.incarnation, report.exit, None)
            return
        child.status = ChildStatus.IDLE
        self.cell.cancel_timer(("shutdown", child.spec.name))
        self._child_stopped(child)

    def _hear_end(self, child: Child, incarnation: int, how: Exit, error: BaseException | None) -> None:
        if child.status is ChildStatus.STOPPING:
            return  # while it is being stopped its ChildStopped will follow
        starting = child.status is ChildStatus.STARTING
        child.status, child.ended = ChildStatus.IDLE, incarnation
        if starting:
            self._child_not_started(child, error or ActorStopped(f"{child.spec.name} ended before it had started"))
        else:
            self._child_ended(child, how, error)

    def _start(self, child: Child) -> None:
        child.status, child.gone = ChildStatus.STARTING, False
        try:
            if child.cell is None:
                child.cell, child.ended = self._cell_of(child.spec), -1
                child.cell.launch()
            else:
                child.cell.order(Start())
        except Exception as error:  # noqa: BLE001  # the path is taken or no thread to be had: a failed start
            child.cell = None
            self.cell.signal(ChildFailed(child.spec.name, 0, error))

    def _cell_of(self, spec: ChildSpec) -> Cell:
        return Cell(
            self.cell.environment,
            child_path(self.cell.path, spec.name),
            spec.factory,
            report=self.cell.hear,
            capacity=spec.capacity,
            runs_on=RunsOn.SUPERVISORS if spec.kind == "supervisor" else RunsOn(spec.dispatcher),
        )

    def _stop(self, child: Child, *, final: bool) -> bool:
        """Tell it to stop; false when there is nothing to wait for."""
        name, cell = child.spec.name, child.cell
        self.cell.cancel_timer(("restart", name))
        halted = child.status in {ChildStatus.IDLE, ChildStatus.WAITING}
        if cell is None or (halted and not final):
            child.status = ChildStatus.IDLE
            return False
        child.status, child.final = ChildStatus.STOPPING, final
        patience_s = 0.0 if self._hurried else child.spec.patience_s
        if halted or patience_s > 0 or child.spec.kind == "supervisor":
            cell.order(Stop(Exit.SHUTDOWN, final))
        if not halted and patience_s < inf:
            self.cell.start_timer(("shutdown", name), patience_s, _Overdue(name))
        return True

    def _hurry(self) -> None:
        self._hurried = True
        for child in list(self._children.values()):
            self._give_up_on(child)

    def _give_up_on(self, child: Child | None) -> None:
        """Its time to stop is over: take a worker's turn away; a supervisor does the same to all below it."""
        if child is None or child.cell is None or child.status is not ChildStatus.STOPPING:
            return
        if child.spec.kind == "supervisor":
            child.cell.hear(Stamped(child.cell.incarnation, _Hurry()))
            return
        stack = child.cell.abandon(final=child.final)
        if stack is None:
            self.cell.start_timer(("shutdown", child.spec.name), _LOOK_AGAIN_S, _Overdue(child.spec.name))
            return
        if stack or child.spec.patience_s > 0:  # what was to be taken away and was in no turn left nothing behind
            self.cell.environment.abandoned(child.cell.path, stack)
        self.cell.cancel_timer(("shutdown", child.spec.name))
        child.status, child.ended = ChildStatus.IDLE, child.cell.incarnation
        if child.final:
            child.cell = None
        self._child_stopped(child)

    def _adopt(self) -> dict[str, Child]:
        """The children that a former incarnation of this supervisor left, by name; ours are left to the next one.

        So the refs that others hold outlive this supervisor too.
        """
        former = self.cell.kept if isinstance(self.cell.kept, dict) else {}
        self.cell.kept = self._children
        return {name: child for name, child in former.items() if child.cell is not None and child.cell.ref.is_alive()}


def adopted(spec: ChildSpec, former: Child | None) -> Child:
    """A child in the cell that a former supervisor left; not idle only if that one failed out of order."""
    if former is None or former.cell is None:
        return Child(spec)
    halted = former.cell.status is Status.HALTED
    return Child(spec, former.cell, ChildStatus.IDLE if halted else ChildStatus.RUNNING)
