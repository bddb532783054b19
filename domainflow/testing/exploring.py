"""Tell a story in many orders until one fails; then find the shortest way to that, and say it for people."""

import functools
import inspect
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import structlog.testing
from msgspec import Struct

from domainflow.actors.directory import ROOT
from domainflow.testing.diagram import diagram
from domainflow.testing.exchange import Passed
from domainflow.testing.schedule import Schedule
from domainflow.testing.scheduler import Step
from domainflow.testing.shrink import schedule_of, shrunk
from domainflow.testing.strategies import ROTATION, Held, Maker, Strategy
from domainflow.testing.world import World

REPLAY: Final = "DOMAINFLOW_REPLAY"
MOST_STEPS_TO_SHRINK: Final = 500_000  # a story without an end is not made short for ever

Story: TypeAlias = Callable[[World], object]


class ScheduleFailed(AssertionError):
    """An order in which the story fails. `schedule` tells it again; the cause is what it failed with."""

    def __init__(self, text: str, schedule: Schedule) -> None:
        super().__init__(text)
        self.schedule = schedule


class NondeterministicError(AssertionError):
    """A story went another way when it was told the same way again: it, or an actor of it, looks at something else."""


class Told(NamedTuple):
    """What came of one telling."""

    error: BaseException | None
    steps: Sequence[Step]
    ready: Sequence[str]
    faults: Sequence[str]
    passed: Sequence[Passed]


class Search(Struct, frozen=True, kw_only=True):
    """How to look for an order that fails."""

    schedules: int = 1000  # at most so many
    seed: int = 0  # of the first one; the others follow
    faults: Mapping[str, float] = {}  # kind -> how likely at each point; see `faults`
    most_faults: int = 1  # a story
    pressed: bool = False  # time may pass although something could happen: what may be too late is too late
    strategies: tuple[Maker, ...] = ROTATION


class Found(NamedTuple):
    """The first failure, and the shortest way to it."""

    tried: int
    told: Told
    schedule: Schedule


def tell(story: Story, schedule: Schedule, strategy: Strategy | None = None, search: Search | None = None) -> Told:
    """Tell a story once: as the schedule says, or in the order of a strategy."""
    chances = search.faults if search and strategy else {}
    world = World(strategy or Held(schedule), schedule, chances, most_faults=search.most_faults if search else 0)
    error: BaseException | None = None
    with structlog.testing.capture_logs():
        try:
            world.tell(story)
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is what was looked for
            error = raised
        ready = world.scheduler.ready
        world.scheduler.end()
    return Told(error, world.scheduler.steps, ready, world.exchange.faults.befallen, world.exchange.passed)


def find(story: Story, search: Search) -> Found | None:
    """The first order in which a story fails, made as short as it gets; None: none of them failed.

    Raises:
        NondeterministicError: told again in the same order, it did not do the same.
    """
    for number in range(search.schedules):
        seed = search.seed + number
        schedule = Schedule(seed=seed, pressed=search.pressed)
        strategy = search.strategies[number % len(search.strategies)]
        told = tell(story, schedule, strategy(seed), search)
        if told.error is not None:
            _tell_again(story, told, schedule, strategy(seed), search)
            return _shortest(story, told, schedule, number + 1)
    return None


def explore(
    *,
    schedules: int = 1000,
    seed: int = 0,
    faults: Mapping[str, float] | None = None,
    most_faults: int = 1,
    pressed: bool = False,
) -> Callable[[Callable[..., object]], Callable[..., None]]:
    """Make a test of a story, whose first argument is its `World`; the others are fixtures.

    It fails with `ScheduleFailed`. With DOMAINFLOW_REPLAY set to the line that says, that one order is told.

    Args:
        schedules: how many orders are tried.
        seed: of the first one; the others follow.
        faults: what may befall it: kind -> how likely at each of its points (`full`, `twice`, `crash`, `crash-after`).
        most_faults: in one telling.
        pressed: whether time may pass although something could happen, so that what has a time-out may be too late.
    """
    search = Search(schedules=schedules, seed=seed, faults=faults or {}, most_faults=most_faults, pressed=pressed)

    def made(story: Callable[..., object]) -> Callable[..., None]:
        @functools.wraps(story)
        def test(**fixtures: object) -> None:
            run(functools.partial(_call, story, fixtures), search)

        parameters = list(inspect.signature(story).parameters.values())[1:]
        test.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what pytest reads
        del test.__wrapped__
        return test

    return made


def run(story: Story, search: Search) -> None:
    """Look for an order that fails, or tell the one of DOMAINFLOW_REPLAY. Raises `ScheduleFailed`."""
    if line := os.environ.get(REPLAY):
        replay(story, line)
    elif found := find(story, search):
        raise ScheduleFailed(report(found), found.schedule) from found.told.error


def replay(story: Story, line: str) -> None:
    """Tell a story in the order of one line, and raise whatever it fails with."""
    told = tell(story, Schedule.parse(line))
    if told.error is not None:
        raise told.error


def report(found: Found) -> str:
    """What failed, in which order, as a diagram, and how to see it again."""
    schedule, told = found.schedule, found.told
    return "\n".join(
        (
            f"order {found.tried} fails: {type(told.error).__name__}: {told.error}",
            f"shortest: {schedule.sentence()}",
            "",
            diagram(told.passed, tuple(schedule.held), but=(ROOT,)),
            "",
            f"again: {REPLAY}={str(schedule)!r}",
        )
    )


def _call(story: Callable[..., object], fixtures: dict[str, Any], world: World) -> None:
    story(world, **fixtures)


def _tell_again(story: Story, told: Told, schedule: Schedule, strategy: Strategy, search: Search) -> None:
    again = tell(story, schedule, strategy, search)
    for number, (one, other) in enumerate(itertools.zip_longest(told.steps, again.steps)):
        if one != other:
            names = [step.name if step else "its end" for step in (one, other)]
            raise NondeterministicError(f"step {number} was {names[0]}; told again in the same way: {names[1]}")


def _shortest(story: Story, told: Told, schedule: Schedule, tried: int) -> Found:
    kind, spent = type(told.error), 0

    def fails(shorter: Schedule) -> bool:
        nonlocal spent
        if spent > MOST_STEPS_TO_SHRINK:
            return False
        again = tell(story, shorter)
        spent += len(again.steps)
        return type(again.error) is kind

    shortest = shrunk(schedule_of(told.steps, told.ready, schedule, told.faults), fails)
    return Found(tried, tell(story, shortest), shortest)
