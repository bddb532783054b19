"""What can befall a story besides an unlucky order: drawn by seed, each at a named point.

`full`: the mailbox takes no more; `twice`: a tell is delivered twice; `crash`, `crash-after`: the behaviour raises
before or after it handled a message, `crash-signal`: before it heard a signal; others are named by whoever draws them.
"""

import zlib
from collections.abc import Callable, Mapping

from domainflow.testing import points
from domainflow.testing.schedule import Schedule

_DENOMINATOR = 1 << 16


class CrashError(Exception):
    """The fault of a story: an actor raised."""


class Drawn:
    """The faults of one story."""

    def __init__(
        self, schedule: Schedule, chances: Mapping[str, float], most: int, *, calm: Callable[[], bool]
    ) -> None:
        """Take those of a schedule; with chances, draw others as well.

        Args:
            schedule: its seed and its faults.
            chances: kind -> how likely it is at each of its points, from 0 to 1.
            most: how many are drawn at most.
            calm: whether nothing befalls anybody just now.
        """
        self._given = schedule.faults
        self._salt = f"{schedule.seed}:".encode()
        self._chances = chances
        self._most = most
        self._calm = calm
        self.befallen: list[str] = []

    def befalls(self, kind: str, point: str) -> bool:
        """Whether this fault befalls this point. Nothing befalls what the story itself sends: it is the story."""
        if self._calm() or point.startswith(f"{points.TELLER}>"):
            return False
        name = f"{kind}:{point}"
        if name in self._given or self._draws(kind, name):
            self.befallen.append(name)
            return True
        return False

    def crash(self, kind: str, point: str) -> None:
        """Raise `CrashError` if this fault befalls this point."""
        if self.befalls(kind, point):
            raise CrashError(f"{kind} at {point}")

    def _draws(self, kind: str, name: str) -> bool:
        chance = self._chances.get(kind, 0.0)
        if not chance or len(self.befallen) >= self._most:
            return False
        return zlib.crc32(self._salt + name.encode()) % _DENOMINATOR < chance * _DENOMINATOR
