"""What the explorer promises: the same order is the same story, what fails is told short, what lies is found out."""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from races import Race, ReadsThenWrites, Register, Relay, ask_cycle, lost_update, tell_all
from races_of_life import RACES

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.envelope import DEFERRED, Envelope
from domainflow.errors import AskTimeout
from domainflow.testing import (
    CONTEXT,
    ROTATION,
    DeadlockError,
    NondeterministicError,
    RestlessError,
    Schedule,
    ScheduleFailed,
    Search,
    World,
    explore,
    find,
    replay,
    report,
    tell,
)
from domainflow.testing.shrink import schedule_of


@pytest.mark.parametrize("name", RACES)
@pytest.mark.parametrize("strategy", ROTATION)
def test_what_was_told_in_any_order_is_told_again_step_by_step_by_its_schedule(
    name: str, strategy: Callable[[int], Any]
) -> None:
    race = RACES[name]
    for seed in range(10):
        schedule = Schedule(seed=seed, pressed=race.pressed)
        told = tell(race.fixed, schedule, strategy(seed), race.search(1))
        again = tell(race.fixed, schedule_of(told.steps, told.ready, schedule, told.faults))
        assert [step.name for step in again.steps] == [step.name for step in told.steps]


def test_orders_differ(world_of_two: Callable[[World], None]) -> None:
    orders = {
        tuple(step.name for step in tell(world_of_two, Schedule(seed=seed), ROTATION[seed % 5](seed)).steps)
        for seed in range(100)
    }
    assert len(orders) > 40


@pytest.fixture
def world_of_two() -> Callable[[World], None]:
    return RACES["acknowledgements out of order"].fixed


def test_a_story_that_looks_at_something_else_is_found_out() -> None:
    chance = random.Random(1)  # noqa: S311 - no secret

    def story(world: World) -> None:
        for _ in range(chance.randrange(5)):
            world.start("one", Register).tell(1, CONTEXT)
        world.rest()
        raise AssertionError

    with pytest.raises(NondeterministicError, match="told again in the same way"):
        find(story, Search(schedules=20))


def test_a_failing_test_says_the_order_as_a_sentence_a_diagram_and_a_line() -> None:
    @explore(schedules=2000)
    def test(world: World) -> None:
        RACES["initialisation overtaken"].broken(world)

    with pytest.raises(ScheduleFailed) as failed:
        test()
    text = str(failed.value)
    assert "it prints without paper" in text
    assert "the 1st message from store to printer is held back until nothing else can happen" in text
    assert "=tuple=" in text
    assert f"DOMAINFLOW_REPLAY='{failed.value.schedule}'" in text


def test_a_line_in_the_environment_is_the_one_order_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    @explore(schedules=50)
    def test(world: World) -> None:
        told.append(1)
        RACES["initialisation overtaken"].broken(world)

    monkeypatch.setitem(os.environ, "DOMAINFLOW_REPLAY", "seed=2 store>printer#1")
    with pytest.raises(AssertionError, match="it prints without paper"):
        test()
    assert len(told) == 1


def test_an_explored_test_may_have_fixtures() -> None:
    @explore(schedules=3)
    def test(world: World, number: int) -> None:
        assert world.start("one", Register).ask(("add", number), CONTEXT) == 7

    test(number=7)


def test_a_deadlock_is_told_with_who_waits_for_whom() -> None:
    found = find(ask_cycle(listens=False), Search(schedules=10))
    assert found is not None
    assert isinstance(found.told.error, DeadlockError)
    assert "ann waits for bob waits for ann" in report(found)


def test_what_is_never_answered_is_found() -> None:
    class Silent(Behaviour[Any]):
        def receive(self, *_: object) -> object:
            return DEFERRED

    def story(world: World) -> None:
        world.start("silent", Silent).ask_reply("hello", CONTEXT)
        world.rest()

    with pytest.raises(AssertionError, match="story asked silent, and nothing will answer"):
        replay(story, "seed=0")


def test_a_story_without_an_end_is_ended() -> None:
    class Busy(Behaviour[Any]):
        def receive(self, message: object, _: Envelope) -> object:
            self.cell.ref.tell(message, CONTEXT)
            return None

    def story(world: World) -> None:
        world.start("busy", Busy).tell("go on", CONTEXT)
        world.rest()

    with pytest.raises(RestlessError, match="no end after 20000 steps"):
        replay(story, "seed=0")


def test_time_passes_when_nothing_else_can_happen_and_only_then() -> None:
    def story(world: World) -> None:
        register = world.start("register", Register)
        world.thread("late", lambda: (world.sleep(3600), register.tell(1, CONTEXT)))
        tell_all([register] * 3, ("add", 2))
        assert register.ask("read", CONTEXT) == 6
        world.rest(7200)
        assert world.scheduler.monotonic_s() == pytest.approx(3600)
        assert register.ask("read", CONTEXT) == 1

    assert find(story, Search(schedules=100)) is None


def test_under_pressure_an_answer_may_be_too_late() -> None:
    def story(world: World) -> None:
        register = world.start("register", Register)
        register.ask("read", CONTEXT)

    assert find(story, Search(schedules=200)) is None
    found = find(story, Search(schedules=200, pressed=True))
    assert found is not None
    assert isinstance(found.told.error, AskTimeout)


def test_what_a_thread_of_the_host_raises_fails_the_story() -> None:
    def story(world: World) -> None:
        world.thread("other", lambda: 1 // 0)
        world.rest()

    with pytest.raises(ZeroDivisionError):
        replay(story, "seed=0")


def test_an_actor_s_failure_fails_the_story_unless_it_is_expected() -> None:
    def story(world: World, *, expected: bool) -> None:
        if expected:
            world.expect_failures(AttributeError)
        world.start("fails", lambda: Relay(None)).tell("x", CONTEXT)  # type: ignore[arg-type]  # what it fails of
        world.rest()

    with pytest.raises(AssertionError, match="fails failed: AttributeError"):
        replay(lambda world: story(world, expected=False), "seed=0")
    replay(lambda world: story(world, expected=True), "seed=0")


def test_messages_of_one_sender_arrive_in_order_in_every_order() -> None:
    class Ordered(Behaviour[Any]):
        last = 0

        def receive(self, message: int, _: Envelope) -> object:
            assert message == self.last + 1
            self.last = message
            return None

    def story(world: World) -> None:
        ordered = world.start("ordered", Ordered)
        relay = world.start("relay", lambda: Relay(ordered))
        for number in range(1, 6):
            relay.tell(number, CONTEXT)
        world.rest()

    assert find(story, Search(schedules=500)) is None


def test_a_handler_can_be_overtaken_between_two_of_its_messages() -> None:
    """As on real threads: what the first message brings about may come before the second is sent."""

    class Both(Behaviour[Any]):
        def __init__(self, first: Any, second: Any) -> None:  # noqa: ANN401 - refs
            self.first, self.second = first, second

        def receive(self, *_: object) -> object:
            self.first.tell(("add", 1), CONTEXT)
            self.second.tell(5, CONTEXT)
            return None

    def story(world: World) -> None:
        register = world.start("register", Register)
        relay = world.start("relay", lambda: Relay(register))
        world.start("both", lambda: Both(relay, register)).tell("go", CONTEXT)
        world.rest()
        assert register.ask("read", CONTEXT) == 6, "the relay was faster"

    found = find(story, Search(schedules=2000))
    assert found is not None
    assert list(found.schedule.held) == ["both>register#1"]


def test_crashes_are_the_story_s_own_and_not_its_failures() -> None:
    race = Race(lost_update(ReadsThenWrites), lost_update(ReadsThenWrites), faults={"crash": 1.0})
    told = tell(race.broken, Schedule(seed=1), ROTATION[1](1), race.search(1))
    assert told.faults in (["crash:ann*1"], ["crash:bob*1"])
    assert isinstance(told.error, AssertionError)
    assert "failed" not in str(told.error)
