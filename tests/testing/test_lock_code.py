"""The kernel's own lock code, told in every order of its statements; and what each of its guards is there for."""

import inspect
from collections.abc import Callable
from typing import Any, Final

import pytest

from domainflow.actors import envelope, mailbox
from domainflow.actors.envelope import Envelope
from domainflow.errors import MailboxFull
from domainflow.testing import CONTEXT, Search, World, find
from domainflow.testing.exploring import run
from domainflow.testing.instrumented import instrumented

Changes = tuple[tuple[str, str], ...]
ORDERS: Final = 500


def letters(*words: str) -> list[Envelope]:
    return [Envelope(word, CONTEXT) for word in words]


def mailbox_story(*instead: tuple[str, str]) -> Callable[[World], None]:
    """Two send, one runs turns whenever it is woken, one closes."""

    def story(world: World) -> None:
        code = instrumented(mailbox, world.scheduler, instead=instead)
        box, turns, handled = code.Mailbox(), list[int](), list[object]()
        accepted: list[object] = []

        def turn() -> None:
            number = box.begin()
            assert number is not None, "woken while a turn runs"
            turns.append(number)
            assert len(turns) == 1, "two turns at once"
            while (item := box.take(number)) is not None:
                handled.append(item.message if isinstance(item, Envelope) else item)
                if isinstance(item, Envelope):
                    box.leave(number)
            turns.remove(number)
            if box.rest(number):
                wake()

        def wake() -> None:
            world.thread(f"turn-{world.scheduler.nth('turn')}", turn)

        def send(*words: str) -> None:
            for each in letters(*words):
                try:
                    if box.put_user(each):
                        accepted.append(each.message)
                except MailboxFull:
                    pass

        box.bind(wake, 2)
        world.thread("ann", lambda: send("a1", "a2"))
        world.thread("bob", lambda: send("b1"))
        world.thread("signaller", lambda: accepted.append("s1") if box.put_system("s1") else None)
        left: list[object] = []

        def close() -> None:
            messages, signals = box.close()
            left.extend([*(each.message for each in messages), *signals])

        world.thread("closer", close)
        world.join()
        assert sorted(map(str, handled + left)) == sorted(map(str, accepted))
        assert [w for w in handled if w in {"a1", "a2"}] == [w for w in ("a1", "a2") if w in handled]
        assert box.empty()

    return story


def wake_up_story(*instead: tuple[str, str]) -> Callable[[World], None]:
    """One sends while a turn comes to its end: somebody must handle it."""

    def story(world: World) -> None:
        code = instrumented(mailbox, world.scheduler, instead=instead)
        box, handled = code.Mailbox(), list[object]()

        def turn() -> None:
            number = box.begin()
            if number is None:
                return
            while (item := box.take(number)) is not None:
                handled.append(item.message)
                box.leave(number)
            if box.rest(number):
                world.thread(f"turn-{world.scheduler.nth('turn')}", turn)

        box.bind(lambda: world.thread(f"turn-{world.scheduler.nth('turn')}", turn), 10)
        for name in ("ann", "bob"):
            world.thread(name, lambda name=name: box.put_user(letters(name)[0]))
        world.join()
        assert sorted(map(str, handled)) == ["ann", "bob"], f"nobody handles what waits: {handled}"

    return story


def seizing_story(*instead: tuple[str, str]) -> Callable[[World], None]:
    """A turn that is stuck in a behaviour is taken over: its thread can touch nothing afterwards."""

    def story(world: World) -> None:
        code = instrumented(mailbox, world.scheduler, instead=instead)
        box, owners = code.Mailbox(), list[str]()
        box.bind(lambda: None, 10)
        for each in letters("one", "two"):
            box.put_user(each)

        def old() -> None:
            number = box.begin()
            if number is None:
                return
            try:
                while box.take(number) is not None:
                    box.leave(number)
                    owners.append("old")
                box.rest(number)
            except code.TurnSeized:
                pass

        def supervisor() -> None:
            seized = box.seize()
            if seized is not None:
                owners.append("new")
                while box.take(seized.turn) is not None:
                    box.leave(seized.turn)
                    owners.append("new")

        world.thread("old", old)
        world.thread("supervisor", supervisor)
        world.join()
        assert owners == sorted(owners, reverse=True), f"it went on after it was taken over: {owners}"

    return story


def reply_story(*instead: tuple[str, str]) -> Callable[[World], None]:
    """Two answer, one waits, one wants to be called: one answer wins, and both hear of it, once."""

    def story(world: World) -> None:
        code: Any = instrumented(envelope, world.scheduler, instead=instead)
        reply, heard, won = code.Reply(), list[object](), list[object]()
        code.__dict__["here"] = envelope.here
        for name in ("ann", "bob"):
            world.thread(name, lambda name=name: won.append(name) if reply.settle(name, None) else None)
        world.thread("caller", lambda: reply.add_done_callback(lambda settled: heard.append(settled.value)))
        world.thread("waiter", lambda: heard.append(reply.get(10.0)))
        world.join()
        assert heard == won * 2, f"{won} answered, and {heard} was heard"

    return story


STORIES: Final = {
    "mailbox": mailbox_story,
    "wake-up": wake_up_story,
    "seizing": seizing_story,
    "reply": reply_story,
}
GATED: Final = """        with self._gate:
            if self._closed:
                return False
"""
UNGATED: Final = """        if self._closed:
            return False
        with self._gate:
"""
USER: Final = "            if self._user.qsize()"
SYSTEM: Final = "            self._system.put(signal)"
RESTS: Final = """        with self._gate:
            if turn != self._turn:
                return False
            self._turning = False
            self._scheduled = not self._closed and self._deliverable()
"""
RESTS_BLINDLY: Final = """        more = self._deliverable()
        with self._gate:
            self._turning = False
            self._scheduled = more
"""
CALLS: Final = """            if self._result is None:
                self._callbacks.append(callback)
                return
"""
CALLS_UNGATED: Final = """            pass
        if self._result is None:
            self._callbacks.append(callback)
            return
"""
SECOND: Final = """                self.late += 1
                return False
"""
LOOK: Final = """            if self._result is not None:
                return
            arrived"""
SEIZED: Final = """        if turn != self._turn and turn is not None:
            raise TurnSeized"""
MUTATIONS: Final = {
    "it looks whether it is closed before the lock": (mailbox_story, (GATED + USER, UNGATED + USER)),
    "likewise for signals": (mailbox_story, (GATED + SYSTEM, UNGATED + SYSTEM)),
    "woken although it is awake": (mailbox_story, ("if self._scheduled or not deliverable", "if not deliverable")),
    "rest does not look again": (
        wake_up_story,
        ("self._scheduled = not self._closed and self._deliverable()", "self._scheduled = False"),
    ),
    "rest looks before the lock": (wake_up_story, (RESTS, RESTS_BLINDLY)),
    "who was taken over goes on": (seizing_story, (SEIZED, "        return")),
    "two answers": (reply_story, (SECOND, "                self.late += 1\n")),
    "called before it is known whether it is settled": (reply_story, (CALLS, CALLS_UNGATED)),
    "waits without another look": (reply_story, (LOOK, "            arrived")),
}


@pytest.mark.parametrize("name", STORIES)
def test_it_stands_five_hundred_orders_of_its_statements(name: str) -> None:
    run(STORIES[name](), Search(schedules=ORDERS))


@pytest.mark.chaos
@pytest.mark.parametrize("name", STORIES)
def test_it_stands_twenty_thousand_orders(name: str) -> None:
    run(STORIES[name](), Search(schedules=20_000))


@pytest.mark.parametrize("name", MUTATIONS)
def test_without_a_guard_an_order_is_found_that_breaks_it(name: str) -> None:
    story, change = MUTATIONS[name]
    assert (inspect.getsource(mailbox) + inspect.getsource(envelope)).count(change[0]) == 1
    assert find(story(change), Search(schedules=10 * ORDERS)) is not None
