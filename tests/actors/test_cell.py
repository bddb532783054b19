from collections.abc import Iterator
from typing import Any

import pytest
from kernel import CONTEXT, SOON_S, Defers, Gate, HandTimers, Puppet, World, count, failing, world

from domainflow.actors.envelope import Envelope
from domainflow.actors.environment import Environment
from domainflow.actors.restart import Exit
from domainflow.actors.signals import Answer, ChildFailed, ChildStarted, Start, Stop
from domainflow.errors import (
    ActorStopped,
    CommandRejected,
    StoreUnavailable,
    VersionConflict,
)


@pytest.fixture
def here() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.mark.parametrize("refusal", [CommandRejected("no"), VersionConflict("stale"), StoreUnavailable("later")])
def test_a_refusal_goes_to_the_asker_and_the_actor_lives(here: World, refusal: Exception) -> None:
    cell = here.start()
    with pytest.raises(type(refusal), match=str(refusal)):
        cell.ref.ask(failing(refusal), CONTEXT)
    assert cell.ref.ask(count, CONTEXT) == 1
    assert cell.incarnation == 1


def test_a_refused_tell_is_a_dead_letter(here: World) -> None:
    ref = here.start().ref
    ref.tell(failing(CommandRejected("no")), CONTEXT)
    ref.ask(count, CONTEXT)
    assert here.environment.dead_letters.counts() == {"refused": 1}


@pytest.mark.parametrize("error", [ValueError("bug"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_any_other_exception_is_a_failure_told_or_asked(here: World, error: BaseException) -> None:
    cell = here.start()
    cell.ref.tell(failing(error), CONTEXT)
    assert here.report() == ChildFailed("a", 1, error)
    cell.order(Start())
    assert here.report() == ChildStarted("a", 2)
    with pytest.raises(ActorStopped, match="a failed at") as refused:
        cell.ref.ask(failing(error), CONTEXT)
    assert "bug" not in str(refused.value)
    assert here.report() == ChildFailed("a", 2, error)


def test_system_exit_in_one_actor_leaves_all_others_alone(here: World) -> None:
    others = [here.start(path=f"other-{number}") for number in range(20)]
    victim = here.start(path="victim")
    victim.ref.tell(failing(SystemExit(1)), CONTEXT)
    assert here.report().path == "victim"
    assert [cell.ref.ask(count, CONTEXT) for cell in others] == [1] * 20


class FailsOn(Puppet):
    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def on_start(self) -> None:
        if self.where == "on_start":
            raise ValueError(self.where)

    def on_idle(self) -> None:
        if self.where == "on_idle":
            raise ValueError(self.where)


@pytest.mark.parametrize("where", ["on_start", "on_idle"])
def test_a_failure_outside_receive_is_reported_too(here: World, where: str) -> None:
    here.launch(lambda: FailsOn(where))
    reports = [here.report()] if where == "on_start" else [here.report(), here.report()]
    assert isinstance(reports[-1], ChildFailed)
    assert str(reports[-1].error) == where


def test_a_failure_in_a_signal_is_reported(here: World) -> None:
    cell = here.start()
    cell.ref.signal(failing(ValueError("in a signal")))
    assert isinstance(here.report(), ChildFailed)


def test_a_factory_that_raises_is_a_failed_start(here: World) -> None:
    cell = here.launch(failing(ValueError("no behaviour")))
    assert isinstance(here.report(), ChildFailed)
    assert cell.ref.is_alive()


def test_refs_and_waiting_messages_outlive_a_restart(here: World) -> None:
    cell = here.start()
    gate = Gate()
    cell.ref.tell(gate, CONTEXT)
    assert gate.inside.wait(SOON_S)
    cell.ref.tell(failing(ValueError("bug")), CONTEXT)
    waiting = [cell.ref.ask_reply(count, CONTEXT) for _ in range(3)]
    gate.out.set()
    assert isinstance(here.report(), ChildFailed)
    assert not any(reply.done for reply in waiting)
    cell.order(Start())
    assert here.report() == ChildStarted("a", 2)
    assert [reply.get(SOON_S) for reply in waiting] == [1, 2, 3]


def test_signals_that_come_between_two_behaviours_are_heard_by_the_second(here: World) -> None:
    cell = here.start()
    cell.ref.signal(failing(ValueError("bug")))
    assert isinstance(here.report(), ChildFailed)
    cell.ref.signal("early")
    cell.order(Start())
    assert here.report() == ChildStarted("a", 2)
    assert cell.ref.ask(lambda me, _: me.heard.get(timeout=SOON_S), CONTEXT) == "early"


def test_timers_end_with_their_incarnation_set_or_gone_off() -> None:
    timers = HandTimers()

    def set_and_fail(me: Puppet, _: Envelope) -> None:
        me.cell.start_timer("gone off", 1.0, "too late")
        timers.go_off()
        me.cell.start_timer("still set", 1.0, "too late")
        raise ValueError("bug")

    with world(Environment(timers=timers)) as here:
        cell = here.start()
        cell.ref.tell(set_and_fail, CONTEXT)
        assert isinstance(here.report(), ChildFailed)
        cell.order(Start())
        here.report()
        timers.go_off()
        cell.ref.signal("end")
        assert cell.ref.ask(lambda me, _: me.heard.get(timeout=0), CONTEXT) == "end"


def test_a_cancelled_timer_is_not_heard_even_if_it_had_gone_off() -> None:
    timers = HandTimers()

    def set_and_cancel(me: Puppet, _: Envelope) -> None:
        me.cell.start_timer("key", 1.0, "cancelled")
        me.cell.start_timer("key", 1.0, "replaced")
        timers.go_off()
        me.cell.cancel_timer("key")
        me.cell.start_timer("key", 1.0, "kept")
        timers.go_off()

    with world(Environment(timers=timers)) as here:
        cell = here.start()
        cell.ref.ask(set_and_cancel, CONTEXT)
        heard: Any = cell.ref.ask(lambda me, _: me.heard, CONTEXT)
        assert heard.get(timeout=SOON_S) == "kept"
        assert heard.empty()


def test_an_answer_to_a_former_incarnation_is_not_heard(here: World) -> None:
    cell = here.start()
    settle: Any = cell.ref.ask(lambda me, _: me.cell.answer_to("token"), CONTEXT)
    cell.ref.signal(failing(ValueError("bug")))
    here.report()
    cell.order(Start())
    here.report()
    settle("for the dead")
    fresh: Any = cell.ref.ask(lambda me, _: me.cell.answer_to("token"), CONTEXT)
    fresh("for the living")
    assert cell.ref.ask(lambda me, _: me.heard.get(timeout=0), CONTEXT) == Answer("token", "for the living", None)
    assert cell.ref.ask(lambda me, _: me.heard.empty(), CONTEXT)


def test_what_the_cell_keeps_is_there_for_the_next_behaviour(here: World) -> None:
    cell = here.start()

    def keep_and_fail(me: Puppet, _: Envelope) -> None:
        me.cell.kept = "in hand"
        raise ValueError("bug")

    cell.ref.tell(keep_and_fail, CONTEXT)
    here.report()
    cell.order(Start())
    here.report()
    assert cell.ref.ask(lambda me, _: me.cell.kept, CONTEXT) == "in hand"


class Keeps(Defers):
    keeps_deferred = True


def test_deferred_asks_are_failed_with_the_behaviour_unless_it_keeps_them(here: World) -> None:
    for factory, settled in ((Defers, True), (Keeps, False)):
        cell = here.start(factory, path=factory.__name__)
        reply = cell.ref.ask_reply("defer", CONTEXT)
        cell.ref.tell(failing(ValueError("bug")), CONTEXT)
        assert isinstance(here.report(), ChildFailed)
        assert reply.done is settled
        cell.order(Stop(Exit.SHUTDOWN))
        here.report()
        with pytest.raises(ActorStopped, match="ended before it answered"):
            reply.get(SOON_S)
