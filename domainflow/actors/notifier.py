"""The notifier: tells all runtimes, on a connection of its own, what there may be to see.

The first hint goes at once. What comes while one is on its way, or right after it, goes together, each word once: under
load that is a few hundred notifications a second, however many commits there are.
"""

import threading
from collections.abc import Iterable
from typing import ClassVar, Final, NamedTuple

import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.effects import Wake
from domainflow.backoff import delay_s
from domainflow.errors import StoreUnavailable
from domainflow.store.hints import Hints

REST_S: Final = 0.003
AGAIN_BASE_S: Final = 0.05
AGAIN_CAP_S: Final = 2.0
MOST_NAMED: Final = 100  # streams: a payload has less than 8000 bytes, and many are as much work as "look at all"
MOVED: Final = "moved"
EVERYTHING: Final = ""

_log = structlog.get_logger()


class Moved(NamedTuple):
    """What the hint that streams have moved says: by which runtime, and which; none: too many to name."""

    runtime: str
    streams: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((MOVED, self.runtime, *self.streams))

    @classmethod
    def parse(cls, payload: str) -> "Moved | None":
        """Return what a payload says; None: something else."""
        word, *rest = payload.split(" ")
        return cls(rest[0], tuple(rest[1:])) if word == MOVED and rest else None


class Outbox:
    """What is to be told. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._words: set[str] = set()
        self._streams: set[str] = set()

    def put(self, *words: str, moved: Iterable[str] = ()) -> bool:
        """Add words and streams; whether there was nothing before, so that the notifier must be woken."""
        with self._lock:
            was_empty = not self._words and not self._streams
            self._words.update(words)
            self._streams.update(moved)
        return was_empty

    def take(self, runtime: str) -> list[str]:
        """Take everything out, as payloads of this runtime."""
        with self._lock:
            words, streams = self._words, self._streams
            self._words, self._streams = set(), set()
        if EVERYTHING in words:
            return [EVERYTHING]
        named = tuple(sorted(streams)) if len(streams) <= MOST_NAMED else ()
        return sorted(words) + ([str(Moved(runtime, named))] if streams else [])


class Rested(NamedTuple):
    """Time to send what has come meanwhile."""


class Notifier(Behaviour[object]):
    """Empties the outbox. Pinned to a thread of its own, since it waits for Postgres."""

    blocks: ClassVar[bool] = True

    def __init__(self, outbox: Outbox, runtime: str, hints: Hints) -> None:
        """`hints` are its own; whoever puts something into an empty `outbox` signals it `Wake`."""
        self._outbox = outbox
        self._runtime = runtime
        self._hints = hints
        self._resting = False
        self._tries = 0  # in vain, since the store was there

    def on_start(self) -> None:
        self.cell.signal(Wake())

    def on_signal(self, signal: object) -> None:
        if isinstance(signal, Rested):
            self._resting = False
        if not self._resting and (payloads := self._outbox.take(self._runtime)):
            self._resting = True
            self.cell.start_timer("rest", self._send(payloads), Rested())

    def on_stop(self) -> None:
        self._hints.close()

    def _send(self, payloads: list[str]) -> float:
        """Send them and return how long to rest. What was not sent is made good by a word to look at everything."""
        try:
            self._hints.send(payloads)
        except StoreUnavailable as error:
            self._tries += 1
            _log.warning("notifier_waits_for_store", tries=self._tries, error=str(error)[:200])
            self._outbox.put(EVERYTHING)
            return delay_s(self._tries, self.cell.environment.chance(), base_s=AGAIN_BASE_S, cap_s=AGAIN_CAP_S)
        self._tries = 0
        return REST_S
