"""What is to be done about what was observed: a table, and laws. Pure."""

from collections.abc import Collection
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domainflow.actors.reconciler.core import (
    MOST_ACTIONS,
    MOST_TRIES,
    MOST_UNDER_WAY,
    confined_for_s,
    is_try,
    plan,
    put_off_s,
)
from domainflow.actors.reconciler.messages import Action, Activate, Quarantine, Rescue
from domainflow.errors import (
    ActorStopped,
    AskTimeout,
    Corrupt,
    Fenced,
    MailboxFull,
    NotFound,
    StoreRefused,
    StoreUnavailable,
)
from domainflow.store.observed import LostClaim, Observed, Tried, Wanted, Why

NOTHING: Final = Observed()


def wanted(name: str, why: Why = Why.ORPHANED, *, version: int = 7, tenant: str = "acme") -> Wanted:
    return Wanted(f"campaign/{name}", tenant, version, "running", "dead", 0, why)


def tried(name: str, tries: int, *, rounds: int = 0, version: int = 7) -> Tried:
    return Tried(f"campaign/{name}", version, tries, rounds, "Corrupt: ?")


def needing(*each: Wanted, tried: tuple[Tried, ...] = ()) -> Observed:
    return Observed(wanted=each, tried=tried)


def losing(*claims: tuple[int, str, str]) -> Observed:
    return Observed(lost=tuple(LostClaim(*claim) for claim in claims))


A, B = wanted("a"), wanted("b")
MANY = tuple(wanted(f"{n:03}") for n in range(100))
CORRUPT = Corrupt("?")


def starts(*each: Wanted) -> tuple[Action, ...]:
    return tuple(Activate(one) for one in each)


def confines(name: str, tries: int, for_s: float, *, rounds: int = 0) -> Quarantine:
    return Quarantine("acme", tried(name, tries, rounds=rounds), for_s)


# given, activations under way, then
TABLE: Final[dict[str, tuple[Observed, Collection[str], tuple[Action, ...]]]] = {
    "all is well": (NOTHING, (), ()),
    "all is well, and activations are under way": (NOTHING, ("campaign/a",), ()),
    "tries of a stream that is not wanted": (Observed(tried=(tried("a", 9),)), (), ()),
    "an orphan": (needing(A), (), starts(A)),
    "two orphans": (needing(A, B), (), starts(A, B)),
    "an orphan of another tenant": (
        needing(wanted("a", tenant="other")), (), starts(wanted("a", tenant="other"))),
    "without an actor here": (needing(wanted("a", Why.UNTENDED)), (), starts(wanted("a", Why.UNTENDED))),
    "done and not accounted": (needing(wanted("a", Why.UNACCOUNTED)), (), starts(wanted("a", Why.UNACCOUNTED))),
    "commands that nobody hears": (needing(wanted("a", Why.UNHEARD)), (), starts(wanted("a", Why.UNHEARD))),
    "one stream for two reasons": (needing(A, wanted("a", Why.UNHEARD)), (), starts(A)),
    "one stream for two reasons, the other way round": (
        needing(wanted("a", Why.UNACCOUNTED), wanted("a", Why.UNHEARD)), (), starts(wanted("a", Why.UNACCOUNTED))),
    "it is under way": (needing(A), ("campaign/a",), ()),
    "another one is under way": (needing(A), ("campaign/b",), starts(A)),
    "one of two is under way": (needing(A, B), ("campaign/a",), starts(B)),
    "tried once": (needing(A, tried=(tried("a", 1),)), (), starts(A)),
    "tried twice": (needing(A, tried=(tried("a", 2),)), (), starts(A)),
    "tried three times": (needing(A, tried=(tried("a", 3),)), (), (confines("a", 3, 60.0),)),
    "tried four times": (needing(A, tried=(tried("a", 4),)), (), (confines("a", 4, 60.0),)),
    "tried three times at another version": (needing(A, tried=(tried("a", 3, version=6),)), (), starts(A)),
    "tried three times, and it has moved since": (
        needing(wanted("a", version=8), tried=(tried("a", 3),)), (), starts(wanted("a", version=8))),
    "another one was tried three times": (needing(A, tried=(tried("b", 3),)), (), starts(A)),
    "one of two was tried three times": (
        needing(A, B, tried=(tried("a", 3),)), (), (confines("a", 3, 60.0), *starts(B))),
    "both were tried three times": (
        needing(A, B, tried=(tried("a", 3), tried("b", 3))), (), (confines("a", 3, 60.0), confines("b", 3, 60.0))),
    "tried three times and under way": (needing(A, tried=(tried("a", 3),)), ("campaign/a",), ()),
    "back from a quarantine": (needing(A, tried=(tried("a", 2, rounds=1),)), (), starts(A)),
    "in vain once more": (
        needing(A, tried=(tried("a", 3, rounds=1),)), (), (confines("a", 3, 120.0, rounds=1),)),
    "in vain for the third time": (
        needing(A, tried=(tried("a", 3, rounds=2),)), (), (confines("a", 3, 240.0, rounds=2),)),
    "in vain for ever": (
        needing(A, tried=(tried("a", 3, rounds=99),)), (), (confines("a", 3, 3600.0, rounds=99),)),
    "an unheard one that was tried three times": (
        needing(wanted("a", Why.UNHEARD), tried=(tried("a", 3),)), (), (confines("a", 3, 60.0),)),
    "an item of a dead runtime": (losing((1, "acme", "r1")), (), (Rescue("acme", "r1", (1,)),)),
    "two items of a dead runtime": (
        losing((1, "acme", "r1"), (2, "acme", "r1")), (), (Rescue("acme", "r1", (1, 2)),)),
    "items of two dead runtimes": (
        losing((1, "acme", "r1"), (2, "acme", "r2")), (), (Rescue("acme", "r1", (1,)), Rescue("acme", "r2", (2,)))),
    "items of two tenants": (
        losing((1, "acme", "r1"), (2, "other", "r1")), (), (Rescue("acme", "r1", (1,)), Rescue("other", "r1", (2,)))),
    "items of two dead runtimes by turns": (
        losing((1, "acme", "r1"), (2, "acme", "r2"), (3, "acme", "r1")), (),
        (Rescue("acme", "r1", (1, 3)), Rescue("acme", "r2", (2,)))),
    "items and an orphan": (
        Observed((A,), (LostClaim(1, "acme", "r1"),)), (), (Rescue("acme", "r1", (1,)), *starts(A))),
    "items while all permits are used": (
        losing((1, "acme", "r1")), [f"campaign/x{n}" for n in range(MOST_UNDER_WAY)], (Rescue("acme", "r1", (1,)),)),
    "more orphans than permits": (needing(*MANY), (), starts(*MANY[:MOST_UNDER_WAY])),
    "one permit is left": (needing(A, B), [f"campaign/x{n}" for n in range(MOST_UNDER_WAY - 1)], starts(A)),
    "no permit is left": (needing(A, B), [f"campaign/x{n}" for n in range(MOST_UNDER_WAY)], ()),
    "no permit is left, but a quarantine needs none": (
        needing(A, B, tried=(tried("b", 3),)), [f"campaign/x{n}" for n in range(MOST_UNDER_WAY)],
        (confines("b", 3, 60.0),)),
    "what is under way is not started again, and what waits takes its place": (
        needing(*MANY), [each.stream for each in MANY[:30]], starts(*MANY[30:32])),
    "a quarantine uses no permit": (
        needing(*MANY[:33], tried=(tried("000", 3),)), (), (confines("000", 3, 60.0), *starts(*MANY[1:33]))),
    "more than one record holds": (
        needing(*MANY, tried=tuple(tried(f"{n:03}", 3) for n in range(100))), (),
        tuple(confines(f"{n:03}", 3, 60.0) for n in range(MOST_ACTIONS))),
}  # fmt: skip


@pytest.mark.parametrize(("observed", "under_way", "then"), TABLE.values(), ids=TABLE.keys())
def test_the_plan(observed: Observed, under_way: Collection[str], then: tuple[Action, ...]) -> None:
    assert plan(observed, under_way) == then


OUTCOMES: Final[list[tuple[Why, BaseException | None, bool]]] = [
    (Why.ORPHANED, None, False),
    (Why.UNTENDED, None, True),
    (Why.UNACCOUNTED, None, True),
    (Why.UNHEARD, None, True),
    *((why, CORRUPT, True) for why in Why),
    (Why.ORPHANED, NotFound(""), True),
    (Why.ORPHANED, StoreRefused(""), True),
    (Why.ORPHANED, ValueError(), True),
    *((why, Fenced(""), False) for why in Why),
    (Why.UNTENDED, StoreUnavailable(""), False),
    (Why.UNTENDED, AskTimeout(""), False),
    (Why.UNTENDED, ActorStopped(""), False),
    (Why.UNTENDED, MailboxFull(""), False),
]


@pytest.mark.parametrize(("why", "error", "counts"), OUTCOMES)
def test_which_outcomes_are_counted(
    why: Why,
    error: BaseException | None,
    counts: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert is_try(why, error) is counts


def test_work_that_is_put_off_is_left_alone_and_no_other() -> None:
    lost = losing((1, "acme", "r1"), (2, "acme", "r2"), (3, "other", "r1"))
    assert plan(lost, (), {"r1"}) == (Rescue("acme", "r2", (2,)),)
    assert plan(replace(lost, wanted=(A,)), (), {"r1", "r2"}) == starts(A)


@given(st.integers(0, 10_000))
def test_it_is_put_off_twice_as_long_each_time_and_a_minute_at_most(in_vain: int) -> None:
    assert put_off_s(0, sweep_s=0.5) == 0.5
    assert put_off_s(in_vain + 1, sweep_s=0.5) == min(2 * put_off_s(in_vain, sweep_s=0.5), 60.0)


# --- laws

names = st.sampled_from([f"{n:02}" for n in range(60)])
worlds = st.builds(
    Observed,
    wanted=st.lists(st.builds(wanted, names, st.sampled_from(Why)), max_size=80).map(tuple),
    lost=st.lists(
        st.builds(LostClaim, st.integers(1, 200), st.sampled_from(["acme", "other"]), st.sampled_from(["r1", "r2"])),
        max_size=40,
        unique_by=lambda claim: claim.item,
    ).map(tuple),
    tried=st.lists(
        st.builds(tried, names, st.integers(1, 5), rounds=st.integers(0, 9)), unique_by=lambda each: each.stream
    ).map(tuple),
)


class World:
    """What the store shows, and what acting does to it."""

    def __init__(self, observed: Observed, poison: Collection[str] = ()) -> None:
        self.observed = observed
        self.poison = poison  # streams whose actors cannot start
        self.starts: dict[str, int] = {}

    def act(self, action: Action) -> None:
        match action:
            case Rescue(runtime=runtime, items=items):
                assert {(claim.item, claim.runtime) for claim in self.observed.lost} >= {(i, runtime) for i in items}
                self.observed = replace(
                    self.observed, lost=tuple(claim for claim in self.observed.lost if claim.item not in items)
                )
            case Quarantine(tried=known):
                self._leave(known.stream)
            case Activate(wanted=each):
                self.starts[each.stream] = self.starts.get(each.stream, 0) + 1
                if each.stream in self.poison:
                    self._count(each)
                else:
                    self._leave(each.stream)

    def _leave(self, stream: str) -> None:
        """It lives, or is in quarantine: either way it is not wanted."""
        self.observed = replace(
            self.observed, wanted=tuple(each for each in self.observed.wanted if each.stream != stream)
        )

    def _count(self, each: Wanted) -> None:
        before = next((known for known in self.observed.tried if known.stream == each.stream), None)
        now = replace(before, tries=before.tries + 1) if before else Tried(each.stream, each.version, 1, 0, "?")
        others = tuple(known for known in self.observed.tried if known.stream != each.stream)
        self.observed = replace(self.observed, tried=(*others, now))


@given(worlds)
def test_after_acting_nothing_is_left_to_do_and_nothing_is_done_twice(observed: Observed) -> None:
    world = World(observed)
    for _ in range(len(observed.wanted) // MOST_UNDER_WAY + 2):
        for action in plan(world.observed):
            world.act(action)
    assert plan(world.observed) == ()
    assert set(world.starts.values()) <= {1}


@given(worlds, st.sets(names))
def test_whatever_cannot_start_is_left_alone_and_holds_up_nobody(observed: Observed, bad: set[str]) -> None:
    world = World(observed, {f"campaign/{name}" for name in bad})
    rounds = 0
    while actions := plan(world.observed):
        rounds += 1
        assert rounds < 20, "it goes on for ever"
        for action in actions:
            world.act(action)
    assert max(world.starts.values(), default=0) <= MOST_TRIES
    already = {each.stream for each in observed.tried if each.tries >= MOST_TRIES}
    assert set(world.starts) == {each.stream for each in observed.wanted} - already


@given(worlds, st.sets(names.map("campaign/{}".format), max_size=MOST_UNDER_WAY))
def test_a_plan_keeps_its_bounds(observed: Observed, under_way: set[str]) -> None:
    actions = plan(observed, under_way)
    started = [action.wanted.stream for action in actions if isinstance(action, Activate)]
    assert len(actions) <= MOST_ACTIONS
    assert len(started) + len(under_way) <= MOST_UNDER_WAY
    assert len(set(started)) == len(started)
    assert not set(started) & under_way


@given(st.integers(0, 10_000))
def test_a_quarantine_lasts_longer_each_time_and_an_hour_at_most(rounds: int) -> None:
    assert 60.0 <= confined_for_s(rounds) <= confined_for_s(rounds + 1) <= 3600.0
