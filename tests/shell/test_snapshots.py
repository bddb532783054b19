"""A snapshot is taken so that little is replayed at a start, and so that little is written for it."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import pytest
from durable import SOON_S, Actor, emptied, event, migrated
from hypothesis import given
from hypothesis import strategies as st
from shell_stage import a_campaign, actor, ask, house
from stage import Stage, context

from domainflow.actors.campaign.actor import RULES
from domainflow.actors.campaign.messages import PauseCampaign, ResumeCampaign, StartCampaign
from domainflow.actors.dynamic import StopChild
from domainflow.actors.ref import Ref
from domainflow.actors.snapshots import FEWEST_BYTES, MOST_EVENTS, NEW, Behind
from domainflow.security.context import system
from domainflow.store import streams
from domainflow.store.chain import GENESIS

__all__ = ["actor", "emptied", "house", "migrated"]  # fixtures

MIB: Final = 1 << 20
CONTEXT_BYTES: Final = 3  # of the events of tests


class Run(NamedTuple):
    """So many commits of one event of a size each, and what each does to the state, which grows by that at most."""

    commits: int
    size_bytes: int
    grows: float  # -1: the state is as good as empty after it


def simulated(history: list[Run]) -> Iterator[str]:
    """Yield which bounds were broken on the way."""
    behind, state, most_state, logged, written, events = NEW, 0, 0, 0, 0, 0
    for run in history:
        each = event("s", 1, GENESIS, body=bytes(run.size_bytes))
        for _ in range(run.commits):
            size = run.size_bytes + CONTEXT_BYTES
            events, logged = events + 1, logged + size
            state = int(state + size * run.grows) if run.grows >= 0 else 0
            most_state = max(most_state, state)
            behind = behind.then([each])
            if behind.is_due:
                behind, written = Behind(snapshot_bytes=state), written + state
            if behind.events >= MOST_EVENTS:
                yield "events"
            if behind.size_bytes >= max(FEWEST_BYTES, behind.snapshot_bytes):
                yield "bytes"
    if written > 2 * logged + most_state * events / MOST_EVENTS:
        yield "written"


runs: Final = st.builds(
    Run,
    commits=st.integers(1, 700),
    size_bytes=st.one_of(st.integers(0, 300), st.integers(0, 20_000), st.just(300_000)),
    grows=st.sampled_from([0.0, 0.0, 0.1, 1.0, -1.0]),
)


@given(st.lists(runs, max_size=8))
def test_little_is_replayed_and_little_is_written_whatever_happens(history: list[Run]) -> None:
    assert set(simulated(history)) == set()


A_LONG_LIST: Final = [Run(1, MIB, 1.0), Run(2000, 60, 0.0)]
LONG_EVENTS: Final = [Run(100, 100_000, 0.0)]
SMALL_ONES: Final = [Run(2000, 200, 0.1)]


@pytest.mark.parametrize("history", [A_LONG_LIST, LONG_EVENTS, SMALL_ONES], ids=["a long list", "long", "small"])
def test_both_bounds_hold_where_it_matters(history: list[Run]) -> None:
    assert set(simulated(history)) == set()


@pytest.mark.parametrize(
    ("is_due", "history", "broken"),
    [
        (lambda behind: behind.events >= 64, A_LONG_LIST, "written"),
        (lambda behind: behind.size_bytes >= max(FEWEST_BYTES, behind.snapshot_bytes), A_LONG_LIST, "events"),
        (lambda behind: behind.events >= MOST_EVENTS, LONG_EVENTS, "bytes"),
        (lambda _: False, SMALL_ONES, "events"),
    ],
    ids=["each 64", "by bytes alone", "by events alone", "never"],
)
def test_with_one_bound_alone_it_is_too_much(
    is_due: Callable[[Behind], bool], history: list[Run], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Behind, "is_due", property(is_due))
    assert broken in set(simulated(history))


# --- in a stream


def reborn(house: Stage, stream: str) -> Ref[Any]:
    stop = StopChild(stream.replace("/", ":"))
    assert house.find("actors").ask(stop, context(system("")), timeout_s=SOON_S) is True
    return house.put_on(RULES, stream)


def expected(actor: Actor, stream: str) -> list[int]:
    """The versions that a snapshot was due at, added up from what is stored; commits were of two events."""
    versions, size = [], 0
    for recorded in streams.events(actor.upkeep, stream, after=0):
        size += len(recorded.body) + len(recorded.context)
        if size >= FEWEST_BYTES and recorded.version % 2 == 0:
            versions.append(recorded.version)
            size = 0
    return versions


def test_it_is_taken_by_the_commit_that_makes_it_due_also_in_a_later_life(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    ask(ref, StartCampaign())
    taken = []
    for life in range(30):
        for _ in range(2):
            ask(ref, PauseCampaign())
            ask(ref, ResumeCampaign())
        taken += [version for version in actor.see("select version from domainflow.snapshot") if version not in taken]
        if life % 3 == 0:
            ref = reborn(house, stream)
    assert len(taken) > 1
    assert taken == expected(actor, stream)
    loaded = streams.load(actor.upkeep, stream, fold_version=RULES.fold_version)
    assert loaded.snapshot_version == taken[-1]
    assert len(loaded.events) == loaded.version - taken[-1]
