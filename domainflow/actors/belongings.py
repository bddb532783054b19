"""What belongs to one behaviour and goes with it: its timers, and the asks it has yet to answer."""

from collections.abc import Callable
from typing import NamedTuple

from domainflow.actors.envelope import Reply
from domainflow.actors.timers import Timer, Timers


class TimerFired(NamedTuple):
    """A timer's firing on its way through the mailbox; it counts only if it is still the one set under its key."""

    key: object
    token: object
    signal: object


class OwnTimers:
    """Timers by key. Used from the actor's thread only; what fires arrives as a `TimerFired`."""

    __slots__ = ("_set",)

    def __init__(self) -> None:
        self._set: dict[object, tuple[object, Timer]] | None = None  # made by the first timer

    def start(self, timers: Timers, delay_s: float, fired: TimerFired, put: Callable[[object], bool]) -> None:
        """Set a timer; an earlier one of the same key is cancelled."""
        self.cancel(fired.key)
        if self._set is None:
            self._set = {}

        def fire() -> None:
            put(fired)

        self._set[fired.key] = (fired.token, timers.after(delay_s, fire))

    def cancel(self, key: object) -> None:
        """Cancel it, if there is one: also when it has fired and its firing still waits in the mailbox."""
        if self._set and (held := self._set.pop(key, None)):
            held[1].cancel()

    def claim(self, fired: TimerFired) -> bool:
        """Whether this firing counts; once."""
        if self._set is None or (held := self._set.get(fired.key)) is None or held[0] is not fired.token:
            return False
        del self._set[fired.key]
        return True

    def cancel_all(self) -> None:
        """Cancel every one."""
        held, self._set = self._set, None
        for _, timer in (held or {}).values():
            timer.cancel()


class Deferrals:
    """Asks that were deferred and have no answer yet."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: set[Reply] | None = None  # made by the first one

    def add(self, reply: Reply) -> None:
        """Remember it until it is settled, on whatever thread that happens."""
        if self._open is None:
            self._open = set()
        self._open.add(reply)
        reply.add_done_callback(self._open.discard)

    def fail(self, error: BaseException) -> None:
        """Settle all of them with this error."""
        for reply in self._open.copy() if self._open else ():  # settling takes it out of the set
            reply.fail(error)

    def __len__(self) -> int:
        return len(self._open) if self._open else 0
