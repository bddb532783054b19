import queue
import threading
from collections.abc import Callable
from math import inf

import pytest
from kernel import CONTEXT, SOON_S, Puppet
from tree import AT_ONCE, Diarist, Diary, alive, bug, diary, end, find, nested, system

from domainflow.actors.children import ChildSpec
from domainflow.actors.ref import Status
from domainflow.actors.restart import Budget, Policy, Restart, Strategy
from domainflow.actors.supervisor import Supervisor
from domainflow.actors.system import System
from domainflow.errors import ActorStopped, CommandRejected, InvalidInput, Unavailable

__all__ = ["diary", "system"]  # fixtures

LENIENT = Budget(100, 60)


# --- start and stop


def test_children_start_left_to_right_and_stop_right_to_left(system: System, diary: Diary) -> None:
    system.start([diary.spec(name) for name in "abc"])
    assert diary.read(3) == ["+a", "+b", "+c"]
    assert alive(system) == ["root", "a", "b", "c"]
    assert system.stop(SOON_S) == ()
    assert diary.read(3) == ["-c", "-b", "-a"]


def test_a_child_starts_only_when_the_one_before_it_has_started(system: System, diary: Diary) -> None:
    loaded = threading.Event()

    class Slow(Diarist):
        def on_start(self) -> None:
            assert loaded.wait(SOON_S)
            super().on_start()

    starter = threading.Thread(
        target=system.start, args=([ChildSpec(name="slow", factory=lambda: Slow(diary, "slow")), diary.spec("b")],)
    )
    starter.start()
    with pytest.raises(queue.Empty):
        diary.lines.get(timeout=0.05)
    loaded.set()
    starter.join(SOON_S)
    assert diary.read(2) == ["+slow", "+b"]


def test_a_first_start_that_fails_is_raised_and_what_had_started_is_stopped(system: System, diary: Diary) -> None:
    class Broken(Diarist):
        def on_start(self) -> None:
            raise Unavailable("the store cannot be reached")

    with pytest.raises(Unavailable, match="the store cannot be reached"):
        system.start([diary.spec("a"), ChildSpec(name="b", factory=lambda: Broken(diary, "b")), diary.spec("c")])
    assert diary.read(2) == ["+a", "-a"]
    assert diary.lines.empty()
    assert alive(system) == []


def test_supervisors_nest_and_a_tree_is_stopped_depth_first_from_the_right(system: System, diary: Diary) -> None:
    system.start([diary.spec("a"), nested("inner", [diary.spec(name) for name in "bc"]), diary.spec("d")])
    assert diary.read(4) == ["+a", "+b", "+c", "+d"]
    assert alive(system) == ["root", "a", "inner", "inner/b", "inner/c", "d"]
    system.stop(SOON_S)
    assert diary.read(4) == ["-d", "-c", "-b", "-a"]


def test_a_child_that_does_not_stop_in_time_is_left_behind_and_reported_with_its_stack(diary: Diary) -> None:
    release = threading.Event()

    class Stubborn(Diarist):
        def on_stop(self) -> None:
            release.wait()

    system = System()
    specs = [diary.spec("a"), ChildSpec(name="b", factory=lambda: Stubborn(diary, "b"), shutdown_s=0.05)]
    system.start(specs)
    (stuck,) = system.stop(SOON_S)
    release.set()
    assert stuck.path == "b"
    assert "release.wait()" in stuck.stack
    assert diary.read(3) == ["+a", "+b", "-a"]


def test_stopping_reports_who_is_not_done_when_time_is_up(diary: Diary) -> None:
    release = threading.Event()

    class Stubborn(Diarist):
        def on_stop(self) -> None:
            release.wait()

    system = System()
    system.start([ChildSpec(name="b", factory=lambda: Stubborn(diary, "b"), shutdown_s=inf)])
    stuck = {each.path: each.stack for each in system.stop(0.05)}
    release.set()
    assert set(stuck) == {"root", "b"}
    assert "release.wait()" in stuck["b"]


def test_a_stuck_actor_on_every_thread_of_the_pool_does_not_keep_supervisors_from_acting(diary: Diary) -> None:
    release, inside = threading.Event(), threading.Semaphore(0)

    def hang(*_: object) -> None:
        inside.release()
        release.wait()

    system = System()
    system.start([nested("inner", [diary.spec(name, shutdown_s=0.05) for name in "ab"])])
    for name in "ab":
        find(system, f"inner/{name}").tell(hang, CONTEXT)
        assert inside.acquire(timeout=SOON_S)
    assert [stuck.path for stuck in system.stop(SOON_S)] == ["inner/b", "inner/a"]
    release.set()


def test_two_children_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="same name"):
        Supervisor([ChildSpec(name="a", factory=Puppet), ChildSpec(name="a", factory=Puppet)])
    with pytest.raises(InvalidInput, match="slash"):
        ChildSpec(name="a/b", factory=Puppet)


def test_a_static_supervisor_takes_no_messages(system: System, diary: Diary) -> None:
    system.start([diary.spec("a")])
    with pytest.raises(CommandRejected, match="root has a fixed list"):
        system.root.ask("hello", CONTEXT)


# --- restart


@pytest.mark.parametrize(
    ("strategy", "happens"),
    [
        (Strategy.ONE_FOR_ONE, ["-b", "+b"]),
        (Strategy.ONE_FOR_ALL, ["-b", "-c", "-a", "+a", "+b", "+c"]),
        (Strategy.REST_FOR_ONE, ["-b", "-c", "+b", "+c"]),
    ],
)
def test_a_failure_restarts_whom_the_strategy_says(
    system: System, diary: Diary, strategy: Strategy, happens: list[str]
) -> None:
    system.start([diary.spec(name) for name in "abc"], Policy(strategy=strategy, base_s=0))
    refs = {name: find(system, name) for name in "abc"}
    diary.read(3)
    refs["b"].tell(bug, CONTEXT)
    assert diary.read(len(happens)) == happens
    # All refs are the same as before, and answered by new behaviours.
    assert [ref.ask(lambda me, _: me.name, CONTEXT) for ref in refs.values()] == ["a", "b", "c"]
    assert diary.lines.empty()


@pytest.mark.parametrize(
    ("restart", "how", "comes_back"),
    [
        (Restart.PERMANENT, bug, True),
        (Restart.PERMANENT, end, True),
        (Restart.TRANSIENT, bug, True),
        (Restart.TRANSIENT, end, False),
        (Restart.TEMPORARY, bug, False),
        (Restart.TEMPORARY, end, False),
    ],
)
def test_a_child_comes_back_as_its_restart_type_says(
    system: System, diary: Diary, restart: Restart, how: Callable[..., object], *, comes_back: bool
) -> None:
    system.start([diary.spec("a", restart=restart)], AT_ONCE)
    ref = find(system, "a")
    ref.tell(how, CONTEXT)
    if comes_back:
        assert diary.read(3) == ["+a", "-a", "+a"]
        assert ref.ask(lambda me, _: me.cell.incarnation, CONTEXT) == 2
    else:
        assert diary.read(2) == ["+a", "-a"]
        with pytest.raises(ActorStopped):
            ref.ask(how, CONTEXT, timeout_s=SOON_S)


def test_messages_wait_through_the_delay_before_a_restart(system: System, diary: Diary) -> None:
    system.start([diary.spec("a")], Policy(base_s=0.05))
    ref = find(system, "a")
    ref.tell(bug, CONTEXT)
    assert ref.ask(lambda me, _: me.cell.incarnation, CONTEXT, timeout_s=SOON_S) == 2


def test_a_failed_restart_counts_and_is_tried_again(system: System, diary: Diary) -> None:
    attempts = iter([None, ValueError("1"), ValueError("2"), None])

    class Shaky(Diarist):
        def on_start(self) -> None:
            error = next(attempts)
            if error is not None:
                raise error
            super().on_start()

    system.start([ChildSpec(name="a", factory=lambda: Shaky(diary, "a"))], AT_ONCE)
    find(system, "a").tell(bug, CONTEXT)
    assert diary.read(3) == ["+a", "-a", "+a"]
    assert find(system, "a").ask(lambda me, _: me.cell.incarnation, CONTEXT) == 4


def test_a_used_up_budget_escalates_and_the_level_above_restarts_the_level_below(system: System, diary: Diary) -> None:
    strict = Policy(budget=Budget(1, 60), base_s=0)
    system.start([nested("inner", [diary.spec("a"), diary.spec("b")], strict)], AT_ONCE)
    b, sibling = find(system, "inner/b"), find(system, "inner/a")
    diary.read(2)
    b.tell(bug, CONTEXT)
    assert diary.read(2) == ["-b", "+b"]
    b.tell(bug, CONTEXT)
    assert diary.read(4) == ["-b", "-a", "+a", "+b"]
    # The refs that others hold outlive their supervisor too.
    assert [ref.ask(lambda me, _: me.name, CONTEXT) for ref in (sibling, b)] == ["a", "b"]
    assert find(system, "inner").incarnation == 2


def test_when_the_root_has_used_up_its_budget_everything_is_stopped_and_the_host_hears_why(
    system: System, diary: Diary
) -> None:
    failed: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    policy = Policy(budget=Budget(0, 60))
    system.start([diary.spec("a"), diary.spec("b")], policy, on_root_failed=failed.put)
    find(system, "b").tell(bug, CONTEXT)
    error = failed.get(timeout=SOON_S)
    assert isinstance(error, ActorStopped)
    assert isinstance(error.__cause__, ValueError)
    assert diary.read(4) == ["+a", "+b", "-b", "-a"]


def test_a_supervisor_that_is_not_restarted_takes_its_halted_children_with_it(system: System, diary: Diary) -> None:
    strict = Policy(budget=Budget(0, 60))
    inner = ChildSpec(
        name="inner",
        factory=lambda: Supervisor([diary.spec("a")], strict),
        kind="supervisor",
        restart=Restart.TEMPORARY,
    )
    system.start([inner, diary.spec("other")], AT_ONCE)
    ref = find(system, "inner/a")
    ref.tell(bug, CONTEXT)
    with pytest.raises(ActorStopped):
        ref.ask(lambda me, _: me.name, CONTEXT, timeout_s=SOON_S)
    assert find(system, "other").status is Status.RUNNING


@pytest.mark.parametrize("strategy", list(Strategy))
def test_failures_of_many_at_once_end_in_everybody_running(system: System, diary: Diary, strategy: Strategy) -> None:
    system.start([diary.spec(name) for name in "abcd"], Policy(strategy=strategy, base_s=0, budget=LENIENT))
    refs = [find(system, name) for name in "abcd"]
    for ref in refs * 5:
        ref.tell(bug, CONTEXT)
    assert [ref.ask(lambda me, _: me.name, CONTEXT, timeout_s=SOON_S) for ref in refs] == list("abcd")
