"""A supervisor with a fixed list of children: OTP's static supervisor, by OTP's strategies.

It carries out what `restart.decide` decided, one step after the other, and waits for nothing: each step's end is a
signal. Children that come and go are in `dynamic`.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import structlog

from domainflow.actors.children import (
    Child,
    ChildSpec,
    ChildStatus,
    RestartDue,
    Supervising,
    adopted,
)
from domainflow.actors.envelope import DEFERRED, Deferred, Envelope
from domainflow.actors.restart import AutoShutdown, Ended, Exit, Plan, Policy, Strategy, decide
from domainflow.errors import CommandRejected, InvalidInput, RestartsExhausted

__all__ = ["ChildSpec", "Supervisor"]

_log = structlog.get_logger()


class _StartStep(NamedTuple):
    name: str


class _StopStep(NamedTuple):
    name: str
    final: bool


class _WaitStep(NamedTuple):
    delay_s: float


class _Waited(NamedTuple):
    """The delay of a group's restart is over."""


_Step: TypeAlias = _StartStep | _StopStep | _WaitStep


class Supervisor(Supervising):
    """Starts its children left to right, each after the one before has started; stops them right to left."""

    def __init__(self, specs: Sequence[ChildSpec], policy: Policy | None = None) -> None:
        """Take the children in start order.

        Raises:
            InvalidInput: two have the same name, or one is significant to a supervisor that never ends by itself.
        """
        super().__init__()
        if len({spec.name for spec in specs}) < len(specs):
            raise InvalidInput(f"two children have the same name: {', '.join(spec.name for spec in specs)}")
        self._specs = tuple(specs)
        self._policy = policy or Policy()
        if self._policy.auto_shutdown is AutoShutdown.NEVER and any(spec.significant for spec in specs):
            raise InvalidInput(f"{_significant(specs)}: significant to a supervisor whose auto_shutdown is never")
        self._restarts_at_s: tuple[float, ...] = ()
        self._forgotten: set[str] = set()  # temporary children that the group's restart under way ends
        self._complete = False  # the first start of all is done
        self._early: list[tuple[Child, Exit, BaseException | None]] = []  # ends heard before that, due after it
        self._steps: deque[_Step] = deque()
        self._step: _Step | None = None  # the one whose end is awaited
        self._then: Callable[[], None] = self._nothing

    def on_start(self) -> Deferred | None:
        former = self._adopt()
        for spec in self._specs:
            self._children[spec.name] = adopted(spec, former.get(spec.name))
        names = [spec.name for spec in self._specs]
        # Nothing to stop, unless a former supervisor failed out of order.
        self._go([*self._stops(names, final=False), *map(_StartStep, names)], self._all_started)
        return DEFERRED

    def receive(self, message: object, envelope: Envelope) -> object:  # noqa: ARG002  # it refuses every message
        raise CommandRejected(f"{self.cell.path} has a fixed list of children and takes no messages")

    def may_stop(self) -> bool:
        self._go(self._stops(self._children, final=self.cell.ending), self.cell.finish)
        return False

    # --- steps

    def _go(self, steps: Sequence[_Step], then: Callable[[], None]) -> None:
        """Take these steps instead of those that are left."""
        self._steps, self._step, self._then = deque(steps), None, then
        self.cell.cancel_timer("wait")
        self._advance()

    def _advance(self) -> None:
        self._step = None
        while self._step is None and self._steps:
            step = self._steps.popleft()
            if self._take(step):
                self._step = step
        if self._step is None:
            then, self._then = self._then, self._nothing
            then()

    def _take(self, step: _Step) -> bool:
        """Begin a step; whether there is an end to wait for."""
        match step:
            case _StartStep(name=name):
                return self._begin_start(self._children[name])
            case _StopStep(name=name, final=final):
                child = self._children[name]
                return child.status is ChildStatus.STOPPING or self._stop(child, final=final)
            case _WaitStep(delay_s=delay_s):
                self.cell.start_timer("wait", delay_s, _Waited())
                return True

    def _begin_start(self, child: Child) -> bool:
        if child.status is ChildStatus.IDLE:
            self._start(child)
        return child.status is ChildStatus.STARTING

    def _awaits(self, child: Child) -> bool:
        return isinstance(self._step, _StartStep | _StopStep) and self._step.name == child.spec.name

    def _stops(self, names: Sequence[str] | dict[str, Child], *, final: bool) -> list[_Step]:
        return [_StopStep(name, final) for name in reversed(list(names))]

    # --- what is heard

    def _child_started(self, child: Child) -> None:
        if self._awaits(child):
            self._advance()

    def _child_stopped(self, child: Child) -> None:
        if self._awaits(child):
            self._advance()

    def _child_not_started(self, child: Child, error: BaseException) -> None:
        if self._complete:
            self._after_end(child, Exit.FAILED, error)
        elif not self._ending():
            # Nothing is tried again at the first start: whoever started this supervisor hears why it cannot be.
            self._giving_up = error
            self._give_up(error)

    def _child_ended(self, child: Child, how: Exit, error: BaseException | None) -> None:
        if self._complete:
            self._after_end(child, how, error)
        else:  # as in OTP, where a supervisor that starts its children hears nothing else
            self._early.append((child, how, error))

    def _hear_own(self, signal: object) -> None:
        if isinstance(signal, _Waited) and isinstance(self._step, _WaitStep):
            self._advance()
        elif isinstance(signal, RestartDue):
            child = self._children.get(signal.name)
            if child is not None and child.status is ChildStatus.WAITING:
                self._start(child)

    # --- what is done about it

    def _after_end(self, child: Child, how: Exit, error: BaseException | None) -> None:
        if self._ending() or self._is_due(child):
            return
        plan = decide(self._policy, [each.sibling for each in self._children.values()], self._account(child, how))
        self._restarts_at_s = plan.restarts_at_s
        if plan.escalate:
            self._escalate(child, error)
        else:
            self._carry_out(child, plan)
        if plan.shut_down:
            self.cell.stop()

    def _ending(self) -> bool:
        return self._giving_up is not None or self.cell.stopping

    def _is_due(self, child: Child) -> bool:
        """Whether it is among the steps that are left: they find it without a behaviour, and its end costs nothing."""
        return any(not isinstance(step, _WaitStep) and step.name == child.spec.name for step in self._steps)

    def _account(self, child: Child, how: Exit) -> Ended:
        return Ended(
            name=child.spec.name,
            exit=how,
            at_s=self.cell.clock.monotonic_s(),
            restarts_at_s=self._restarts_at_s,
            jitter=self.cell.environment.chance(),
        )

    def _carry_out(self, child: Child, plan: Plan) -> None:
        if not plan.start and not plan.stop:
            self._part_with(child, plan)
        elif self._policy.strategy is Strategy.ONE_FOR_ONE:
            child.status = ChildStatus.WAITING
            self.cell.start_timer(("restart", child.spec.name), plan.delay_s, RestartDue(child.spec.name))
        else:
            self._restart_group(plan)

    def _restart_group(self, plan: Plan) -> None:
        # An earlier plan may be under way: all that it had still to do is among this one's steps, but for the temporary
        # children that it was to end.
        self._forgotten.update(plan.forget)
        stops = [_StopStep(name, name in self._forgotten) for name in plan.stop]
        self._go([*stops, _WaitStep(plan.delay_s), *map(_StartStep, plan.start)], self._forget)

    def _part_with(self, child: Child, plan: Plan) -> None:
        child.gone = True
        self._stop(child, final=True)
        for name in plan.forget:
            self._children.pop(name, None)

    def _forget(self) -> None:
        for name in self._forgotten:
            self._children.pop(name, None)
        self._forgotten.clear()

    def _escalate(self, child: Child, error: BaseException | None) -> None:
        budget = self._policy.budget
        exhausted = RestartsExhausted(
            f"{child.spec.name} was restarted {budget.max_restarts} times within {budget.period_s} s and ended again"
        )
        exhausted.__cause__ = error
        self._giving_up = exhausted
        self._give_up(exhausted)

    def _give_up(self, error: BaseException) -> None:
        _log.error("supervisor_gave_up", error=type(error).__name__)
        self._go(self._stops(self._children, final=False), self._fail)

    def _fail(self) -> None:
        if self._giving_up is not None:
            raise self._giving_up

    def _all_started(self) -> None:
        self._complete = True
        self.cell.started()
        for early in self._early:
            self._after_end(*early)

    def _nothing(self) -> None:
        """What follows from steps that nobody waits for."""


def _significant(specs: Sequence[ChildSpec]) -> str:
    return ", ".join(spec.name for spec in specs if spec.significant)
