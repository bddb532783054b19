"""An actor is given up at the worst moments: whoever waits is answered, its successor is left alone."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kernel import CONTEXT, SOON_S, HandTimer, HandTimers, Puppet, World, count, world

from domainflow.actors.cell import Cell
from domainflow.actors.envelope import Envelope
from domainflow.actors.environment import Environment
from domainflow.actors.mailbox import Mailbox
from domainflow.actors.signals import ChildStarted, Start
from domainflow.errors import ActorStopped


class Ambush(Mailbox):
    """Has something done once: when a message was taken out, or before the behaviour's own call gets here."""

    on_take: Callable[[], None] | None = None
    on_call: Callable[[], None] | None = None

    def take(self, turn: int) -> object | None:
        item = super().take(turn)
        if isinstance(item, Envelope) and self.on_take is not None:
            then, self.on_take = self.on_take, None
            then()
        return item

    def called(self) -> None:
        if self.on_call is not None:
            then, self.on_call = self.on_call, None
            then()

    def put_system(self, signal: object) -> bool:
        self.called()
        return super().put_system(signal)

    def suspend(self, *turn: Any) -> None:  # noqa: ANN401  # as a mailbox has it
        self.called()
        super().suspend(*turn)

    def close_if_empty(self, *turn: Any) -> bool:  # noqa: ANN401  # likewise
        self.called()
        return super().close_if_empty(*turn)


class Scene:
    """An actor whose supervisor gives it up, and starts it again, at the moment that the test names."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.behaviours: list[Puppet] = []
        self.cell = Cell(here.environment, "a", self.behave, report=here.reports.put)
        here.cells.append(self.cell)
        self.cell.launch()
        assert here.report() == ChildStarted("a", 1)
        self.inbox = self.cell.actor_inbox

    def behave(self) -> Puppet:
        self.behaviours.append(Puppet())
        return self.behaviours[-1]

    def take_over(self) -> None:
        self.given_up = threading.current_thread()
        supervisor = threading.Thread(target=self.restart)
        supervisor.start()
        supervisor.join(SOON_S)

    def restart(self) -> None:
        assert self.cell.abandon(final=False) is not None
        self.cell.order(Start())
        assert self.here.report() == ChildStarted("a", 2)


@pytest.fixture
def here() -> Iterator[World]:
    with world(Environment(mailbox=lambda _: Ambush())) as made:
        yield made


def test_an_ask_that_was_just_taken_out_is_answered(here: World) -> None:
    scene = Scene(here)
    scene.inbox.on_take = scene.take_over
    with pytest.raises(ActorStopped, match="did not come back"):
        scene.cell.ref.ask_reply(count, CONTEXT).get(SOON_S)


def test_a_tell_that_was_just_taken_out_is_handled_by_who_was_given_up_and_never_by_its_successor(here: World) -> None:
    scene = Scene(here)
    scene.inbox.on_take = scene.take_over
    scene.cell.ref.tell(count, CONTEXT)
    assert scene.cell.ref.ask(lambda *_: "next", CONTEXT) == "next"
    scene.given_up.join(SOON_S)
    assert [behaviour.done for behaviour in scene.behaviours] == [[1], []]
    assert here.environment.dead_letters.count() == 0


def test_a_behaviour_takes_its_place_when_nobody_can_take_it_away(here: World) -> None:
    placing, release = threading.Event(), threading.Event()

    class Placed(Puppet):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "cell":
                placing.set()
                assert release.wait(SOON_S)
            super().__setattr__(name, value)

    cell = here.launch(Placed)
    assert placing.wait(SOON_S)
    assert cell.abandon(final=False) is None
    release.set()
    assert here.report() == ChildStarted("a", 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda me: me.cell.stop(),
        lambda me: me.cell.signal("late"),
        lambda me: me.cell.started(),
        lambda me: me.cell.finish(),
        lambda me: me.cell.suspend_user(),
        lambda me: me.cell.stop_if_idle(),
        lambda me: me.cell.answer_to("late")("value"),
    ],
    ids=["stop", "signal", "started", "finish", "suspend_user", "stop_if_idle", "answer_to"],
)
def test_a_call_that_had_begun_when_the_turn_was_taken_over_does_nothing_to_its_successor(
    here: World, call: Callable[[Puppet], object]
) -> None:
    scene = Scene(here)

    def late(me: Puppet, _: Envelope) -> None:
        scene.inbox.on_call = scene.take_over
        call(me)

    scene.cell.ref.tell(late, CONTEXT)
    assert scene.cell.ref.ask(count, CONTEXT) == 1
    scene.given_up.join(SOON_S)
    scene.cell.ref.signal("heard")
    assert scene.behaviours[1].heard.get(timeout=SOON_S) == "heard"
    assert scene.cell.ref.ask(count, CONTEXT) == 2
    assert (scene.cell.incarnation, scene.cell.ref.is_alive(), here.reports.empty()) == (2, True, True)


def test_a_timer_that_was_being_set_when_the_turn_was_taken_over_takes_no_successor_s_place() -> None:
    timers = HandTimers()
    with world(Environment(timers=timers)) as here:
        scene, release = Scene(here), threading.Event()

        def late(me: Puppet, _: Envelope) -> None:
            def after(delay_s: float, fire: Callable[[], None]) -> HandTimer:
                timers.after = HandTimers.after.__get__(timers)  # type: ignore[method-assign]  # this once
                scene.take_over()
                assert release.wait(SOON_S)
                return timers.after(delay_s, fire)

            timers.after = after  # type: ignore[method-assign]  # this once
            me.cell.start_timer("key", 1.0, "late")

        scene.cell.ref.tell(late, CONTEXT)
        assert scene.cell.ref.ask(lambda me, _: me.cell.start_timer("key", 1.0, "mine"), CONTEXT) is None
        release.set()
        scene.given_up.join(SOON_S)
        timers.go_off()
        assert scene.behaviours[1].heard.get(timeout=SOON_S) == "mine"
