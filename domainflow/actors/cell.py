"""The permanent shell of an actor: takes its messages, one turn at a time, and settles what came of each.

What the actor does is its behaviour's affair; when it starts and ends its supervisor's.
"""

import sys
import threading
import traceback
from typing import Final, Never, TypeVar

import structlog
from pykka import ActorRef
from pykka._envelope import Envelope as PykkaEnvelope

from domainflow.actors.behaviour import Behaviour, BehaviourCell, Factory
from domainflow.actors.belongings import TimerFired
from domainflow.actors.dispatcher import TURN_S
from domainflow.actors.envelope import DEFERRED, Envelope, here
from domainflow.actors.life import LivingCell
from domainflow.actors.mailbox import TurnSeized
from domainflow.actors.pykka_side import answer_pykka
from domainflow.actors.ref import Status
from domainflow.actors.restart import Exit
from domainflow.actors.signals import Finish, Stamped, Start, Started, Stop
from domainflow.errors import ActorStopped, AskCycle, Conflict, Rejected, Unavailable
from domainflow.logs import ACTOR, CORRELATION, UNBOUND

__all__ = ["REFUSALS", "Behaviour", "BehaviourCell", "Cell", "Factory"]

# Raised from `receive` they are answers: the asker gets them, the actor lives. Anything else is a failure.
REFUSALS: Final = (Rejected, Conflict, Unavailable, AskCycle)

_log = structlog.get_logger()

R = TypeVar("R")


class Cell(LivingCell):
    """An actor from its first start to its end."""

    def launch(self) -> None:
        """Register it and start its first behaviour; the report says what came of that.

        Raises:
            Conflict: an actor of this path has not ended yet; nothing was started.
        """
        self.environment.directory.register(self.ref)
        try:
            self._start_actor_loop()
        except BaseException:  # no thread to be had
            self.environment.directory.unregister(self.ref)
            raise

    def run(self) -> None:
        """Run one turn; the dispatcher's way in. Whatever an actor raises, this raises nothing."""
        turn = self._mailbox.begin()
        if turn is None:
            return
        here.path, here.turn, self._thread_id = self.path, turn, threading.get_ident()
        # Context variables don't cross threads: what a log line is about is bound here, for this turn and message.
        ACTOR.set(self.path)
        CORRELATION.set("")
        try:
            self._run_turn(turn)
            more = self._mailbox.rest(turn)
        except TurnSeized:
            _log.warning("seized_turn_ended", actor=self.path)
            more = False
        except BaseException:  # noqa: BLE001  # a mistake of this package, which must not cost the pool a thread
            _log.exception("turn_broke", actor=self.path)
            more = self._mailbox.rest(turn)
        finally:
            here.path = ""
            ACTOR.set(UNBOUND)
            CORRELATION.set(UNBOUND)
        if more:
            self._schedule()

    def abandon(self, *, final: bool) -> str | None:
        """Go on without a behaviour that does not come back; for its supervisor, on the supervisor's thread.

        Its thread is left to itself: nothing that it does to this cell counts any more. Whoever waited for it gets
        `ActorStopped`. Nothing is reported.

        Returns:
            Where it was stuck, as a traceback; None when it is between two messages, not stuck: try again in a moment.
        """
        stack = self.stack()
        seized = self._mailbox.seize()
        if seized is None:
            return None
        if seized.stuck:
            self._dispatcher.replace(self)
        if seized.envelope is not None and seized.envelope.reply is not None:
            gone = ActorStopped(f"{self.path} did not come back from this message and was given up")
            seized.envelope.reply.fail(gone)
        self._let_go(final=final)
        if final:
            self._close()
        else:
            self._stop_order, self.status = None, Status.HALTED
        if self._mailbox.rest(seized.turn):
            self._schedule()
        return stack

    def stack(self) -> str:
        frame = sys._current_frames().get(self._thread_id) if self._mailbox.turning else None  # noqa: SLF001  # documented
        return "".join(traceback.format_stack(frame)) if frame else ""

    @property
    def actor_ref(self) -> ActorRef["Cell"]:
        """A reference as pykka makes them; ours is `ref`."""
        return ActorRef(self)

    def _start_actor_loop(self) -> None:
        self.order(Start())

    def _schedule(self) -> None:
        self._dispatcher.schedule(self)

    # --- a turn

    def _run_turn(self, turn: int) -> None:
        until_s = self.clock.monotonic_s() + TURN_S
        for _ in range(self._dispatcher.turn_messages):
            # Read before the message: whoever takes over after that puts another there, which is not ours to run.
            behaviour = self._behaviour
            item = self._mailbox.take(turn)
            if item is None:
                break
            if isinstance(item, Envelope):
                self._receive(turn, behaviour, item)
            else:
                self._hear(turn, item)
            if self.clock.monotonic_s() >= until_s:
                break
        if self.status is not Status.STARTING and self._mailbox.idle():
            self._idle(turn)

    def _receive(self, turn: int, behaviour: Behaviour[Never] | None, envelope: Envelope) -> None:
        reply = envelope.reply
        if behaviour is None or (reply is not None and reply.done):
            self._mailbox.leave(turn)
            self.environment.dead_letters.add(self.path, envelope.message, "expired")
            return
        CORRELATION.set(envelope.context.correlation_id)
        answer: object = None
        error: BaseException | None = None
        try:
            answer = behaviour.receive(envelope.message, envelope)  # type: ignore[arg-type]  # Ref[M] took only M
        except BaseException as raised:  # noqa: BLE001  # SystemExit in one actor is that actor's failure
            error = raised
        self._mailbox.leave(turn)
        if error is not None:
            self._refuse_or_fail(turn, envelope, error)
        elif reply is not None:
            if answer is DEFERRED:
                self._deferrals.add(reply)
            else:
                reply.set(answer)

    def _refuse_or_fail(self, turn: int, envelope: Envelope, error: BaseException) -> None:
        if not isinstance(error, REFUSALS):
            if envelope.reply is not None:
                kind = type(envelope.message).__name__
                envelope.reply.fail(ActorStopped(f"{self.path} failed at {kind}; whether it took effect is not known"))
            self._fail(turn, error)
        elif envelope.reply is not None:
            envelope.reply.fail(error)
        else:
            _log.warning("tell_refused", kind=type(envelope.message).__name__, error=str(error))
            self.environment.dead_letters.add(self.path, envelope.message, "refused")

    def _hear(self, turn: int, item: object) -> None:
        match item:
            case Start():
                self._begin(turn)
            case Stop():
                self._begin_stop(turn, item)
            case Stamped(incarnation=incarnation, signal=signal):
                if incarnation == self.incarnation and self._behaviour is not None:
                    self._hear_own(turn, signal)
            case TimerFired():
                if self._timers.claim(item):
                    self._deliver(turn, item.signal)
            case PykkaEnvelope():
                answer_pykka(item, self._stop_for_pykka)
            case _ if self._behaviour is None:
                self._early.append(item)
            case _:
                self._deliver(turn, item)

    def _hear_own(self, turn: int, signal: object) -> None:
        match signal:
            case Started():
                self._run_on()
            case Finish():
                self._end(turn)
            case Stop():
                self._begin_stop(turn, signal)
            case _:
                self._deliver(turn, signal)

    def _deliver(self, turn: int, signal: object) -> None:
        behaviour = self._behaviour
        if behaviour is not None:
            _, error = self._foreign(turn, lambda: behaviour.on_signal(signal))
            if error is not None:
                self._fail(turn, error)

    def _idle(self, turn: int) -> None:
        if self._behaviour is not None:
            _, error = self._foreign(turn, self._behaviour.on_idle)
            if self._mailbox.closed:  # by stop_if_idle
                self._stop_order = Stop(Exit.NORMAL if error is None else Exit.FAILED)
                self._end(turn)
            elif error is not None:
                self._fail(turn, error)
