"""What is counted and timed in this process, by name and labels; read as a whole, and never reset.

No clock, no export and no names of its own: whoever counts brings them.
"""

import threading
from bisect import bisect_left
from collections import Counter
from typing import Final, TypeAlias

from msgspec import Struct

# Upper bounds of the classes of a timing, in seconds: powers of two from a quarter of a millisecond. One more class is
# for what took longer than all of them.
BOUNDS_S: Final = tuple(0.000_25 * 2**power for power in range(16))

Labels: TypeAlias = tuple[str, ...]


class Count(Struct, frozen=True):
    """How often something happened."""

    name: str
    labels: Labels
    number: int


class Timing(Struct, frozen=True):
    """How long something took."""

    name: str
    labels: Labels
    number: int
    sum_s: float
    classes: tuple[int, ...]  # how many took at most BOUNDS_S[n], and more than the bound before; the last: more


class Meters:
    """Counts and timings. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Labels]] = Counter()
        self._sums_s: dict[tuple[str, Labels], float] = {}
        self._classes: dict[tuple[str, Labels], list[int]] = {}

    def count(self, name: str, *labels: str) -> None:
        """Count one."""
        with self._lock:
            self._counts[name, labels] += 1

    def time(self, name: str, seconds: float, *labels: str) -> None:
        """Count one that took so long."""
        key = (name, labels)
        with self._lock:
            if key not in self._classes:
                self._classes[key] = [0] * (len(BOUNDS_S) + 1)
            self._classes[key][bisect_left(BOUNDS_S, seconds)] += 1
            self._sums_s[key] = self._sums_s.get(key, 0.0) + seconds

    def snapshot(self) -> tuple[Count | Timing, ...]:
        """Return all of them as of one instant, by name and labels."""
        with self._lock:
            counts = [Count(*key, number) for key, number in self._counts.items()]
            timings = [Timing(*key, sum(each), self._sums_s[key], tuple(each)) for key, each in self._classes.items()]
        return tuple(sorted((*counts, *timings), key=lambda metric: (metric.name, metric.labels)))


METERS: Final = Meters()  # of this process
