"""The orderly end: phase by phase from the right, each within its time, and a report of who did not make it."""

import threading
from math import inf
from typing import Any

import pytest
from kernel import CONTEXT, SOON_S
from one_thread import Staged, staged
from tree import AT_ONCE, Diary, bug, diary, find, nested

from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import DynamicSupervisor, StartChild
from domainflow.actors.restart import Exit, Policy, Strategy
from domainflow.actors.signals import Stop
from domainflow.actors.system import System

__all__ = ["diary", "staged"]  # fixtures


def order_stop(staged: Staged) -> None:
    root: Any = staged.stage.directory.find("root")
    root.signal(Stop(Exit.SHUTDOWN))
    staged.stage.settle()


def stop_while_stuck_at(staged: Staged, path: str) -> None:
    """Stop the system while this one is in a turn that does not come back before all is over."""

    def hang_here(*_: object) -> None:
        order_stop(staged)

    staged.stage.act(path, hang_here)


def test_a_phase_that_takes_too_long_is_given_up_with_all_below_it_and_the_next_one_begins(
    staged: Staged, diary: Diary
) -> None:
    campaigns = ChildSpec(name="campaigns", factory=DynamicSupervisor, kind="supervisor", shutdown_s=5.0)
    staged.start([nested("store", [diary.spec("lane")]), campaigns, nested("upkeep", [diary.spec("leader")])])
    for name in ("6f", "7a"):
        find(staged, "campaigns").ask(StartChild(diary.spec(name, shutdown_s=inf)), CONTEXT)
    diary.all()
    stop_while_stuck_at(staged, "campaigns/6f")
    assert diary.all() == ["-leader", "-7a", "~campaigns/6f", "-lane"]
    (late,) = staged.stop()
    assert late.path == "campaigns/6f"
    assert "in hang_here" in late.stack


def test_the_time_of_a_phase_is_that_of_every_supervisor_below_it(staged: Staged, diary: Diary) -> None:
    deepest = nested("deepest", [diary.spec("a", shutdown_s=inf)])
    staged.start([diary.spec("first"), nested("phase", [nested("deeper", [deepest])], shutdown_s=5.0)])
    diary.all()
    stop_while_stuck_at(staged, "phase/deeper/deepest/a")
    assert diary.all() == ["~phase/deeper/deepest/a", "-first"]


def test_those_whose_turn_to_stop_comes_after_their_phase_s_time_are_taken_away_and_reported(
    staged: Staged, diary: Diary
) -> None:
    staged.start(
        [diary.spec("first"), nested("phase", [diary.spec("a"), diary.spec("b", shutdown_s=inf)], shutdown_s=5.0)]
    )
    diary.all()
    stop_while_stuck_at(staged, "phase/b")
    assert diary.all() == ["~phase/b", "~phase/a", "-first"]


def test_a_supervisor_of_no_time_gives_none_to_those_below_it(staged: Staged, diary: Diary) -> None:
    children = [diary.spec("a"), diary.spec("b", shutdown_s=inf)]
    staged.start([diary.spec("first"), nested("phase", children, shutdown_s=0.0)])
    diary.all()
    stop_while_stuck_at(staged, "phase/b")
    assert diary.all() == ["~phase/b", "~phase/a", "-first"]


def test_a_restart_within_a_phase_s_time_is_no_hurry_for_the_next_incarnation(staged: Staged, diary: Diary) -> None:
    inner = nested("inner", [diary.spec("a", shutdown_s=inf)], shutdown_s=5.0)
    staged.start([diary.spec("first"), inner], Policy(strategy=Strategy.ONE_FOR_ALL))
    diary.all()
    staged.stage.act("inner/a", lambda *_: staged.stage.act("first", bug))  # stuck while all are restarted
    assert diary.all() == ["-first", "~inner/a", "+first", "+a"]
    staged.stop()
    assert diary.all() == ["-a", "-first"]


@pytest.mark.parametrize("turns", range(12))
def test_whenever_a_phase_s_time_runs_out_the_next_incarnation_has_its_own(
    staged: Staged, diary: Diary, turns: int
) -> None:
    inner = nested("inner", [diary.spec("a", shutdown_s=inf)], shutdown_s=5.0)
    staged.start([diary.spec("first"), inner], Policy(strategy=Strategy.ONE_FOR_ALL))
    with staged.stage.thread.held():
        staged.stage.tell("first", bug)
        for _ in range(turns):
            staged.stage.thread.step()
        staged.stage.hand.go_off()
    staged.stage.settle()
    diary.all()
    staged.stop()
    assert diary.all() == ["-a", "-first"]


def test_a_supervisor_has_as_long_as_its_children_need_unless_it_says_otherwise(staged: Staged, diary: Diary) -> None:
    staged.start([nested("phase", [diary.spec("a", shutdown_s=inf)])])
    diary.all()
    with staged.stage.thread.held():
        staged.root.signal(Stop(Exit.SHUTDOWN))
        assert staged.stage.hand.set == []
    assert diary.all() == ["-a"]
    assert staged.stage.hand.set == []


@pytest.mark.parametrize(("stuck", "reported"), [(True, ["a"]), (False, [])])
def test_what_is_taken_away_is_reported_only_if_it_was_in_a_turn(
    staged: Staged, diary: Diary, *, stuck: bool, reported: list[str]
) -> None:
    staged.start([diary.spec("a", shutdown_s=0.0)])
    if stuck:
        stop_while_stuck_at(staged, "a")
    else:
        order_stop(staged)
    assert diary.all() == ["+a", *(f"~{path}" for path in reported)]
    assert [late.path for late in staged.stop()] == reported


def test_on_real_threads_a_stuck_phase_does_not_keep_the_next_one_from_its_end(diary: Diary) -> None:
    inside, release = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        inside.set()
        release.wait()

    system = System()
    phase = nested("phase", [diary.spec("a", shutdown_s=inf)], shutdown_s=0.01)
    system.start([diary.spec("first"), phase], AT_ONCE)
    find(system, "phase/a").tell(hang, CONTEXT)
    assert inside.wait(SOON_S)
    (late,) = system.stop(SOON_S)
    release.set()
    assert (late.path, "release.wait()" in late.stack) == ("phase/a", True)
    assert diary.read(3) == ["+first", "+a", "-first"]
