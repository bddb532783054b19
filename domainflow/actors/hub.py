"""The hub: wakes whoever in this process waits for a stream to move. It says that there may be something, never what.

Called by commit lanes and the listener, so it is short and never waits; whoever is woken reads from Postgres.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

EVERY: Final = ""  # stands for all streams
LOOK_AGAIN_S: Final = 0.25  # when nobody says anything: a hint may be lost


class Ear(Protocol):
    """What can be woken, such as a threading.Event."""

    def set(self) -> None:
        """Have it look; from any thread, and it must not wait."""
        ...


class Hub:
    """Who waits for what. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ears: dict[str, list[Ear]] = {}

    @contextmanager
    def listening(self, stream: str, ear: Ear) -> Iterator[None]:
        """Have `ear` woken whenever a stream may have moved, until the block ends; EVERY: any stream."""
        with self._lock:
            self._ears.setdefault(stream, []).append(ear)
        try:
            yield
        finally:
            with self._lock:
                self._ears[stream].remove(ear)
                if not self._ears[stream]:
                    del self._ears[stream]

    def wake(self, streams: Iterable[str]) -> None:
        """These have moved."""
        with self._lock:
            woken = [ear for stream in (EVERY, *streams) for ear in self._ears.get(stream, ())]
        for ear in woken:
            ear.set()

    def wake_all(self) -> None:
        """Any of them may have moved."""
        with self._lock:
            woken = [ear for ears in self._ears.values() for ear in ears]
        for ear in woken:
            ear.set()
