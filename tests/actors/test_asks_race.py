"""Asks and tells race restarts, abandonments, ends and full mailboxes on real threads: each comes to an end, once.

Nobody waits here for an answer that might not come: each is looked at once nothing moves any more.
"""

import queue
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

import pytest
from kernel import CONTEXT
from structlog.testing import capture_logs

from domainflow.actors.cell import Behaviour, Cell
from domainflow.actors.dead_letters import DeadLetters
from domainflow.actors.dispatcher import PoolDispatcher
from domainflow.actors.envelope import Envelope, Reply
from domainflow.actors.environment import Environment
from domainflow.actors.mailbox import Mailbox
from domainflow.actors.restart import Exit
from domainflow.actors.signals import ChildFailed, ChildStopped, Start, Stop
from domainflow.errors import ActorStopped, MailboxFull

SENDERS = 4
ASKS = 10  # a sender and actor, and as many tells
CAPACITIES = (4, 1000, 1000)  # of one actor after the other
FAILS_EVERY, STICKS_EVERY = 23, 37


class Sent(NamedTuple):
    """One message, like no other."""

    actor: int
    sender: int
    number: int
    asked: bool


class AllDeadLetters(DeadLetters):
    """Keeps them all, not the last hundred."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment.clock)
        self.messages: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def add(self, path: str, message: object, reason: str) -> None:
        super().add(path, message, reason)
        self.messages.put(message)


class Story:
    """What became of every message."""

    def __init__(self) -> None:
        self.handled: queue.SimpleQueue[Sent] = queue.SimpleQueue()
        self.refused: queue.SimpleQueue[Sent] = queue.SimpleQueue()  # MailboxFull
        self.told: queue.SimpleQueue[Sent] = queue.SimpleQueue()
        self.replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.stuck: queue.SimpleQueue[threading.Event] = queue.SimpleQueue()  # set, each lets one handler go
        self.given_up = 0


class Racer(Behaviour[Sent]):
    """Answers; fails at some messages, and does not come back from others."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def receive(self, message: Sent, envelope: Envelope) -> int:  # noqa: ARG002  # no answer needs it
        self._story.handled.put(message)
        which = 7 * message.actor + 3 * message.sender + message.number
        if which % FAILS_EVERY == 0:
            raise ValueError("a bug")
        if which % STICKS_EVERY == 0:
            let_go = threading.Event()
            self._story.stuck.put(let_go)
            let_go.wait()
        return message.number


class Race:
    """One actor after the other, each under its own senders; whoever tends it restarts it, gives it up and ends it."""

    def __init__(self) -> None:
        self.pool = PoolDispatcher(2, name="race")
        self.environment = Environment(pool=self.pool)
        self.dead = self.environment.dead_letters = AllDeadLetters(self.environment)
        self.story = Story()
        self._chance = random.Random(1)  # noqa: S311  # no secret

    def run(self, number: int) -> None:
        ended, capacity = threading.Event(), CAPACITIES[number % len(CAPACITIES)]
        cell: Cell

        def report(report: object) -> None:
            match report:
                case ChildFailed():
                    cell.order(Start())
                case ChildStopped(final=True):
                    ended.set()

        cell = Cell(self.environment, f"a{number}", lambda: Racer(self.story), report=report, capacity=capacity)
        cell.launch()
        begin = threading.Barrier(SENDERS + 1)
        senders = [threading.Thread(target=self._send, args=(cell, number, each, begin)) for each in range(SENDERS)]
        for sender in senders:
            sender.start()
        end_at = self.story.replies.qsize() + self._chance.randrange(SENDERS * ASKS // 2, SENDERS * ASKS)
        begin.wait()
        while self.story.replies.qsize() < end_at:
            self._tend(cell)
        if number % 2:
            while not self._give_up(cell, final=True):
                pass
        else:
            cell.order(Stop(Exit.SHUTDOWN))
            while not ended.is_set():
                self._let_go()
                time.sleep(0)
        for sender in senders:
            sender.join()
        self._let_go()

    def end(self) -> None:
        """Nothing moves any more, threads that were given up neither."""
        self.environment.close(0)
        for thread in threading.enumerate():
            if thread.name.startswith("race-"):
                thread.join()

    def _send(self, cell: Cell, actor: int, sender: int, begin: threading.Barrier) -> None:
        begin.wait()
        sys.settrace(_slowly)
        number = accepted = 0
        while accepted < ASKS:
            accepted += self._put(cell, Sent(actor, sender, number, asked=True))
            self._put(cell, Sent(actor, sender, number, asked=False))
            number += 1

    def _put(self, cell: Cell, message: Sent) -> bool:
        story = self.story
        try:
            if message.asked:
                story.replies.put(cell.ref.ask_reply(message, CONTEXT))
            else:
                story.told.put(message)
                cell.ref.tell(message, CONTEXT)
        except MailboxFull:
            story.refused.put(message)
            while cell.ref.is_alive() and cell.ref.waiting() >= CAPACITIES[message.actor % len(CAPACITIES)]:
                time.sleep(0)
            return False
        return True

    def _tend(self, cell: Cell) -> None:
        """As a supervisor out of its mind would: give it up when it is stuck, and now and then when it is not."""
        if not self.story.stuck.empty() or (cell.ref.waiting() and self._chance.random() < 0.5):
            self._give_up(cell, final=False)
            self._let_go()
        time.sleep(0)

    def _give_up(self, cell: Cell, *, final: bool) -> bool:
        if cell.abandon(final=final) is None:
            time.sleep(0)
            return False
        self.story.given_up += 1
        cell.order(Start())
        return True

    def _let_go(self) -> None:
        while not self.story.stuck.empty():
            self.story.stuck.get_nowait().set()


def drained(those: "queue.SimpleQueue[Any]") -> list[Any]:
    return [those.get_nowait() for _ in range(those.qsize())]


def _slowly(frame: FrameType, _: str, __: object) -> Callable[..., Any] | None:
    """Trace a sender: at every tenth put another thread goes on before each line."""
    return _yielding if frame.f_code is Mailbox.put_user.__code__ and random.random() < 0.1 else None  # noqa: S311


def _yielding(_: FrameType, __: str, ___: object) -> Callable[..., Any]:
    time.sleep(0)
    return _yielding


def every_message_comes_to_one_end(actors: int) -> None:
    race = Race()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # who yields waits that long for its next turn
    try:
        with capture_logs():
            for number in range(actors):
                race.run(number)
            race.end()
    finally:
        sys.setswitchinterval(before)
    story = race.story
    replies = drained(story.replies)
    hung = [reply for reply in replies if not reply.done]
    assert hung == [], f"{len(hung)} of {len(replies)} asks hang"
    errors = Counter(type(reply.error) for reply in replies)
    refused = Counter(drained(story.refused))
    assert set(errors) == {type(None), ActorStopped}, errors
    assert len(replies) == actors * SENDERS * ASKS
    ends = Counter(drained(story.handled)) + refused + Counter(drained(race.dead.messages))
    assert {each: count for each, count in ends.items() if not each.asked} == Counter(drained(story.told))
    assert story.given_up
    assert refused


def test_of_twenty_thousand_asks_none_hangs_and_every_tell_is_handled_refused_or_a_dead_letter() -> None:
    every_message_comes_to_one_end(actors=500)


@pytest.mark.chaos
def test_of_a_hundred_thousand_asks_none_hangs_and_every_tell_is_handled_refused_or_a_dead_letter() -> None:
    every_message_comes_to_one_end(actors=2500)
