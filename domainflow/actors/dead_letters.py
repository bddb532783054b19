"""Messages that nobody will handle: counted, the last ones kept, and logged no faster than a person reads.

Nothing is delivered from here again.
"""

import threading
from collections import Counter, deque
from collections.abc import Iterable
from typing import Final, NamedTuple

import structlog

from domainflow.actors.envelope import Envelope
from domainflow.clock import Clock
from domainflow.errors import ActorStopped

KEPT: Final = 100
LOGGED_A_WINDOW: Final = 10
WINDOW_S: Final = 60.0

_log = structlog.get_logger()


class DeadLetter(NamedTuple):
    """One message that was not handled."""

    path: str  # of the actor it was for
    message: object
    reason: str  # a constant word: stopped, refused, expired


class DeadLetters:
    """The dead letters of one runtime."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: deque[DeadLetter] = deque(maxlen=KEPT)
        self._counts: Counter[str] = Counter()
        self._window_end_s = 0.0
        self._logged = 0

    def add(self, path: str, message: object, reason: str) -> None:
        """Note that this message was not handled. Never raises, never blocks for long."""
        with self._lock:
            self._last.append(DeadLetter(path, message, reason))
            self._counts[reason] += 1
            total, log = self._counts.total(), self._may_log()
        if log:
            # The kind only: what a message says may be secret.
            _log.warning("dead_letter", to=path, kind=type(message).__name__, reason=reason, total=total)

    def bury(self, path: str, envelopes: Iterable[Envelope]) -> None:
        """Note that an actor ended before it handled these; whoever asked gets `ActorStopped`."""
        for envelope in envelopes:
            if envelope.reply is not None:
                envelope.reply.fail(ActorStopped(f"{path} has ended; the message was not handled"))
            else:
                self.add(path, envelope.message, "stopped")

    def count(self) -> int:
        """How many there were, ever."""
        with self._lock:
            return self._counts.total()

    def counts(self) -> dict[str, int]:
        """How many there were, ever, by reason."""
        with self._lock:
            return dict(self._counts)

    def last(self) -> tuple[DeadLetter, ...]:
        """The last hundred, oldest first."""
        with self._lock:
            return tuple(self._last)

    def _may_log(self) -> bool:
        now_s = self._clock.monotonic_s()
        if now_s >= self._window_end_s:
            self._window_end_s, self._logged = now_s + WINDOW_S, 0
        self._logged += 1
        return self._logged <= LOGGED_A_WINDOW
