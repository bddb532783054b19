"""The life of an actor: start, failure, restart, stop, end. Each step is taken by the thread that has the turn.

How messages get there stands in `cell`; when a step is due is the supervisor's affair.
"""

from collections.abc import Callable
from typing import Never, TypeVar

import structlog
from pykka._envelope import Envelope as PykkaEnvelope

from domainflow.actors.behaviour import Behaviour, BehaviourCell
from domainflow.actors.belongings import OwnTimers
from domainflow.actors.envelope import DEFERRED, Deferred
from domainflow.actors.environment import RunsOn
from domainflow.actors.pykka_side import answer_pykka
from domainflow.actors.ref import Status
from domainflow.actors.restart import Exit
from domainflow.actors.signals import ChildFailed, ChildStarted, ChildStopped, Start, Stop
from domainflow.errors import ActorStopped, InvalidInput

_log = structlog.get_logger()

R = TypeVar("R")


class LivingCell(BehaviourCell):
    """A cell that can be started, restarted and ended."""

    def order(self, order: Start | Stop) -> None:
        """Tell it to start again or to stop; the report says what came of it. Nothing, if it has ended."""
        self._mailbox.put_system(order)

    def _stop_for_pykka(self) -> None:
        self.order(Stop(Exit.NORMAL, final=False))

    def _foreign(self, turn: int, code: Callable[[], R]) -> tuple[R | None, BaseException | None]:
        """What the behaviour's code returned or raised."""
        self._mailbox.enter(turn)
        result: R | None = None
        error: BaseException | None = None
        try:
            result = code()
        except BaseException as raised:  # noqa: BLE001  # as in _receive
            error = raised
        self._mailbox.leave(turn)
        return result, error

    def _begin(self, turn: int) -> None:
        if self._behaviour is not None or self.status is Status.ENDED:
            return
        self.incarnation += 1
        self.status = Status.STARTING
        self._mailbox.suspend_only_once()
        started: Deferred | None = None
        behaviour, error = self._foreign(turn, self._make)
        if behaviour is not None:
            # Outside the behaviour's code, where its turn cannot be seized: it never takes its successor's place.
            behaviour.cell, self._behaviour = self, behaviour
            started, error = self._foreign(turn, behaviour.on_start)
        if error is not None:
            self._fail(turn, error)
            return
        self._opened = True
        early, self._early = self._early, []
        for signal in early:
            self._mailbox.put_system(signal)
        if started is not DEFERRED:
            self._run_on()

    def _make(self) -> Behaviour[Never]:
        behaviour = self._factory()
        if behaviour.blocks and self._runs_on is not RunsOn.PINNED:
            raise InvalidInput(f"{type(behaviour).__name__} blocks: its child spec must say dispatcher='pinned'")
        return behaviour

    def _run_on(self) -> None:
        if self.status is Status.STARTING:
            self.status = Status.RUNNING
            self._report(ChildStarted(self.path, self.incarnation))
            self._mailbox.resume()

    def _fail(self, turn: int, error: BaseException) -> None:
        # The top of an actor: here a failure is logged, nowhere else.
        _log.error("actor_failed", actor=self.path, incarnation=self.incarnation, exc_info=error)
        if self._stop_order is not None:
            self._end(turn)
            return
        self._drop(turn)
        self._report(ChildFailed(self.path, self.incarnation, error))

    def _begin_stop(self, turn: int, order: Stop) -> None:
        under_way = self._stop_order is not None
        if self._stop_order is None or order.exit is Exit.SHUTDOWN:
            # The supervisor's word stands above the behaviour's own, and an end for good above one for now.
            self._stop_order = Stop(order.exit, order.final or self.ending)
        if self._behaviour is None:
            self._end(turn)
        elif not under_way:
            self.status = Status.STOPPING
            self._mailbox.suspend()
            ready, error = self._foreign(turn, self._behaviour.may_stop)
            if error is not None:
                self._fail(turn, error)
            elif ready:
                self._end(turn)

    def _end(self, turn: int) -> None:
        stop = self._stop_order
        if stop is None:
            return
        self._drop(turn, final=stop.final)
        self._stop_order = None
        if stop.final:
            self._close()
        self._report(ChildStopped(self.path, self.incarnation, stop.exit, stop.final))

    def _drop(self, turn: int, *, final: bool = False) -> None:
        """Part with the behaviour, in order."""
        behaviour, opened = self._behaviour, self._opened
        self._let_go(final=final)
        self.status = Status.HALTED
        if behaviour is not None and opened:
            _, error = self._foreign(turn, behaviour.on_stop)
            if error is not None:
                _log.error("on_stop_failed", actor=self.path, exc_info=error)

    def _let_go(self, *, final: bool) -> None:
        """Forget the behaviour and all that belongs to it."""
        behaviour, self._behaviour = self._behaviour, None
        self._opened = False
        self._mailbox.suspend_only_once()
        self._timers.cancel_all()
        self._timers = OwnTimers()  # a thread that was given up may be setting one of the old ones
        if final or behaviour is None or not behaviour.keeps_deferred:
            ended = f"{self.path} ended before it answered; whether the message took effect is not known"
            self._deferrals.fail(ActorStopped(ended))

    def _close(self) -> None:
        """The end of the cell: nobody is left waiting, and the path is free."""
        self.status = Status.ENDED
        self.actor_stopped.set()
        envelopes, signals = self._mailbox.close()
        for orphan in self.environment.directory.children(self.path):
            orphan.signal(Stop(Exit.SHUTDOWN))  # halted by a supervisor that failed and does not come back
        self.environment.directory.unregister(self.ref)
        self.environment.dead_letters.bury(self.path, envelopes)
        for signal in signals:
            if isinstance(signal, PykkaEnvelope):
                answer_pykka(signal, self._stop_for_pykka)
        if self._runs_on is RunsOn.PINNED:
            self._dispatcher.close(0)
