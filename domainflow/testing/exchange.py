"""What passes between the actors of a story: each message stops before it arrives, and is kept for the diagram."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from domainflow.actors.behaviour import Behaviour, Factory
from domainflow.actors.envelope import Envelope
from domainflow.actors.mailbox import Mailbox
from domainflow.actors.signals import Answer, ChildFailed, Stamped
from domainflow.errors import MailboxFull
from domainflow.testing import points
from domainflow.testing.faults import Drawn
from domainflow.testing.scheduler import Scheduler


class DeadlockError(AssertionError):
    """Some wait for each other."""


class Passed(NamedTuple):
    """A message that arrived, or one that was taken out to be handled."""

    point: str
    sender: str  # empty: it was taken out
    receiver: str
    kind: str


class Exchange:
    """Makes the mailboxes of one story and knows what went through them."""

    def __init__(self, scheduler: Scheduler, faults: Drawn) -> None:
        self.scheduler = scheduler
        self.faults = faults
        self.passed: list[Passed] = []
        self.failures: list[ChildFailed] = []
        self.asked: list[tuple[str, str, Envelope]] = []  # who, whom, and with what

    def mailbox(self, path: str) -> Mailbox:
        """The mailbox of a new actor."""
        return _ExploredMailbox(path, self)

    def unanswered(self) -> list[tuple[str, str]]:
        """Who waits for whom."""
        return [(who, whom) for who, whom, envelope in self.asked if envelope.reply and not envelope.reply.done]

    def refuse_deadlock(self) -> None:
        """Raise `DeadlockError` if some wait for each other, so that nothing but a time-out can free them."""
        waits: dict[str, list[str]] = {}
        for who, whom in self.unanswered():
            waits.setdefault(who, []).append(whom)
        for who in waits:
            if circle := _circle(waits, [who]):
                raise DeadlockError(f"nobody can move but by a time-out: {' waits for '.join(circle)}")

    def arrives(self, receiver: str, what: object) -> str:
        """Let others come before this; the name of its arrival."""
        name = self.crosses(self.scheduler.who, receiver, kind_of(what))
        if isinstance(what, ChildFailed):
            self.failures.append(what)
        return name

    def crosses(self, sender: str, receiver: str, kind: str) -> str:
        """Let others come before something gets from here to there; the name of its arrival."""
        name = points.arrival(sender, receiver, self.scheduler.nth(f"{sender}>{receiver}#"))
        if sender != receiver:
            self.scheduler.pause(name)
            self.passed.append(Passed(name, sender, receiver, kind))
        return name


class _ExploredMailbox(Mailbox):
    __slots__ = ("_exchange", "_owner")

    def __init__(self, owner: str, exchange: Exchange) -> None:
        super().__init__()
        self._owner = owner
        self._exchange = exchange

    def put_user(self, envelope: Envelope) -> bool:
        exchange = self._exchange
        name = exchange.arrives(self._owner, envelope.message)
        if exchange.faults.befalls("full", name):
            raise MailboxFull("as a fault of this story; this one was not delivered, try later")
        if envelope.reply is not None:
            exchange.asked.append((exchange.scheduler.who, self._owner, envelope))
        elif exchange.faults.befalls("twice", name):
            super().put_user(envelope)
        return super().put_user(envelope)

    def put_system(self, signal: object) -> bool:
        self._exchange.arrives(self._owner, signal)
        return super().put_system(signal)

    def take(self, turn: int) -> object | None:
        item = super().take(turn)
        if isinstance(item, Envelope):
            self._exchange.passed.append(Passed("", "", self._owner, kind_of(item.message)))
        return item


def _circle(waits: Mapping[str, list[str]], way: list[str]) -> list[str]:
    """The way extended until it comes back to its beginning; empty if it never does."""
    for whom in waits.get(way[-1], []):
        if whom == way[0]:
            return [*way, whom]
        if whom not in way and (found := _circle(waits, [*way, whom])):
            return found
    return []


def crashing(factory: Factory, path: str, exchange: Exchange) -> Factory:
    """The factory of behaviours that fail where the story's faults say so: at a message, after it, at a signal."""

    def make() -> Behaviour[Any]:
        behaviour: Behaviour[Any] = factory()
        receive, on_signal = behaviour.receive, behaviour.on_signal

        def received(message: object, envelope: Envelope) -> object:
            nth = exchange.scheduler.nth(f"{path}*")
            exchange.faults.crash("crash", f"{path}*{nth}")
            answer = receive(message, envelope)
            exchange.faults.crash("crash-after", f"{path}*{nth}")
            return answer

        def heard(signal: object) -> None:
            exchange.faults.crash("crash-signal", f"{path}~{exchange.scheduler.nth(f'{path}~')}")
            on_signal(signal)

        behaviour.receive = received  # type: ignore[method-assign]  # of this one alone
        behaviour.on_signal = heard  # type: ignore[method-assign]
        return behaviour

    return make


def kind_of(what: object) -> str:
    """What a message is called in a diagram."""
    if isinstance(what, Envelope):
        what = what.message
    if isinstance(what, Stamped):
        what = what.signal
    if isinstance(what, Answer):
        return f"answer: {type(what.error).__name__}" if what.error else "answer"
    return what if isinstance(what, str) else type(what).__name__
