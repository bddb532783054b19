"""Supervisors above supervisors, and those whose children come and go: what one level does about the other's end."""

from collections.abc import Callable
from typing import Any

import pytest
from kernel import CONTEXT, failing
from one_thread import Staged, staged
from tree import Diarist, Diary, alive, bug, diary, end, fail_orderly, find, nested

from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import DynamicSupervisor, StartChild, StopChild
from domainflow.actors.restart import Budget, Policy, Restart
from domainflow.actors.system import System
from domainflow.errors import CommandRejected, RestartsExhausted

__all__ = ["diary", "staged"]  # fixtures

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY


def at_most(restarts: int) -> Policy:
    return Policy(budget=Budget(restarts, 3600.0))


# --- a level that gives up


@pytest.mark.parametrize(
    ("restart", "comes_back"),
    [
        pytest.param(PERMANENT, True, id="escalation: a permanent supervisor is restarted, with all below it"),
        pytest.param(TRANSIENT, False, id="escalation: it ends as by shutdown, so a transient one is not restarted"),
        pytest.param(TEMPORARY, False, id="escalation: a temporary one is gone"),
    ],
)
def test_a_supervisor_that_gives_up_ends_in_order_and_the_level_above_decides(
    staged: Staged, diary: Diary, restart: Restart, *, comes_back: bool
) -> None:
    inner = nested("inner", [diary.spec("a"), diary.spec("b")], at_most(1), restart=restart)
    staged.start([inner, diary.spec("other")], at_most(1))
    staged.stage.act("inner/b", bug)
    diary.all()
    staged.stage.act("inner/b", bug)
    assert diary.all() == ["-b", "-a", *(["+a", "+b"] if comes_back else [])]
    assert alive(staged) == ["root", *(["inner", "inner/a", "inner/b"] if comes_back else []), "other"]


def test_a_transient_supervisor_that_fails_of_something_else_is_restarted(staged: Staged, diary: Diary) -> None:
    staged.start([nested("inner", [diary.spec("a")], restart=TRANSIENT)])
    diary.all()
    fail_orderly(find(staged, "inner"))
    staged.stage.settle()
    assert diary.all() == ["-a", "+a"]


@pytest.mark.parametrize(
    ("budgets", "starts"), [((0,), 1), ((2,), 3), ((1, 1), 4), ((2, 3), 12), ((1, 1, 1), 8), ((3, 0, 1), 8)]
)
def test_budgets_multiply_from_level_to_level(
    staged: Staged, diary: Diary, budgets: tuple[int, ...], starts: int
) -> None:
    """The root's first. So the upper ones are better small."""
    heard: list[BaseException] = []
    spec, path = diary.spec("leaf"), "leaf"
    for level, budget in enumerate(reversed(budgets[1:])):
        spec, path = nested(f"s{level}", [spec], at_most(budget)), f"s{level}/{path}"
    staged.start([spec], at_most(budgets[0]), on_root_failed=heard.append)
    while not heard:
        staged.stage.act(path, bug)
    assert diary.all() == ["+leaf", "-leaf"] * starts
    assert [type(error) for error in heard] == [RestartsExhausted]


@pytest.mark.parametrize(("outer", "inner", "starts"), [(0, 0, 1), (2, 3, 6), (3, 2, 6)])
def test_a_start_that_never_succeeds_again_is_tried_once_for_each_restart_of_a_level(
    staged: Staged, diary: Diary, outer: int, inner: int, starts: int
) -> None:
    """Below, each failed restart counts; above, each failed start of a supervisor, which tries nothing again."""
    heard: list[BaseException] = []

    class OnlyOnce(Diarist):
        def on_start(self) -> None:
            super().on_start()
            if self.cell.incarnation > 1:
                raise ValueError("never again")

    leaf = ChildSpec(name="leaf", factory=lambda: OnlyOnce(diary, "leaf"))
    staged.start([nested("inner", [leaf], at_most(inner))], at_most(outer), on_root_failed=heard.append)
    staged.stage.act("inner/leaf", bug)
    assert diary.all().count("+leaf") == starts
    assert [type(error) for error in heard] == [RestartsExhausted]


# --- children that come and go


def campaigns(system: System, policy: Policy, restart: Restart = PERMANENT, **hooks: Any) -> Any:  # noqa: ANN401  # its ref, and the hooks it takes
    spec = ChildSpec(
        name="campaigns", factory=lambda: DynamicSupervisor(policy, **hooks), kind="supervisor", restart=restart
    )
    system.start([spec], at_most(1))
    return system.environment.directory.find("campaigns")


@pytest.mark.parametrize(
    ("restart", "how", "comes_back"),
    [
        pytest.param(PERMANENT, end, True, id="permanent: always"),
        pytest.param(PERMANENT, bug, True, id="permanent: always, after a failure"),
        pytest.param(PERMANENT, failing(SystemExit()), True, id="permanent: always, after a SystemExit"),
        pytest.param(TRANSIENT, end, False, id="transient: not after a normal end, and forgotten"),
        pytest.param(TRANSIENT, bug, True, id="transient: after a failure"),
        pytest.param(TRANSIENT, failing(SystemExit()), True, id="transient: after a SystemExit"),
        pytest.param(TEMPORARY, end, False, id="temporary: never"),
        pytest.param(TEMPORARY, bug, False, id="temporary: never, after a failure"),
        pytest.param(TEMPORARY, failing(SystemExit()), False, id="temporary: never, after a SystemExit"),
    ],
)
def test_one_of_many_comes_back_as_its_restart_type_says_and_the_others_hear_nothing_of_it(
    staged: Staged, diary: Diary, restart: Restart, how: Callable[..., object], *, comes_back: bool
) -> None:
    supervisor = campaigns(staged, at_most(1))
    for name in ("6f", "7a"):
        supervisor.ask(StartChild(diary.spec(name, restart=restart)), CONTEXT)
    diary.all()
    staged.stage.act("campaigns/6f", how)
    assert diary.all() == ["-6f", *(["+6f"] if comes_back else [])]
    assert ("campaigns/6f" in alive(staged)) is comes_back
    assert "campaigns/7a" in alive(staged)


def test_each_of_many_has_its_own_budget_and_none_escalates(staged: Staged, diary: Diary) -> None:
    given_up: list[str] = []
    supervisor = campaigns(staged, at_most(1), on_given_up=lambda spec, _: given_up.append(spec.name))
    for name in "abc":
        supervisor.ask(StartChild(diary.spec(name)), CONTEXT)
    for name in "abcb":
        staged.stage.act(f"campaigns/{name}", bug)
    assert given_up == ["b"]
    assert alive(staged) == ["root", "campaigns", "campaigns/a", "campaigns/c"]


def test_a_restart_that_fails_counts_and_is_tried_again(staged: Staged, diary: Diary) -> None:
    attempts = iter([None, ValueError("1"), None])

    class Shaky(Diarist):
        def on_start(self) -> None:
            super().on_start()
            if (error := next(attempts)) is not None:
                raise error

    supervisor = campaigns(staged, at_most(2))
    supervisor.ask(StartChild(ChildSpec(name="6f", factory=lambda: Shaky(diary, "6f"))), CONTEXT)
    staged.stage.act("campaigns/6f", bug)
    assert diary.all() == ["+6f", "-6f", "+6f", "+6f"]
    staged.stage.act("campaigns/6f", bug)
    assert "campaigns/6f" not in alive(staged)


def test_those_that_should_be_alive_outlive_a_permanent_supervisor_that_failed(staged: Staged, diary: Diary) -> None:
    supervisor = campaigns(staged, at_most(1), desired=lambda: [diary.spec("6f"), diary.spec("7a")])
    staged.stage.settle()
    diary.all()
    fail_orderly(supervisor)
    staged.stage.settle()
    assert sorted(diary.all()) == ["+6f", "+7a", "-6f", "-7a"]
    assert supervisor.ask(StopChild("7a"), CONTEXT) is True


def test_none_of_many_is_significant(staged: Staged, diary: Diary) -> None:
    with pytest.raises(CommandRejected, match="6f cannot be significant"):
        campaigns(staged, at_most(1)).ask(StartChild(diary.spec("6f", restart=TRANSIENT, significant=True)), CONTEXT)
