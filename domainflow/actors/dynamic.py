"""A supervisor whose children come and go: each has its own budget, and one that is used up ends that child alone.

Children are not lost with their supervisor, as OTP's are: those that should be alive are asked for at each start.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from domainflow.actors.children import Child, ChildSpec, ChildStatus, RestartDue, Supervising, adopted
from domainflow.actors.envelope import DEFERRED, Envelope
from domainflow.actors.ref import Ref
from domainflow.actors.restart import AutoShutdown, Ended, Exit, Policy, Strategy, decide
from domainflow.errors import ActorStopped, CommandRejected, InvalidInput

_log = structlog.get_logger()


class StartChild(NamedTuple):
    """Have this child alive; the answer is its ref, once it has started. One of that name is left as it is."""

    spec: ChildSpec


class StopChild(NamedTuple):
    """Have no child of this name; the answer, once it has ended, says whether there was one."""

    name: str


def _nobody() -> Sequence[ChildSpec]:
    return ()


def _no_hook(_: Sequence[ChildSpec]) -> None:
    """Nobody wants to know."""


def _no_report(_: ChildSpec, __: BaseException | None) -> None:
    """Nobody wants to know."""


class DynamicSupervisor(Supervising):
    """Starts what it is asked for and what should be alive; stops all at once when it is stopped."""

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        desired: Callable[[], Sequence[ChildSpec]] = _nobody,
        on_restarted: Callable[[Sequence[ChildSpec]], None] = _no_hook,
        on_given_up: Callable[[ChildSpec, BaseException | None], None] = _no_report,
    ) -> None:
        """Take the hooks, which run on the supervisor's thread: short, and better not raising.

        Args:
            policy: one_for_one only; its budget is each child's own.
            desired: who should be alive; asked at each start of this supervisor.
            on_restarted: hears who was desired when this is not the supervisor's first start.
            on_given_up: hears of a child that used up its budget and is gone.

        Raises:
            InvalidInput: another strategy, or an end of its own: of children that come and go none is that significant.
        """
        super().__init__()
        self._policy = policy or Policy()
        if self._policy.strategy is not Strategy.ONE_FOR_ONE:
            raise InvalidInput(f"children that come and go are restarted one_for_one, not {self._policy.strategy}")
        if self._policy.auto_shutdown is not AutoShutdown.NEVER:
            raise InvalidInput(f"a supervisor whose children come and go stays: not {self._policy.auto_shutdown}")
        self._desired = desired
        self._on_restarted = on_restarted
        self._on_given_up = on_given_up
        self._then: Callable[[], None] | None = None  # when the last child has stopped

    def on_start(self) -> None:
        desired = self._desired()
        former = self._adopt()
        for spec in desired:
            child = self._children[spec.name] = adopted(spec, former.pop(spec.name, None))
            child.proven = True
            self._start_anew(child)
        for name, left in former.items():
            self._children[name] = Child(left.spec, left.cell)
            self._stop(self._children[name], final=True)
        if self.cell.incarnation > 1:
            self._on_restarted(desired)

    def receive(self, message: object, envelope: Envelope) -> object:
        match message:
            case StartChild(spec=spec) if spec.significant:
                raise CommandRejected(f"{spec.name} cannot be significant: {self.cell.path} never ends with a child")
            case StartChild(spec=spec):
                return self._start_asked(spec, envelope)
            case StopChild(name=name):
                return self._stop_asked(name, envelope)
            case _:
                raise CommandRejected(f"{self.cell.path} starts and stops children, nothing else")

    def may_stop(self) -> bool:
        return self._stop_all(self.cell.finish, final=self.cell.ending)

    # --- what is asked for

    def _start_asked(self, spec: ChildSpec, envelope: Envelope) -> object:
        child = self._children.get(spec.name)
        if child is not None and child.status is ChildStatus.RUNNING:
            return child.ref
        if child is None:
            child = self._children[spec.name] = Child(spec)
            self._start(child)
        elif child.status is ChildStatus.STOPPING:
            child.then_start = spec
        if envelope.reply is not None:
            child.start_replies.append(envelope.reply)
        return DEFERRED

    def _stop_asked(self, name: str, envelope: Envelope) -> object:
        child = self._children.get(name)
        if child is None:
            return False
        child.then_start = None
        self._answer_start(child, None, ActorStopped(f"{name} was told to stop before it had started"))
        if child.status is not ChildStatus.STOPPING and not self._stop(child, final=True):
            self._remove(child)
            return True
        if envelope.reply is not None:
            child.stop_replies.append(envelope.reply)
        return DEFERRED

    # --- what is heard

    def _child_started(self, child: Child) -> None:
        child.proven = True
        self._answer_start(child, child.ref, None)

    def _child_not_started(self, child: Child, error: BaseException) -> None:
        if child.proven:
            self._after_end(child, Exit.FAILED, error)
        else:
            # Whoever asked for it hears why it cannot be, and may ask again: no retry, as at OTP's first start.
            self._answer_start(child, None, error)
            self._end(child)

    def _child_ended(self, child: Child, how: Exit, error: BaseException | None) -> None:
        self._after_end(child, how, error)

    def _child_stopped(self, child: Child) -> None:
        if self._then is not None:
            self._stopped_one()
        elif child.then_start is not None:
            self._answer_stop(child)
            child.spec, child.then_start = child.then_start, None
            self._start(child)
        else:
            self._remove(child)

    def _hear_own(self, signal: object) -> None:
        if isinstance(signal, RestartDue):
            child = self._children.get(signal.name)
            if child is not None and child.status is ChildStatus.WAITING:
                self._start(child)

    # --- what is done about it

    def _after_end(self, child: Child, how: Exit, error: BaseException | None) -> None:
        ended = Ended(
            name=child.spec.name,
            exit=how,
            at_s=self.cell.clock.monotonic_s(),
            restarts_at_s=child.restarts_at_s,
            jitter=self.cell.environment.chance(),
        )
        plan = decide(self._policy, [child.sibling], ended)
        child.restarts_at_s = plan.restarts_at_s
        if plan.start:
            child.status = ChildStatus.WAITING
            self.cell.start_timer(("restart", child.spec.name), plan.delay_s, RestartDue(child.spec.name))
            return
        if plan.escalate:
            _log.error("child_given_up", child=child.spec.name, restarts=len(plan.restarts_at_s) - 1)
            self._answer_start(child, None, ActorStopped(f"{child.spec.name} failed too often and was given up"))
            self._on_given_up(child.spec, error)
        self._end(child)

    def _start_anew(self, child: Child) -> None:
        if child.status is ChildStatus.IDLE:
            self._start(child)
        else:
            child.then_start = child.spec
            self._stop(child, final=False)

    def _end(self, child: Child) -> None:
        if not self._stop(child, final=True):
            self._remove(child)

    def _remove(self, child: Child) -> None:
        self._children.pop(child.spec.name, None)
        self._answer_stop(child)

    def _answer_start(self, child: Child, ref: Ref[object] | None, error: BaseException | None) -> None:
        replies, child.start_replies = child.start_replies, []
        for reply in replies:
            reply.settle(ref, error)

    def _answer_stop(self, child: Child) -> None:
        replies, child.stop_replies = child.stop_replies, []
        for reply in replies:
            reply.set(True)  # the answer: there was one

    # --- the end of all

    def _stop_all(self, then: Callable[[], None], *, final: bool) -> bool:
        """Stop all at once, as OTP does where order means nothing; true when there is nothing to wait for."""
        self._then = then
        for child in self._children.values():
            child.then_start = None
            if child.status is not ChildStatus.STOPPING:
                self._stop(child, final=final)
        return not self._stopping_any()

    def _stopped_one(self) -> None:
        if self._then is not None and not self._stopping_any():
            then, self._then = self._then, None
            then()

    def _stopping_any(self) -> bool:
        return any(child.status is ChildStatus.STOPPING for child in self._children.values())

    def _give_up(self, error: BaseException) -> None:
        if self._stop_all(self._fail, final=False):
            raise error

    def _fail(self) -> None:
        if self._giving_up is not None:
            raise self._giving_up
