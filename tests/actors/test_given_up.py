"""An actor is given up at the worst moments: whoever waits is answered, its successor is left alone."""

import threading
from collections.abc import Callable, Iterator

import pytest
from kernel import CONTEXT, SOON_S, Puppet, World, count, world

from domainflow.actors.cell import Cell
from domainflow.actors.envelope import Envelope
from domainflow.actors.mailbox import Mailbox
from domainflow.actors.signals import ChildStarted, Start
from domainflow.errors import ActorStopped


class Ambush(Mailbox):
    """Has something done at the moment when a message was taken out, and its handler not entered."""

    then: Callable[[], None] | None = None

    def take(self, turn: int) -> object | None:
        item = super().take(turn)
        if isinstance(item, Envelope) and self.then is not None:
            then, self.then = self.then, None
            then()
        return item


class Ambushed(Cell):
    _create_actor_inbox = staticmethod(Ambush)


class Scene:
    """An actor whose supervisor gives it up, and starts it again, when its first message was just taken out."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.behaviours: list[Puppet] = []
        self.cell = Ambushed(here.environment, "a", self.behave, report=here.reports.put)
        here.cells.append(self.cell)
        self.cell.launch()
        assert here.report() == ChildStarted("a", 1)
        self.cell.actor_inbox.then = self.take_over

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
    with world() as made:
        yield made


def test_an_ask_that_was_just_taken_out_is_answered(here: World) -> None:
    scene = Scene(here)
    with pytest.raises(ActorStopped, match="did not come back"):
        scene.cell.ref.ask_reply(count, CONTEXT).get(SOON_S)


def test_a_tell_that_was_just_taken_out_is_handled_by_who_was_given_up_and_never_by_its_successor(here: World) -> None:
    scene = Scene(here)
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
