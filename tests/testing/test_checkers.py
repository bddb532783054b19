"""Schedules as lines, shrinking, and what explains a history."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainflow.errors import AskTimeout, CommandRejected, InvalidInput
from domainflow.testing import History, NotLinearizableError, Schedule, Scheduler
from domainflow.testing.points import words
from domainflow.testing.shrink import shrunk
from domainflow.testing.strategies import Held

POINTS = st.sampled_from(["a>b#1", "b!2", "c@3", "d<1", "time#4", "campaigns/1f>store/commit-0#12"])
SCHEDULES = st.builds(
    Schedule,
    seed=st.integers(0, 1 << 40),
    pressed=st.booleans(),
    held=st.dictionaries(POINTS, st.none() | POINTS),
    faults=st.frozensets(st.sampled_from(["crash:a*1", "full:a>b#2"])),
)


@given(SCHEDULES)
def test_a_schedule_is_one_line_and_is_read_back(schedule: Schedule) -> None:
    assert "\n" not in str(schedule)
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize("line", ["", "a>b#1", "seed=x", "seed="])
def test_what_is_no_schedule_is_refused(line: str) -> None:
    with pytest.raises(InvalidInput, match="begins with seed=NUMBER"):
        Schedule.parse(line)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a>b#1", "the 1st message from a to b"),
        ("campaigns/1!22", "the 22nd turn of campaigns/1"),
        ("a@13", "the 13th timer of a"),
        ("host<3", "host after its 3rd wait"),
        ("time#11", "the 11th passing of time"),
    ],
)
def test_a_point_is_said_in_words(name: str, said: str) -> None:
    assert words(name) == said


@given(st.sets(st.integers(0, 30), max_size=4), st.sets(st.integers(0, 30)))
def test_only_what_it_takes_to_fail_is_left(needed: set[int], others: set[int]) -> None:
    names = {f"a>b#{number}" for number in needed}
    given_ = {f"a>b#{number}": "c!1" for number in sorted(needed | others)}
    least = shrunk(Schedule(held=given_), lambda schedule: names <= set(schedule.held))
    assert least.held == dict.fromkeys(sorted(names, key=list(given_).index))


class Cell:
    """A register as it should be."""

    initial: ClassVar[int] = 0

    def apply(self, state: int, call: object) -> tuple[int, object]:
        match call:
            case ("write", int(value)):
                return value, None
            case ("write if", int(value), int(is_)):
                return (value, None) if state == is_ else (state, CommandRejected)
            case _:
                return state, state


class Script:
    """Calls that overlap as a test says."""

    def __init__(self) -> None:
        self.history = History(Scheduler(Held(Schedule())))

    def call(self, call: object, answer: object, *within: "tuple[object, object]") -> "Script":
        def do() -> object:
            for inner, inner_answer in within:
                self.call(inner, inner_answer)
            if isinstance(answer, type) and issubclass(answer, Exception):
                raise answer("so it is")
            return answer

        try:
            self.history.call(call, do)
        except CommandRejected:
            assert answer is CommandRejected
        return self


def test_calls_one_after_the_other_must_be_explained_in_their_order() -> None:
    Script().call(("write", 1), None).call("read", 1).history.check(Cell())
    with pytest.raises(NotLinearizableError, match="no order of these calls explains"):
        Script().call(("write", 1), None).call("read", 0).history.check(Cell())


@pytest.mark.parametrize("seen", [0, 1])
def test_calls_at_once_may_be_explained_in_any_order(seen: int) -> None:
    Script().call(("write", 1), None, ("read", seen)).history.check(Cell())


def test_a_value_may_not_go_back() -> None:
    with pytest.raises(NotLinearizableError):
        Script().call(("write", 1), None, ("read", 1), ("read", 0)).history.check(Cell())


@pytest.mark.parametrize("seen", [0, 1])
def test_what_nobody_knows_was_done_or_not(seen: int) -> None:
    Script().call(("write", 1), AskTimeout).call("read", seen).history.check(Cell())


def test_but_not_both() -> None:
    script = Script().call(("write", 1), AskTimeout)
    with pytest.raises(NotLinearizableError):
        script.call("read", 1).call("read", 0).history.check(Cell())


def test_a_refusal_is_an_answer() -> None:
    Script().call(("write if", 5, 1), CommandRejected).call("read", 0).history.check(Cell())
    with pytest.raises(NotLinearizableError):
        Script().call(("write if", 5, 0), CommandRejected).history.check(Cell())
