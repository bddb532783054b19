"""An actor's mailbox: two lanes, bounded, with the one lock that decides whether a message was accepted.

It also keeps whose turn it is, so that an actor runs on one thread at a time and a stuck turn can be taken over. It
knows neither what a message means nor which thread will handle it.
"""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, TypeVar, cast

from pykka._envelope import Envelope as PykkaEnvelope

from domainflow.actors.envelope import Envelope
from domainflow.errors import ActorStopped, MailboxFull

CAPACITY: Final = 10_000  # user messages

T = TypeVar("T")


class TurnSeized(BaseException):
    """The turn that runs on this thread was taken over: it must touch nothing more. Never leaves a cell.

    Not an `Exception`, so that no `except Exception` of a behaviour swallows it.
    """


class Seized(NamedTuple):
    """A turn that was taken over."""

    turn: int  # the new one's number
    stuck: bool  # whether a thread is in the old one
    envelope: Envelope | None  # the message that this thread has in hand


class Mailbox:
    """Messages of one actor, system lane before user lane, each lane in the order of arrival.

    The gate lock guards what senders, the running turn and a supervisor see together: open or closed, scheduled or
    not, suspended or not. A put either happens before `close`, and is among what that returns, or is told so.
    """

    __slots__ = ("_capacity", "_closed", "_foreign", "_gate", "_scheduled", "_suspensions", "_system", "_turn",
                 "_turning", "_user", "_wake")  # fmt: skip

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # SimpleQueue takes 133 bytes where a deque takes 800: it matters at 100 000 actors.
        self._system: SimpleQueue[object] = SimpleQueue()
        self._user: SimpleQueue[Envelope] = SimpleQueue()
        self._gate = threading.Lock()
        self._wake: Callable[[], None] | None = None
        self._closed = False
        self._suspensions = 0
        self._scheduled = False  # a dispatcher has it, or its turn runs
        self._turning = False  # a turn runs
        # And is inside the behaviour's code, where it may be stuck: with this message, or (True) with anything else.
        self._foreign: Envelope | bool = False
        self._turn = 0  # raised when a turn is taken over

    def bind(self, wake: Callable[[], None], capacity: int) -> None:
        """Say what to call when there is something to do, and how many user messages fit.

        Apart from the constructor because pykka makes a mailbox without arguments.
        """
        self._wake = wake
        self._capacity = capacity

    # --- for senders

    def put_user(self, envelope: Envelope) -> bool:
        """Add a message; false when the mailbox is closed.

        Raises:
            MailboxFull: as many wait as may; this one was not added.
        """
        with self._gate:
            if self._closed:
                return False
            if self._user.qsize() >= self._capacity:
                raise MailboxFull(f"{self._capacity} messages are waiting; this one was not delivered, try later")
            self._user.put(envelope)
            wake = self._must_wake(self._suspensions == 0)
        if wake is not None:
            wake()
        return True

    def put_system(self, signal: object) -> bool:
        """Add a signal: answers, timers, orders of the supervisor. Never full; false when closed."""
        with self._gate:
            if self._closed:
                return False
            self._system.put(signal)
            wake = self._must_wake(deliverable=True)
        if wake is not None:
            wake()
        return True

    def put(self, item: object, /) -> None:
        """The way in for pykka: an `Envelope` of ours goes to the user lane, anything else to the system lane."""
        accepted = self.put_user(item) if isinstance(item, Envelope) else self.put_system(item)
        if not accepted:
            raise ActorStopped("the actor has ended; the message was not handled")

    # --- for the turn

    def begin(self) -> int | None:
        """Open a turn; its number, or None when one is running."""
        with self._gate:
            if self._turning:
                return None
            self._turning = True
            return self._turn

    def take(self, turn: int) -> object | None:
        """The next signal or message, or None when there is nothing that may be handled now.

        After a message the turn counts as being in the behaviour's code until `leave`.

        Raises:
            TurnSeized: the turn was taken over.
        """
        with self._gate:
            self._check(turn)
            try:
                if not self._system.empty():
                    return self._system.get_nowait()
                if self._suspensions or self._user.empty():
                    return None
                envelope = self._user.get_nowait()
            except Empty:  # a close() just emptied it
                return None
            self._foreign = envelope
            return envelope

    def enter(self, turn: int) -> None:
        """Note that the turn goes into the behaviour's code. Raises `TurnSeized` as `take` does."""
        with self._gate:
            self._check(turn)
            self._foreign = True

    def leave(self, turn: int) -> None:
        """Note that it has come back. Raises `TurnSeized` as `take` does."""
        with self._gate:
            self._check(turn)
            self._foreign = False

    def rest(self, turn: int) -> bool:
        """End a turn; true when there is more to do, and the caller must schedule the next one.

        Looking and letting go happen under one lock: a put either is seen here or wakes the actor itself.
        """
        with self._gate:
            if turn != self._turn:
                return False
            self._turning = False
            self._scheduled = not self._closed and self._deliverable()
            return self._scheduled

    def seize(self) -> Seized | None:
        """Take the turn away from the thread that has it. The caller must `rest` the new one.

        From here on the old turn's thread can neither take a message nor end the turn. None when that thread is not
        inside the behaviour's code, and so not stuck: try again in a moment.
        """
        with self._gate:
            if self._turning and not self._foreign:
                return None
            self._turn += 1
            held = self._foreign if isinstance(self._foreign, Envelope) else None
            seized = Seized(self._turn, self._turning, held)
            self._turning, self._foreign = True, False
            return seized

    # --- for the cell

    # With a turn, these raise `TurnSeized` where it was taken over, and have done nothing then.

    def suspend(self, turn: int | None = None) -> None:
        """Hold the user lane back, until as many `resume` calls."""
        with self._gate:
            self._check(turn)
            self._suspensions += 1

    def resume(self, turn: int | None = None) -> None:
        """Undo one `suspend`; more of them do nothing."""
        with self._gate:
            self._check(turn)
            self._suspensions = max(self._suspensions - 1, 0)
            wake = self._must_wake(self._deliverable())
        if wake is not None:
            wake()

    def suspend_only_once(self) -> None:
        """Hold the user lane back, and forget every earlier `suspend`: who asked for them is gone."""
        with self._gate:
            self._suspensions = 1

    def close(self) -> tuple[list[Envelope], list[object]]:
        """Accept nothing more; returns what was waiting (messages, signals), in order. Again: nothing."""
        with self._gate:
            self._closed = True
            return _drained(self._user), _drained(self._system)

    def close_if_empty(self, turn: int | None = None) -> bool:
        """Close it if nothing waits in either lane; whether it did."""
        with self._gate:
            self._check(turn)
            if self._closed or not self._user.empty() or not self._system.empty():
                return False
            self._closed = True
            return True

    @property
    def turn(self) -> int:
        """The number of the turn that counts."""
        return self._turn

    @property
    def turning(self) -> bool:
        """Whether a turn runs."""
        return self._turning

    def idle(self) -> bool:
        """Whether it waits for messages and has none; a suspended user lane waits for a signal."""
        return self._suspensions == 0 and self.empty()

    @property
    def closed(self) -> bool:
        """Whether it accepts nothing more."""
        return self._closed

    def waiting(self) -> int:
        """User messages in it; may be old by the time it is read."""
        return self._user.qsize()

    def empty(self) -> bool:
        """Whether both lanes are empty."""
        return self._user.empty() and self._system.empty()

    def get(self) -> PykkaEnvelope[object]:
        """The way out for pykka's own loop; ours takes with `take`. Never waits: raises `queue.Empty`."""
        return cast(PykkaEnvelope[object], (self._user if self._system.empty() else self._system).get_nowait())

    def _deliverable(self) -> bool:
        return not self._system.empty() or (self._suspensions == 0 and not self._user.empty())

    def _must_wake(self, deliverable: bool) -> Callable[[], None] | None:  # noqa: FBT001  # reads as its question
        if self._scheduled or not deliverable or self._closed:
            return None
        self._scheduled = self._wake is not None
        return self._wake

    def _check(self, turn: int | None) -> None:
        if turn != self._turn and turn is not None:
            raise TurnSeized


def _drained(queue: SimpleQueue[T]) -> list[T]:
    return [queue.get_nowait() for _ in range(queue.qsize())]
