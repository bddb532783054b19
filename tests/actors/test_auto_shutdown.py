"""Significant children: when their supervisor ends with them, by OTP's text, and what its own supervisor then does."""

from collections.abc import Callable

import pytest
from kernel import CONTEXT
from one_thread import Staged, staged
from tree import Diary, alive, bug, diary, end, find, nested

from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import DynamicSupervisor
from domainflow.actors.restart import AutoShutdown, Policy, Restart, Strategy
from domainflow.actors.supervisor import Supervisor
from domainflow.errors import ActorStopped, InvalidInput

__all__ = ["diary", "staged"]  # fixtures

ANY = Policy(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
ALL = Policy(auto_shutdown=AutoShutdown.ALL_SIGNIFICANT)
TRANSIENT, TEMPORARY = Restart.TRANSIENT, Restart.TEMPORARY


def pair(diary: Diary, first: Restart, second: Restart) -> list[ChildSpec]:
    """Two significant children, s and t, between two that are not."""
    return [
        diary.spec("a"),
        diary.spec("s", restart=first, significant=True),
        diary.spec("t", restart=second, significant=True),
        diary.spec("z", restart=TEMPORARY),
    ]


@pytest.mark.parametrize(
    ("policy", "what", "happens"),
    [
        pytest.param(ANY, [("s", end)], "-s -z -t -a", id="any_significant: the first that ends ends all"),
        pytest.param(ANY, [("t", bug)], "-t -z -s -a", id="a temporary one that fails has ended too"),
        pytest.param(ANY, [("s", bug)], "-s +s", id="one that is restarted has not ended"),
        pytest.param(ANY, [("z", end), ("a", end)], "-z -a +a", id="one that is not significant ends nothing"),
        pytest.param(ALL, [("s", end)], "-s", id="all_significant: not the first"),
        pytest.param(ALL, [("s", end), ("t", end)], "-s -t -z -a", id="all_significant: the last ends all"),
        pytest.param(ALL, [("t", bug), ("s", end)], "-t -s -z -a", id="all_significant: in whatever order"),
    ],
)
def test_a_supervisor_ends_with_its_significant_children(
    staged: Staged,
    diary: Diary,
    policy: Policy,
    what: list[tuple[str, Callable[..., object]]],
    happens: str,
) -> None:
    staged.start([nested("inner", pair(diary, TRANSIENT, TEMPORARY), policy, restart=TRANSIENT)])
    diary.all()
    for name, do in what:
        staged.stage.act(f"inner/{name}", do)
    assert " ".join(diary.all()) == happens
    assert ("inner" in alive(staged)) is not happens.endswith("-a")


def test_two_that_end_at_once_are_all(staged: Staged, diary: Diary) -> None:
    staged.start([nested("inner", pair(diary, TRANSIENT, TRANSIENT), ALL, restart=TRANSIENT)])
    diary.all()
    with staged.stage.thread.held():
        find(staged, "inner/s").tell(end, CONTEXT)
        find(staged, "inner/t").tell(end, CONTEXT)
    assert diary.all() == ["-s", "-t", "-z", "-a"]


def test_one_that_ended_because_of_a_sibling_has_not_ended_by_itself(staged: Staged, diary: Diary) -> None:
    policy = Policy(strategy=Strategy.ONE_FOR_ALL, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    staged.start([nested("inner", pair(diary, TRANSIENT, TEMPORARY), policy, restart=TRANSIENT)])
    diary.all()
    staged.stage.act("inner/a", bug)
    assert diary.all() == ["-a", "-z", "-t", "-s", "+a", "+s"]


def test_one_that_came_back_with_its_siblings_counts_again(staged: Staged, diary: Diary) -> None:
    policy = Policy(strategy=Strategy.ONE_FOR_ALL, auto_shutdown=AutoShutdown.ALL_SIGNIFICANT)
    staged.start([nested("inner", pair(diary, TRANSIENT, TRANSIENT), policy, restart=TRANSIENT)])
    staged.stage.act("inner/s", end)
    staged.stage.act("inner/a", bug)
    diary.all()
    staged.stage.act("inner/t", end)
    assert diary.all() == ["-t"]
    staged.stage.act("inner/s", end)
    assert diary.all() == ["-s", "-a"]


@pytest.mark.parametrize(
    ("restart", "comes_back"), [(Restart.PERMANENT, True), (Restart.TRANSIENT, False), (Restart.TEMPORARY, False)]
)
def test_to_its_own_supervisor_it_has_ended_in_order(
    staged: Staged, diary: Diary, restart: Restart, *, comes_back: bool
) -> None:
    staged.start([nested("inner", pair(diary, TRANSIENT, TEMPORARY), ANY, restart=restart), diary.spec("other")])
    diary.all()
    staged.stage.act("inner/s", end)
    back = ["+a", "+s", "+t", "+z"] if comes_back else []
    assert diary.all() == ["-s", "-z", "-t", "-a", *back]
    assert ("inner/s" in alive(staged)) is comes_back
    assert "other" in alive(staged)


def test_significant_supervisors_end_theirs_in_turn(staged: Staged, diary: Diary) -> None:
    inner = nested("inner", pair(diary, TRANSIENT, TEMPORARY), ANY, restart=TRANSIENT, significant=True)
    staged.start([nested("outer", [inner, diary.spec("x")], ANY, restart=TRANSIENT)])
    diary.all()
    staged.stage.act("outer/inner/s", end)
    assert diary.all() == ["-s", "-z", "-t", "-a", "-x"]
    assert alive(staged) == ["root"]


def test_the_host_hears_when_the_root_has_ended(staged: Staged, diary: Diary) -> None:
    heard: list[BaseException] = []
    staged.start(pair(diary, TRANSIENT, TEMPORARY), ANY, on_root_failed=heard.append)
    diary.all()
    staged.stage.act("s", end)
    assert diary.all() == ["-s", "-z", "-t", "-a"]
    assert [type(error) for error in heard] == [ActorStopped]


def test_what_cannot_be_is_refused_with_words(diary: Diary) -> None:
    with pytest.raises(InvalidInput, match="s cannot be significant: a permanent child always comes back"):
        diary.spec("s", significant=True)
    with pytest.raises(InvalidInput, match=r"^s, t: significant to a supervisor whose auto_shutdown is never"):
        Supervisor(pair(diary, TRANSIENT, TEMPORARY))
    with pytest.raises(InvalidInput, match="come and go stays"):
        DynamicSupervisor(ANY)
