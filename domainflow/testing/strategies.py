"""Which of the points that could be next is next: one small class a way of looking for trouble.

None of them finds everything, so a search rotates them. Sources: random walk and the comparison of all: Thomson,
Donaldson, Betts (TOPC 2016); delays: Emmi, Qadeer, Rakamaric (POPL 2011); priorities: Burckhardt et al. (ASPLOS 2010);
held-back messages: Arts et al., "procrastination" (2011).
"""

import random
import zlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

from domainflow.testing import points
from domainflow.testing.schedule import Schedule

PATIENCE_S: Final = 10.0  # virtual: how long what is held back waits for timers
_PASSES: Final = 8  # one in so many times a random walk lets time pass although something could happen
_LONG: Final = 120  # steps within which a strategy that needs to know puts its few changes


class Strategy(Protocol):
    """Picks one point after the other."""

    def pick(self, ready: Sequence[str], now_s: float) -> int:
        """The index of the next one.

        Args:
            ready: at least one point, oldest first; time, when it can pass, is the last.
            now_s: virtual.
        """
        ...


class Held:
    """The natural order, but for what a schedule holds back."""

    def __init__(self, schedule: Schedule) -> None:
        self._held = dict(schedule.held)
        self._happened: set[str] = set()
        self._since_s: dict[str, float] = {}

    def pick(self, ready: Sequence[str], now_s: float) -> int:
        chosen = self._choose(ready, now_s)
        self._happened.add(ready[chosen])
        return chosen

    def _choose(self, ready: Sequence[str], now_s: float) -> int:
        for index, name in enumerate(ready):
            if not self._holds(name, now_s):
                last = points.is_time(name) and index and self._is_tired(ready[0], now_s)
                return 0 if last else index
        return 0

    def _holds(self, name: str, now_s: float) -> bool:
        if name not in self._held:
            return False
        self._since_s.setdefault(name, now_s)
        return self._held[name] not in self._happened

    def _is_tired(self, name: str, now_s: float) -> bool:
        return self._held[name] is None and now_s - self._since_s[name] >= PATIENCE_S


class Random:
    """Any of them, each as likely as the other; time now and then."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a search, no secret

    def pick(self, ready: Sequence[str], now_s: float) -> int:  # noqa: ARG002 - it does not look at the clock
        moving = len(ready) - points.is_time(ready[-1])
        if not moving or (moving < len(ready) and self._random.randrange(_PASSES) == 0):
            return len(ready) - 1
        return self._random.randrange(moving)


class Delays:
    """The natural order, but for a few steps at which the next one is passed over."""

    def __init__(self, seed: int, *, delays: int = 2) -> None:
        self._at = set(random.Random(seed).sample(range(_LONG), delays))  # noqa: S311 - a search, no secret
        self._steps = -1

    def pick(self, ready: Sequence[str], now_s: float) -> int:  # noqa: ARG002 - it does not look at the clock
        self._steps += 1
        return int(self._steps in self._at and len(ready) > 1)


class Priorities:
    """Whoever is more important first, until a few moments at which the most important one becomes the least."""

    def __init__(self, seed: int, *, changes: int = 2) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a search, no secret
        self._at = {self._random.randrange(_LONG): -1.0 - number for number in range(changes)}
        self._priorities: dict[str, float] = {}
        self._steps = -1

    def pick(self, ready: Sequence[str], now_s: float) -> int:  # noqa: ARG002 - it does not look at the clock
        self._steps += 1
        first = max(range(len(ready)), key=lambda index: self._priority(ready[index]))
        if self._steps in self._at:
            self._priorities[_channel(ready[first])] = self._at[self._steps]
        return first

    def _priority(self, name: str) -> float:
        channel = _channel(name)
        if channel not in self._priorities:
            self._priorities[channel] = -0.5 if points.is_time(name) else self._random.random()
        return self._priorities[channel]


class Postponing(Held):
    """The natural order, but for a random few that are held back until nothing else can happen."""

    def __init__(self, seed: int, *, one_in: int = 4) -> None:
        super().__init__(Schedule())
        self._salt, self._one_in = f"{seed}:".encode(), one_in

    def _holds(self, name: str, now_s: float) -> bool:
        if name not in self._since_s:
            self._since_s[name] = now_s
            if not points.is_time(name) and zlib.crc32(self._salt + name.encode()) % self._one_in == 0:
                self._held[name] = None
        return super()._holds(name, now_s)


Maker: TypeAlias = Callable[[int], Strategy]

# Postponing twice: it finds as much as the random walk, and what it finds is short from the beginning.
ROTATION: Final[tuple[Maker, ...]] = (Postponing, Random, Priorities, Delays, lambda seed: Postponing(seed, one_in=12))


def _channel(name: str) -> str:
    return name.rstrip("0123456789")
