"""From an order that fails to the shortest that does: as few points held back as possible, as few faults.

Source: Zeller, Hildebrandt, "Simplifying and isolating failure-inducing input" (2002): ddmin.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from domainflow.testing.schedule import Schedule
from domainflow.testing.scheduler import Step

T = TypeVar("T")


def schedule_of(steps: Sequence[Step], ready: Sequence[str], told: Schedule, faults: Sequence[str]) -> Schedule:
    """The schedule that repeats these steps: what younger ones passed over is held back until after the last of them.

    Args:
        steps: from the beginning.
        ready: what could have happened next when they ended.
        told: whose seed and pressure it was.
        faults: that befell it.
    """
    held: dict[str, str | None] = {}
    for step in steps:
        for name in step.passed_over:
            held[name] = step.name
    held |= dict.fromkeys((name for name in ready if name in held), None)
    return replace(told, held=held, faults=frozenset(faults))


def shrunk(schedule: Schedule, fails: Callable[[Schedule], bool]) -> Schedule:
    """The smallest schedule that was found to fail as this one does; itself, if nothing can be left out."""
    if fails(natural := replace(schedule, held={}, faults=frozenset())):
        return natural
    faults = _fewest(sorted(schedule.faults), lambda some: fails(replace(schedule, faults=frozenset(some))))
    schedule = replace(schedule, faults=frozenset(faults))
    held = _fewest(list(schedule.held.items()), lambda some: fails(replace(schedule, held=dict(some))))
    schedule = replace(schedule, held=dict(held))
    for name in schedule.held:
        simpler = replace(schedule, held={**schedule.held, name: None})
        schedule = simpler if fails(simpler) else schedule
    held = _fewest(list(schedule.held.items()), lambda some: fails(replace(schedule, held=dict(some))))
    return replace(schedule, held=dict(held))


def _fewest(given: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """ddmin: of a list that fails, a part that does and of which no single element can be left out."""
    pieces = 2
    while given:
        size = -(-len(given) // pieces)
        for start in range(0, len(given), size):
            rest = given[:start] + given[start + size :]
            if fails(rest):
                given, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(pieces * 2, len(given))
    return given
