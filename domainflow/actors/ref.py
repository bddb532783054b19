"""The address of an actor: all that anybody else ever holds of one.

Telling, asking and signalling; nothing here starts, stops or looks inside an actor.
"""

from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from domainflow.actors.dead_letters import DeadLetters
from domainflow.actors.envelope import Envelope, Reply, here
from domainflow.actors.mailbox import Mailbox
from domainflow.clock import Clock
from domainflow.errors import ActorStopped, AskCycle, AskTimeout
from domainflow.held import refuse_to_wait
from domainflow.security.context import Context

ASK_TIMEOUT_S: Final = 5.0

M_contra = TypeVar("M_contra", contravariant=True)


class Status(StrEnum):
    """Where an actor stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    HALTED = "halted"  # without a behaviour, waiting for its supervisor's decision
    ENDED = "ended"


class Host(Protocol):
    """What a ref may read of the actor behind it; each value may be old when it is read."""

    @property
    def status(self) -> Status:
        """Where it stands."""
        ...

    @property
    def incarnation(self) -> int:
        """How many behaviours it has had, 1-based; 0 before the first."""
        ...

    def stack(self) -> str:
        """Where its turn is just now, as a traceback; empty when none runs."""
        ...


class Ref(Generic[M_contra]):
    """A lasting address: it holds through restarts, and is equal to itself only."""

    __slots__ = ("_clock", "_dead_letters", "_host", "_mailbox", "path")

    def __init__(self, path: str, mailbox: Mailbox, host: Host, *, dead_letters: DeadLetters, clock: Clock) -> None:
        self.path = path
        self._mailbox = mailbox
        self._host = host
        self._dead_letters = dead_letters
        self._clock = clock

    def tell(self, message: M_contra, context: Context) -> None:
        """Send a message without an answer. To an actor that has ended it is a dead letter, and no error.

        Raises:
            MailboxFull: not delivered; try later.
        """
        # Nobody waits for a tell, so whoever waited so far does not wait for what follows from it.
        if context.chain:
            context = msgspec.structs.replace(context, chain=())
        if not self._mailbox.put_user(Envelope(message, context)):
            self._dead_letters.add(self.path, message, "stopped")

    def ask(self, message: M_contra, context: Context, *, timeout_s: float = ASK_TIMEOUT_S) -> object:
        """Send a message and wait for its answer; only for callers outside actors.

        Raises:
            AskTimeout: no answer in time. A message that had not been begun is not handled any more.
            ActorStopped: the actor has ended, or failed at this or before it.
            MailboxFull: not delivered; try later.
            RuntimeError: called inside an actor, or in a transaction; nothing was sent.
            Exception: the actor's refusal.
        """
        if here.path:
            raise RuntimeError(
                f"{here.path} must not wait for {self.path}: use request(), its answer comes as a signal"
            )
        refuse_to_wait(self.path)
        deadline_s = self._clock.monotonic_s() + timeout_s
        if context.deadline_s is None or deadline_s < context.deadline_s:
            context = msgspec.structs.replace(context, deadline_s=deadline_s)
        reply = self.ask_reply(message, context)
        try:
            return reply.get(timeout_s)
        except AskTimeout as late:
            reply.fail(late)  # the actor skips it if it has not begun; an answer of this very moment wins
            return reply.get(0)

    def ask_reply(self, message: M_contra, context: Context) -> Reply:
        """Send a message; returns the slot of its answer without waiting.

        Raises:
            MailboxFull: not delivered; try later.
            AskCycle: this actor is waiting, by way of others, for the answer to this ask; nothing was sent.
        """
        if here.path:
            context = msgspec.structs.replace(context, chain=(*context.chain, here.path))
        if self.path in context.chain:
            raise AskCycle(f"an ask would wait for itself: {' -> '.join((*context.chain, self.path))}")
        reply = Reply()
        if not self._mailbox.put_user(Envelope(message, context, reply)):
            reply.fail(ActorStopped(f"{self.path} has ended; the message was not handled"))
        return reply

    def signal(self, signal: object) -> None:
        """Put something into the system lane: before every message, never full. A dead letter if it has ended."""
        if not self._mailbox.put_system(signal):
            self._dead_letters.add(self.path, signal, "stopped")

    def is_alive(self) -> bool:
        """Whether it still accepts messages; true while it is being restarted."""
        return not self._mailbox.closed

    @property
    def status(self) -> Status:
        """Where the actor stands."""
        return self._host.status

    @property
    def incarnation(self) -> int:
        """How many behaviours it has had."""
        return self._host.incarnation

    def stack(self) -> str:
        """Where its turn is just now, as a traceback; empty when none runs."""
        return self._host.stack()

    def waiting(self) -> int:
        """Messages in its mailbox."""
        return self._mailbox.waiting()

    def __repr__(self) -> str:
        """Path and status."""
        return f"<Ref {self.path} {self.status}>"
