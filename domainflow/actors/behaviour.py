"""What is inside an actor, and what it can ask of the cell around it.

A behaviour has the state and the rules; the cell has the address, the mailbox and the life. How a cell runs turns,
starts, fails and ends stands in `cell`.
"""

from collections.abc import Callable
from typing import ClassVar, Generic, Never, TypeAlias, TypeVar

import pykka
from msgspec import Struct

from domainflow.actors.belongings import Deferrals, OwnTimers, TimerFired
from domainflow.actors.envelope import Deferred, Envelope, Reply, here
from domainflow.actors.environment import Environment, RunsOn
from domainflow.actors.mailbox import CAPACITY, Mailbox, TurnSeized
from domainflow.actors.pykka_side import EndFlag
from domainflow.actors.ref import ASK_TIMEOUT_S, Ref, Status
from domainflow.actors.restart import Exit
from domainflow.actors.signals import Answer, Finish, Stamped, Started, Stop
from domainflow.errors import AskTimeout
from domainflow.security.context import Context

M_contra = TypeVar("M_contra", contravariant=True)
N = TypeVar("N")


class Behaviour(Generic[M_contra]):
    """What an actor does. Its methods run one at a time and never wait; if one raises, a new behaviour takes over."""

    blocks: ClassVar[bool] = False  # whether it waits for the outside world: then it must be pinned, or won't start
    uses_threads: ClassVar[bool] = False  # whether it hands work to threads, which touch nothing that is its own
    cell: "BehaviourCell"  # set before on_start
    keeps_deferred: ClassVar[bool] = False  # whether asks it deferred stay open for its successor to answer

    def on_start(self) -> Deferred | None:
        """Get ready for the first message.

        `DEFERRED`: not complete yet, `cell.started()` will say so; until then the user lane waits and signals are
        delivered.
        """

    def receive(self, message: M_contra, envelope: Envelope) -> object:
        """Handle one message; returns the answer, or `DEFERRED` to give it later through `envelope.reply`."""
        raise NotImplementedError

    def on_signal(self, signal: object) -> None:
        """Hear something of the system lane: an `Answer`, a timer's signal, whatever `Ref.signal` brought."""

    def on_idle(self) -> None:
        """At the end of a turn, when there is nothing more to handle; not while `suspend_user` holds."""

    def may_stop(self) -> bool:
        """Told to stop. False: not yet, `cell.finish()` will say when; the user lane waits, signals are delivered."""
        return True

    def on_stop(self) -> None:
        """The end, also after a failure (but not of `on_start`): release what is held, save nothing."""


Factory: TypeAlias = Callable[[], Behaviour[Never]]


class _AnswerTo(Struct, frozen=True):
    """Where a value goes that one incarnation waits for."""

    put: Callable[[object], bool]
    incarnation: int
    token: object

    def __call__(self, value: object) -> None:
        """Have it heard."""
        self.put(Stamped(self.incarnation, Answer(self.token, value, None)))


class BehaviourCell(pykka.Actor):
    """A cell as its behaviour sees it. Called from inside the behaviour, so on the actor's own thread, only."""

    def __init__(  # noqa: PLR0913  # what distinguishes one cell from another
        self,
        environment: Environment,
        path: str,
        factory: Factory,
        *,
        report: Callable[[object], None],
        capacity: int = CAPACITY,
        runs_on: RunsOn = RunsOn.POOL,
    ) -> None:
        """Make a cell that is not started yet.

        Args:
            environment: of its runtime.
            path: where it will be registered.
            factory: makes its behaviours, one a start; runs as part of the start.
            report: hears of `ChildStarted`, `ChildFailed`, `ChildStopped`, on the cell's thread; must not raise.
            capacity: user messages that may wait.
            runs_on: which threads.
        """
        # pykka's constructor is not called: its uuid, Event and weak reference are 2.8 KiB an actor that nobody
        # reads here. What it would set is set below; a test watches that it sets nothing else.
        self.actor_urn = path
        self.actor_inbox = self._mailbox = environment.mailbox(path)
        self.actor_stopped = EndFlag()
        self.path = path
        self.environment = environment
        self.clock = environment.clock
        self.incarnation = 0
        self.status = Status.STARTING
        self.kept: object = None  # outlives the behaviour: what its successor must know
        self.ref: Ref[object] = Ref(
            path, self._mailbox, self, dead_letters=environment.dead_letters, clock=environment.clock
        )
        self._factory = factory
        self._report = report
        self._runs_on = runs_on
        self._dispatcher = environment.dispatcher(runs_on, path)
        self._behaviour: Behaviour[Never] | None = None
        self._opened = False  # on_start returned, so on_stop is due
        self._stop_order: Stop | None = None  # the order that is being carried out
        self._thread_id = 0
        self._timers = OwnTimers()
        self._deferrals = Deferrals()
        self._early: list[object] = []  # signals that came while there was no behaviour
        self._mailbox.bind(self._schedule, capacity)
        self._mailbox.suspend_only_once()

    # --- life

    def started(self) -> None:
        """Say that a start that `on_start` deferred is complete."""
        self.signal(Started())

    def stop(self) -> None:
        """End this behaviour after the message or signal in hand, as a normal end; the supervisor decides what then."""
        self.signal(Stop(Exit.NORMAL, final=False))

    def finish(self) -> None:
        """Say that what kept `may_stop` from saying yes is done."""
        self.signal(Finish())

    def stop_if_idle(self) -> bool:
        """End this actor, as a normal end, unless anything waits in its mailbox or for its answer; whether it does.

        Nothing can slip in between: the look and the closing are one. For `on_idle` only.
        """
        self._fence()
        return not len(self._deferrals) and self._mailbox.close_if_empty(self._own_turn())

    @property
    def stopping(self) -> bool:
        """Whether a stop is under way."""
        return self._stop_order is not None

    @property
    def ending(self) -> bool:
        """Whether the stop that is under way ends the cell too; read it in `may_stop`."""
        return self._stop_order is not None and self._stop_order.final

    def still(self) -> None:
        """For a behaviour that waits in a loop: ends the loop, and its thread's part in this, when it was given up."""
        self._fence()

    # --- the user lane

    def suspend_user(self) -> None:
        """Take no message, only signals, until as many `resume_user`."""
        self._mailbox.suspend(self._own_turn())

    def resume_user(self) -> None:
        """Undo one `suspend_user`."""
        self._mailbox.resume(self._own_turn())

    # --- signals to itself: all of them die with this incarnation

    def signal(self, signal: object) -> None:
        """Hear this signal later."""
        stamped = Stamped(self.incarnation, signal)  # first: after the fence this may be a successor's
        self._fence()
        self._mailbox.put_system(stamped)

    def start_timer(self, key: object, delay_s: float, signal: object) -> None:
        """Hear this signal once, not before `delay_s` seconds from now; replaces the timer of the same key."""
        fired, timers = TimerFired(key, object(), signal), self._timers  # first, as in `signal`
        self._fence()
        timers.start(self.environment.timers, delay_s, fired, self._mailbox.put_system)

    def cancel_timer(self, key: object) -> None:
        """Don't hear it: not even if it has gone off a moment ago."""
        timers = self._timers
        self._fence()
        timers.cancel(key)

    def request(
        self, ref: Ref[N], message: N, context: Context, *, token: object, timeout_s: float = ASK_TIMEOUT_S
    ) -> None:
        """Ask another actor without waiting: what comes of it is heard as `Answer(token, value, error)`.

        It is always heard, once, within `timeout_s` at the latest (then with `AskTimeout`), unless this incarnation
        has ended.

        Raises:
            MailboxFull: not sent, and no answer will be heard.
            AskCycle: likewise; the other one is waiting for this actor.
        """
        incarnation = self.incarnation
        self._fence()
        reply = ref.ask_reply(message, context)
        late = AskTimeout(f"{ref.path} gave no answer within {timeout_s} s; the message may still be handled")
        timer = self.environment.timers.after(timeout_s, lambda: reply.fail(late))
        reply.add_done_callback(lambda _: timer.cancel())

        def hear(settled: Reply) -> None:
            self._mailbox.put_system(Stamped(incarnation, Answer(token, settled.value, settled.error)))

        reply.add_done_callback(hear)

    def answer_to(self, token: object) -> Callable[[object], None]:
        """What somebody else may call, from any thread: its value is heard as `Answer(token, value)`; no time-out."""
        answer_to = _AnswerTo(self._mailbox.put_system, self.incarnation, token)
        self._fence()
        return answer_to

    # --- within the house

    def hear(self, signal: object) -> None:
        """As `Ref.signal`, from any thread, but gone without a dead letter if the cell has ended."""
        self._mailbox.put_system(signal)

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    @staticmethod
    def _create_future() -> Reply:
        return Reply()

    def _start_actor_loop(self) -> None:
        raise NotImplementedError

    def _schedule(self) -> None:
        raise NotImplementedError

    def stack(self) -> str:
        """Where its turn is just now, as a traceback; empty when none runs."""
        raise NotImplementedError

    def _own_turn(self) -> int | None:
        """The turn that the running thread has of this actor."""
        return here.turn if here.path == self.path else None

    def _fence(self) -> None:
        """Stop a thread whose turn was taken over: whatever it does to this cell would hit its successor."""
        if here.path == self.path and here.turn != self._mailbox.turn:
            raise TurnSeized
