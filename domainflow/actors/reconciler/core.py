"""The reconciler's rules: what is to be done about what was observed. Pure, and without memory: nothing is missed."""

from collections.abc import Collection, Iterator
from typing import Final

from domainflow.actors.reconciler.messages import Action, Activate, Quarantine, Rescue
from domainflow.errors import Fenced, Unavailable
from domainflow.store.observed import LostClaim, Observed, Wanted, Why

MOST_UNDER_WAY: Final = 32  # activations: a thousand at once would be a herd that tramples the store
MOST_ACTIONS: Final = 50  # a look: what is recorded of it stays small
MOST_TRIES: Final = 3
FIRST_S: Final = 60.0
LONGEST_S: Final = 3600.0


def plan(observed: Observed, under_way: Collection[str] = (), put_off: Collection[str] = ()) -> tuple[Action, ...]:
    """Return what to do, in order; nothing where all is as it should be.

    `under_way`: streams whose activation has no outcome yet; `put_off`: dead runtimes whose work is not put back now.
    """
    return (*_rescues(observed.lost, put_off), *_about_actors(observed, under_way))[:MOST_ACTIONS]


def is_try(why: Why, error: BaseException | None) -> bool:
    """Whether an activation that ended so counts as one that came to nothing.

    An orphan's that succeeded does not: hosts may come and go as often as they like. Of what was here already, or is
    started for one thing only, success is no news: it is counted, and once its stream moves that is forgotten.
    """
    if isinstance(error, Fenced | Unavailable):  # another runtime was faster, or the store is away
        return False
    return error is not None or why is not Why.ORPHANED


def confined_for_s(rounds: int) -> float:
    """Return how long a stream is left alone that has been so `rounds` times before."""
    return min(FIRST_S * 2.0 ** min(rounds, 10), LONGEST_S)


def put_off_s(in_vain: int, *, sweep_s: float) -> float:
    """Return how long work is left alone that could not be put back so often: who holds its rows may be done soon."""
    return min(sweep_s * 2.0 ** min(in_vain, 20), FIRST_S)


def _rescues(lost: tuple[LostClaim, ...], put_off: Collection[str]) -> Iterator[Rescue]:
    claimed: dict[tuple[str, str], list[int]] = {}
    for claim in lost:
        if claim.runtime not in put_off:
            claimed.setdefault((claim.tenant, claim.runtime), []).append(claim.item)
    for (tenant, runtime), items in claimed.items():
        yield Rescue(tenant, runtime, tuple(items))


def _about_actors(observed: Observed, under_way: Collection[str]) -> Iterator[Action]:
    tried = {(each.stream, each.version): each for each in observed.tried}
    free = MOST_UNDER_WAY - len(under_way)
    for wanted in _once_a_stream(observed.wanted):
        before = tried.get((wanted.stream, wanted.version))
        if wanted.stream in under_way:
            continue
        if before is not None and before.tries >= MOST_TRIES:
            yield Quarantine(wanted.tenant, before, confined_for_s(before.rounds))
        elif free > 0:
            free -= 1
            yield Activate(wanted)


def _once_a_stream(wanted: tuple[Wanted, ...]) -> Iterator[Wanted]:
    """The first of each stream: one actor answers all reasons."""
    first: dict[str, Wanted] = {}
    for each in wanted:
        first.setdefault(each.stream, each)
    yield from first.values()
