"""What happens at an awkward moment: while others start or stop, twice in one breath."""

from collections.abc import Callable
from functools import partial
from math import inf

import pytest
from kernel import Puppet
from one_thread import Staged, staged
from tree import Diarist, Diary, alive, bug, diary, end, nested

from domainflow.actors.children import ChildSpec
from domainflow.actors.envelope import Envelope
from domainflow.actors.restart import AutoShutdown, Budget, Exit, Policy, Restart, Strategy
from domainflow.actors.signals import Stop

__all__ = ["diary", "staged"]  # fixtures

ONCE = Budget(1, 60.0)


class Meddler(Diarist):
    """Lets the others do something while it starts or stops."""

    def __init__(self, diary: Diary, name: str, *, starting: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(diary, name)
        self.starting, self.stopping = starting, stopping

    def on_start(self) -> None:
        self.starting()
        super().on_start()

    def on_stop(self) -> None:
        super().on_stop()
        self.stopping()


def nothing() -> None:
    pass


def meddler(
    diary: Diary, name: str, *, starting: Callable[[], None] = nothing, stopping: Callable[[], None] = nothing
) -> ChildSpec:
    factory = partial(Meddler, diary, name, starting=starting, stopping=stopping)
    return ChildSpec(name=name, factory=factory, shutdown_s=inf)


def once(act: Callable[[], None]) -> Callable[[], None]:
    left = [act]
    return lambda: left.pop()() if left else None


@pytest.mark.parametrize("how", [end, bug])
@pytest.mark.parametrize(
    ("strategy", "happens"),
    [
        (Strategy.ONE_FOR_ONE, "+a -a +b +c +a"),
        (Strategy.ONE_FOR_ALL, "+a -a +b +c -c -b +a +b +c"),
        (Strategy.REST_FOR_ONE, "+a -a +b +c -c -b +a +b +c"),
    ],
)
def test_who_ends_while_others_start_for_the_first_time_is_seen_to_when_all_have(
    staged: Staged, diary: Diary, strategy: Strategy, happens: str, how: Callable[..., object]
) -> None:
    meanwhile = once(lambda: staged.stage.act("a", how))
    specs = [diary.spec("a"), meddler(diary, "b", starting=meanwhile), diary.spec("c")]
    staged.start(specs, Policy(strategy=strategy, budget=ONCE))
    staged.stage.settle()
    assert " ".join(diary.all()) == happens


def test_ends_during_the_first_start_that_are_too_many_are_no_failed_start(staged: Staged, diary: Diary) -> None:
    meanwhile = once(lambda: staged.stage.act("inner/a", bug))
    inner = [diary.spec("a"), meddler(diary, "b", starting=meanwhile)]
    staged.start([nested("inner", inner, Policy(budget=Budget(0, 60.0)))])  # else: raises the bug
    staged.stage.settle()
    assert " ".join(diary.all()) == "+a -a +b -b +a +b"


@pytest.mark.parametrize("how", [end, bug])
def test_who_ends_when_the_others_stop_for_a_restart_of_all_costs_nothing_more(
    staged: Staged, diary: Diary, how: Callable[..., object]
) -> None:
    meanwhile = once(lambda: staged.stage.act("b", how))
    specs = [diary.spec("a"), diary.spec("b"), meddler(diary, "c", stopping=meanwhile)]
    staged.start(specs, Policy(strategy=Strategy.ONE_FOR_ALL, budget=ONCE))
    diary.all()
    staged.stage.act("a", bug)
    assert " ".join(diary.all()) == "-a -c -b +a +b +c"


def test_a_temporary_one_that_ends_when_it_was_to_be_stopped_is_gone_like_any_other(
    staged: Staged, diary: Diary
) -> None:
    meanwhile = once(lambda: staged.stage.act("t", bug))
    specs = [
        diary.spec("a"),
        diary.spec("t", restart=Restart.TEMPORARY),
        meddler(diary, "c", stopping=meanwhile),
    ]
    staged.start(specs, Policy(strategy=Strategy.ONE_FOR_ALL, budget=ONCE))
    diary.all()
    staged.stage.act("a", bug)
    assert " ".join(diary.all()) == "-a -c -t +a +c"
    assert alive(staged) == ["root", "a", "c"]


def test_a_temporary_one_is_forgotten_too_when_another_restart_takes_over(staged: Staged, diary: Diary) -> None:
    starts = iter([nothing, lambda: staged.stage.act("inner/c", bug), nothing])

    def starting() -> None:
        next(starts)()

    specs = [
        diary.spec("a"),
        diary.spec("t", restart=Restart.TEMPORARY, significant=True),
        diary.spec("s", restart=Restart.TRANSIENT, significant=True),
        diary.spec("c"),
        meddler(diary, "d", starting=starting),
    ]
    policy = Policy(strategy=Strategy.REST_FOR_ONE, auto_shutdown=AutoShutdown.ALL_SIGNIFICANT)
    staged.start([nested("inner", specs, policy, restart=Restart.TRANSIENT)])
    diary.all()
    staged.stage.act("inner/a", bug)
    assert " ".join(diary.all()) == "-a -d -c -s -t +a +s +c -c +d -d +c +d"
    staged.stage.act("inner/s", end)
    assert alive(staged) == ["root"]  # no significant one is left


def test_whose_failure_comes_before_the_others_of_a_restart_is_counted_and_widens_it(
    staged: Staged, diary: Diary
) -> None:
    meanwhile = once(lambda: staged.stage.act("a", bug))
    specs = [diary.spec("a"), diary.spec("b"), meddler(diary, "c", stopping=meanwhile)]
    staged.start(specs, Policy(strategy=Strategy.REST_FOR_ONE, budget=Budget(2, 60.0)))
    diary.all()
    staged.stage.act("b", bug)
    assert " ".join(diary.all()) == "-b -c -a +a +b +c"


@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TRANSIENT])
def test_who_tells_itself_to_stop_and_then_fails_has_failed_and_once(
    staged: Staged, diary: Diary, restart: Restart
) -> None:
    def stop_and_fail(me: Puppet, envelope: Envelope) -> None:
        end(me, envelope)
        bug()

    staged.start([diary.spec("a", restart=restart)], Policy(budget=ONCE))
    diary.all()
    staged.stage.act("a", stop_and_fail)
    assert " ".join(diary.all()) == "-a +a"


def test_the_late_answer_of_one_that_was_given_up_is_not_taken_for_its_successor_s(
    staged: Staged, diary: Diary
) -> None:
    stage = staged.stage
    staged.start([diary.spec("first"), diary.spec("a")], Policy(strategy=Strategy.ONE_FOR_ALL))

    def stuck(*_: object) -> None:
        stage.tell("first", bug)
        stage.thread.run_on()  # a is told to stop,
        stage.hand.go_off()
        stage.thread.step()  # and given up: the order is still in its mailbox.
        stage.hand.go_off()
        stage.thread.run_others()  # It is told to start again,
        staged.root.signal(Stop(Exit.SHUTDOWN))
        stage.thread.run_others()  # and to stop again, before it answers the first order.

    stage.act("a", stuck)
    assert " ".join(diary.all()) == "+first +a -first ~a +first +a -a -first"


def test_who_does_not_want_to_start_says_so_by_ending_and_holds_up_nobody(staged: Staged, diary: Diary) -> None:
    """What is `ignore` in OTP."""

    class Unwilling(Diarist):
        def on_start(self) -> None:
            self.cell.stop()

    spec = ChildSpec(name="b", factory=lambda: Unwilling(diary, "b"), restart=Restart.TRANSIENT)
    staged.start([diary.spec("a"), spec, diary.spec("c")], Policy(budget=Budget(0, 60.0)))
    staged.stage.settle()
    assert alive(staged) == ["root", "a", "c"]
    assert sorted(diary.all()) == ["+a", "+c", "-b"]
