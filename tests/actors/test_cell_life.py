import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kernel import CONTEXT, SOON_S, Gate, Puppet, World, count, failing, world

from domainflow.actors.cell import Behaviour, Cell
from domainflow.actors.envelope import DEFERRED, Deferred, Envelope, Reply
from domainflow.actors.ref import Status
from domainflow.actors.restart import Exit
from domainflow.actors.signals import ChildStarted, ChildStopped, Start, Stop
from domainflow.errors import (
    ActorStopped,
)


@pytest.fixture
def here() -> Iterator[World]:
    with world() as made:
        yield made


class SlowStart(Puppet):
    def on_start(self) -> Deferred:
        return DEFERRED

    def on_signal(self, signal: object) -> None:
        if signal == "loaded":
            self.cell.started()
        super().on_signal(signal)


def test_a_deferred_start_hears_signals_and_takes_messages_only_when_it_is_complete(here: World) -> None:
    cell = here.launch(SlowStart)
    reply = cell.ref.ask_reply(lambda me, _: me.heard.get(timeout=0), CONTEXT)
    assert cell.ref.status is Status.STARTING
    cell.ref.signal("loaded")
    assert here.report() == ChildStarted("a", 1)
    assert reply.get(SOON_S) == "loaded"


class SlowStop(Puppet):
    def may_stop(self) -> bool:
        self.heard.put("asked")
        return False

    def on_signal(self, signal: object) -> None:
        if signal == "done":
            self.cell.finish()


def test_a_behaviour_may_put_its_house_in_order_before_it_stops(here: World) -> None:
    cell = here.start(SlowStop)
    heard: Any = cell.ref.ask(lambda me, _: me.heard, CONTEXT)
    cell.order(Stop(Exit.SHUTDOWN))
    assert heard.get(timeout=SOON_S) == "asked"
    waiting = cell.ref.ask_reply(count, CONTEXT)
    cell.ref.signal("done")
    assert here.report() == ChildStopped("a", 1, Exit.SHUTDOWN, final=True)
    with pytest.raises(ActorStopped, match="was not handled"):
        waiting.get(0)


def test_a_suspended_actor_hears_signals_and_leaves_messages_where_they_are(here: World) -> None:
    cell = here.start()
    cell.ref.ask(lambda me, _: me.cell.suspend_user(), CONTEXT)
    reply = cell.ref.ask_reply(count, CONTEXT)
    seen = queue.SimpleQueue[bool]()
    cell.ref.signal(lambda _: seen.put(reply.done))
    assert seen.get(timeout=SOON_S) is False
    cell.ref.signal(lambda me: me.cell.resume_user())
    assert reply.get(SOON_S) == 1


def test_a_suspended_actor_is_not_idle(here: World) -> None:
    class Idles(Puppet):
        def on_idle(self) -> None:
            idle.put(len(self.done))

    idle = queue.SimpleQueue[int]()
    cell = here.start(Idles)
    assert idle.get(timeout=SOON_S) == 0
    cell.ref.ask(lambda me, _: me.cell.suspend_user(), CONTEXT)
    waiting = cell.ref.ask_reply(count, CONTEXT)
    heard = threading.Event()
    cell.ref.signal(lambda _: heard.set())
    assert heard.wait(SOON_S)
    cell.ref.signal(lambda me: me.cell.resume_user())
    assert waiting.get(SOON_S) == 1
    assert idle.get(timeout=SOON_S) == 1, "not before the message"


def test_after_its_end_tells_are_dead_letters_and_asks_fail_at_once(here: World) -> None:
    cell = here.start()
    cell.order(Stop(Exit.SHUTDOWN))
    here.report()
    cell.ref.tell(count, CONTEXT)
    with pytest.raises(ActorStopped):
        cell.ref.ask(count, CONTEXT)
    assert not cell.ref.is_alive()
    assert [letter.path for letter in here.environment.dead_letters.last()] == ["a"]
    assert here.environment.directory.find("a") is None


class Passivates(Puppet):
    def on_idle(self) -> None:
        if self.done:
            self.cell.stop_if_idle()


def test_an_idle_actor_can_end_itself_and_never_loses_a_message_that_was_accepted(here: World) -> None:
    for number in range(100):
        cell = here.start(Passivates, path=f"p{number}")
        replies = []
        for _ in range(5):
            try:
                replies.append(cell.ref.ask_reply(count, CONTEXT))
            except ActorStopped:
                break
        outcomes = [reply.error if isinstance(reply.error, ActorStopped) else reply.get(SOON_S) for reply in replies]
        assert here.report() == ChildStopped(f"p{number}", 1, Exit.NORMAL, final=True)
        answered = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert answered == list(range(1, len(answered) + 1))


def test_on_idle_is_called_when_the_mailbox_has_been_drained(here: World) -> None:
    class Batches(Puppet):
        def on_idle(self) -> None:
            if self.done:
                batches.put(len(self.done))
                self.done.clear()

    batches = queue.SimpleQueue[int]()
    cell = here.start(Batches)
    gate = Gate()
    cell.ref.tell(gate, CONTEXT)
    assert gate.inside.wait(SOON_S)
    for _ in range(10):
        cell.ref.tell(count, CONTEXT)
    gate.out.set()
    total = 0
    while total < 10:
        total += batches.get(timeout=SOON_S)
    assert total == 10


def test_a_stuck_behaviour_is_given_up_and_its_thread_touches_nothing_more(here: World) -> None:
    cell = here.start()
    inside, release, zombie = threading.Event(), threading.Event(), queue.SimpleQueue[BaseException]()

    def hang(me: Puppet, _: Envelope) -> None:
        inside.set()
        release.wait()
        try:
            me.cell.suspend_user()  # would hit the successor
        except BaseException as error:
            zombie.put(error)
            raise

    stuck = cell.ref.ask_reply(hang, CONTEXT)
    waiting = cell.ref.ask_reply(count, CONTEXT)
    assert inside.wait(SOON_S)
    stack = cell.abandon(final=False)
    assert stack is not None
    assert "in hang" in stack
    with pytest.raises(ActorStopped, match="did not come back"):
        stuck.get(SOON_S)
    cell.order(Start())
    assert here.report() == ChildStarted("a", 2)
    assert waiting.get(SOON_S) == 1  # while the first thread still hangs
    release.set()
    assert type(zombie.get(timeout=SOON_S)).__name__ == "TurnSeized"
    assert cell.ref.ask(count, CONTEXT) == 2
    assert here.reports.empty()


def test_a_behaviour_that_is_made_too_late_does_not_take_its_successor_s_place(here: World) -> None:
    inside, release, made_late = threading.Event(), threading.Event(), threading.Event()

    class Late(Puppet):
        def on_start(self) -> None:
            made_late.set()

    def make() -> Puppet:
        if inside.is_set():
            return Puppet()
        inside.set()
        release.wait()
        return Late()

    cell = here.launch(make)
    assert inside.wait(SOON_S)
    assert cell.abandon(final=False) is not None
    cell.order(Start())
    assert here.report() == ChildStarted("a", 2)
    (thread,) = (each for each in threading.enumerate() if each.name == "actors-0")
    release.set()
    thread.join(SOON_S)
    assert not made_late.is_set()
    assert cell.ref.ask(lambda me, _: type(me).__name__, CONTEXT) == "Puppet"


def test_a_report_that_raises_costs_no_thread(here: World) -> None:
    broken = Cell(here.environment, "broken", Puppet, report=failing(ValueError("a mistake")))
    broken.launch()
    other = here.start(path="other")
    assert [other.ref.ask(count, CONTEXT) for _ in range(3)] == [1, 2, 3]
    broken.order(Stop(Exit.SHUTDOWN))


def test_of_ten_thousand_asks_racing_stops_none_hangs(here: World) -> None:
    class Echo(Behaviour[int]):
        def receive(self, message: int, envelope: Envelope) -> int:  # noqa: ARG002  # no answer needs it
            return message

    replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    rounds, asks = 100, 50
    for number in range(rounds):
        cell = here.start(Echo, path=f"echo-{number}")
        begin = threading.Barrier(3)

        def ask(cell: Cell = cell, begin: threading.Barrier = begin) -> None:
            begin.wait(SOON_S)
            for message in range(asks):
                replies.put(cell.ref.ask_reply(message, CONTEXT))

        askers = [threading.Thread(target=ask) for _ in range(2)]
        for asker in askers:
            asker.start()
        begin.wait(SOON_S)
        cell.order(Stop(Exit.SHUTDOWN))
        for asker in askers:
            asker.join(SOON_S)
        here.report()
    answered = failed = 0
    for _ in range(rounds * asks * 2):
        reply = replies.get(timeout=SOON_S)
        try:
            reply.get(SOON_S)
            answered += 1
        except ActorStopped:
            failed += 1
    assert answered + failed == 10_000
    assert failed  # or it raced nothing
