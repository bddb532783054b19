import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainflow.actors.restart import (
    AutoShutdown,
    Budget,
    Ended,
    Exit,
    Plan,
    Policy,
    Restart,
    Sibling,
    Strategy,
    decide,
    exit_by,
)
from domainflow.errors import ActorStopped, RestartsExhausted

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
NORMAL, SHUTDOWN, FAILED = Exit.NORMAL, Exit.SHUTDOWN, Exit.FAILED

# Children a, b, c in start order; b ends. What stops, what starts, for a b of each kind.
NOTHING: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
TABLE = [
    (ONE, PERMANENT, NORMAL, ((), ("b",))),
    (ONE, PERMANENT, SHUTDOWN, ((), ("b",))),
    (ONE, PERMANENT, FAILED, ((), ("b",))),
    (ONE, TRANSIENT, NORMAL, NOTHING),
    (ONE, TRANSIENT, SHUTDOWN, NOTHING),
    (ONE, TRANSIENT, FAILED, ((), ("b",))),
    (ONE, TEMPORARY, NORMAL, NOTHING),
    (ONE, TEMPORARY, SHUTDOWN, NOTHING),
    (ONE, TEMPORARY, FAILED, NOTHING),
    (ALL, PERMANENT, NORMAL, (("c", "a"), ("a", "b", "c"))),
    (ALL, PERMANENT, SHUTDOWN, (("c", "a"), ("a", "b", "c"))),
    (ALL, PERMANENT, FAILED, (("c", "a"), ("a", "b", "c"))),
    (ALL, TRANSIENT, NORMAL, NOTHING),
    (ALL, TRANSIENT, SHUTDOWN, NOTHING),
    (ALL, TRANSIENT, FAILED, (("c", "a"), ("a", "b", "c"))),
    (ALL, TEMPORARY, NORMAL, NOTHING),
    (ALL, TEMPORARY, SHUTDOWN, NOTHING),
    (ALL, TEMPORARY, FAILED, NOTHING),
    (REST, PERMANENT, NORMAL, (("c",), ("b", "c"))),
    (REST, PERMANENT, SHUTDOWN, (("c",), ("b", "c"))),
    (REST, PERMANENT, FAILED, (("c",), ("b", "c"))),
    (REST, TRANSIENT, NORMAL, NOTHING),
    (REST, TRANSIENT, SHUTDOWN, NOTHING),
    (REST, TRANSIENT, FAILED, (("c",), ("b", "c"))),
    (REST, TEMPORARY, NORMAL, NOTHING),
    (REST, TEMPORARY, SHUTDOWN, NOTHING),
    (REST, TEMPORARY, FAILED, NOTHING),
]


def siblings(b: Restart = PERMANENT, *, c: Restart = PERMANENT) -> list[Sibling]:
    return [Sibling("a", PERMANENT), Sibling("b", b), Sibling("c", c)]


def after(strategy: Strategy, b: Restart, how: Exit, *earlier_s: float, at_s: float = 100.0) -> Plan:
    ended = Ended(name="b", exit=how, at_s=at_s, restarts_at_s=earlier_s)
    return decide(Policy(strategy=strategy), siblings(b), ended)


@pytest.mark.parametrize(("strategy", "restart", "how", "expected"), TABLE)
def test_who_stops_and_who_starts_is_otp_s_table(
    strategy: Strategy, restart: Restart, how: Exit, expected: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    plan = after(strategy, restart, how)
    assert (plan.stop, plan.start) == expected
    assert not plan.escalate


@pytest.mark.parametrize("how", list(Exit))
def test_a_temporary_child_that_ended_is_forgotten(how: Exit) -> None:
    assert after(ONE, TEMPORARY, how).forget == ("b",)


def test_a_temporary_sibling_that_was_stopped_with_others_does_not_come_back() -> None:
    plan = decide(Policy(strategy=ALL), siblings(c=TEMPORARY), Ended(name="b", exit=FAILED, at_s=0))
    assert plan.stop == ("c", "a")
    assert plan.start == ("a", "b")
    assert plan.forget == ("c",)


def test_an_end_that_is_no_restart_costs_nothing_of_the_budget() -> None:
    assert after(ONE, TRANSIENT, NORMAL, 98.0, 99.0).restarts_at_s == (98.0, 99.0)


def test_three_restarts_within_the_period_are_allowed_and_the_fourth_escalates() -> None:
    assert not after(ONE, PERMANENT, FAILED, 98.0, 99.0).escalate
    fourth = after(ONE, PERMANENT, FAILED, 97.0, 98.0, 99.0)
    assert fourth.escalate
    assert fourth.stop == ("c", "b", "a")
    assert fourth.start == ()


def test_restarts_before_the_period_are_forgiven_but_one_at_its_very_edge_is_not() -> None:
    assert not after(ONE, PERMANENT, FAILED, 69.9, 98.0, 99.0).escalate
    assert after(ONE, PERMANENT, FAILED, 70.0, 98.0, 99.0).escalate


def test_each_restart_within_the_period_waits_twice_as_long() -> None:
    delays_s = [after(ONE, PERMANENT, FAILED, *earlier).delay_s for earlier in ((), (99.0,), (98.0, 99.0))]
    assert delays_s == [0.2, 0.4, 0.8]


def test_after_a_quiet_period_the_delay_is_the_first_one_again() -> None:
    assert after(ONE, PERMANENT, FAILED, 67.0, 68.0, 69.0).delay_s == 0.2


def test_chance_takes_off_up_to_a_fifth_of_a_delay() -> None:
    ended = Ended(name="b", exit=FAILED, at_s=0, jitter=0.5)
    assert decide(Policy(), siblings(), ended).delay_s == pytest.approx(0.18)


def significant(name: str, restart: Restart, *, gone: bool = False) -> Sibling:
    return Sibling(name, restart, significant=True, gone=gone)


# Of s and t, s ends as it says; t is as it says. Whether the supervisor ends.
NEVER, ANY, ALL_OF_THEM = AutoShutdown.NEVER, AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
GONE = significant("t", TRANSIENT, gone=True)
ENDS = [
    (ANY, significant("s", TRANSIENT), NORMAL, significant("t", TRANSIENT), True),
    (ANY, significant("s", TRANSIENT), SHUTDOWN, significant("t", TRANSIENT), True),
    (ANY, significant("s", TRANSIENT), FAILED, significant("t", TRANSIENT), False),
    (ANY, significant("s", TEMPORARY), FAILED, significant("t", TRANSIENT), True),
    (ANY, Sibling("s", TRANSIENT), NORMAL, significant("t", TRANSIENT), False),
    (ANY, Sibling("s", PERMANENT), NORMAL, significant("t", TRANSIENT), False),
    (ALL_OF_THEM, significant("s", TRANSIENT), NORMAL, Sibling("t", PERMANENT), True),
    (ALL_OF_THEM, significant("s", TRANSIENT), NORMAL, significant("t", TRANSIENT), False),
    (ALL_OF_THEM, significant("s", TRANSIENT), NORMAL, GONE, True),
    (ALL_OF_THEM, Sibling("s", TRANSIENT), NORMAL, GONE, False),
    (NEVER, significant("s", TRANSIENT), NORMAL, GONE, False),
]


@pytest.mark.parametrize(("when", "ended", "how", "other", "ends"), ENDS)
def test_a_supervisor_ends_with_its_significant_children(
    when: AutoShutdown, ended: Sibling, how: Exit, other: Sibling, *, ends: bool
) -> None:
    policy = Policy(auto_shutdown=when)
    assert decide(policy, [ended, other], Ended(name="s", exit=how, at_s=0)).shut_down is ends


def test_a_supervisor_that_gave_up_has_ended_in_order() -> None:
    assert exit_by(RestartsExhausted("")) is SHUTDOWN
    assert exit_by(ActorStopped("")) is FAILED
    assert exit_by(SystemExit()) is FAILED


def test_a_child_that_is_none_of_ours_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="x is not among the children"):
        decide(Policy(), siblings(), Ended(name="x", exit=FAILED, at_s=0))


@given(gaps_s=st.lists(st.integers(0, 100), max_size=50), maximum=st.integers(0, 5), period_s=st.integers(1, 20))
def test_a_budget_never_allows_more_than_its_maximum_in_any_period(
    gaps_s: list[int], maximum: int, period_s: int
) -> None:
    policy = Policy(budget=Budget(maximum, period_s))
    now_s, spent, allowed_at = 0.0, (), []  # type: float, tuple[float, ...], list[float]
    for gap_s in gaps_s:
        now_s += gap_s
        plan = decide(policy, siblings(), Ended(name="b", exit=FAILED, at_s=now_s, restarts_at_s=spent))
        if plan.escalate:
            break
        spent = plan.restarts_at_s
        allowed_at.append(now_s)
    for end_s in allowed_at:
        assert sum(end_s - period_s <= at_s <= end_s for at_s in allowed_at) <= maximum


@given(
    strategy=st.sampled_from(Strategy),
    kinds=st.lists(st.sampled_from(Restart), min_size=1, max_size=8),
    place=st.integers(0, 7),
    how=st.sampled_from(Exit),
)
def test_stops_go_right_to_left_starts_left_to_right_and_nobody_starts_who_is_not_stopped(
    strategy: Strategy, kinds: list[Restart], place: int, how: Exit
) -> None:
    children = [Sibling(str(number), kind) for number, kind in enumerate(kinds)]
    failed = str(place % len(kinds))
    plan = decide(Policy(strategy=strategy), children, Ended(name=failed, exit=how, at_s=0))
    assert list(plan.stop) == sorted(plan.stop, reverse=True)
    assert list(plan.start) == sorted(plan.start)
    assert set(plan.start) <= {*plan.stop, failed}
    assert not set(plan.start) & set(plan.forget)
