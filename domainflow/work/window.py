"""How many requests may be under way at once: as many as keep answers quick, and what a time-out then means.

A fixed number makes a loaded machine time out on sites that are well; so the window grows while answers are quick and
shrinks when they are not. For one event loop; no socket is touched here.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Final, Self

FIRST: Final = 4  # slow start, as in TCP
FEWEST: Final = 2
SMOOTHING: Final = 0.2  # weight of the newest answer
# Answers that take longer than this part of the time-out say that we, or the way there, are overloaded.
SLOW_SHARE: Final = 0.2
SHRINK: Final = 0.7


class Window:
    """Slots of one persona in one worker: `async with window:` around each request, then `answered` or `timed_out`."""

    def __init__(self, most: int, timeout_s: float) -> None:
        """At most `most` requests at once, each given `timeout_s`."""
        self._most = most
        self._slow_s = timeout_s * SLOW_SHARE
        self._limit = float(min(FIRST, most))
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._typical_s: float | None = None  # of answers, smoothed
        self._since_shrunk = 0  # requests ended

    @property
    def limit(self) -> int:
        """How many may be under way now."""
        return max(1, int(self._limit))

    def answered(self, took_s: float) -> None:
        """An answer came: grow by one a window of quick ones, shrink once a window of slow ones."""
        old = took_s if self._typical_s is None else self._typical_s
        self._typical_s = old + SMOOTHING * (took_s - old)
        if self._typical_s > self._slow_s:
            self._shrink()
        else:
            self._limit = min(float(self._most), self._limit + 1 / self._limit)
        self._since_shrunk += 1

    def timed_out(self) -> bool:
        """No answer came; return whether that may be our own doing, so that the request deserves another try.

        While answers are quick a time-out is the site's. While they are slow, or there are none, it says nothing.
        """
        if self._typical_s is not None and self._typical_s <= self._slow_s:
            return False
        self._shrink()
        self._since_shrunk += 1
        return True

    async def __aenter__(self) -> Self:
        """Wait for a slot, first come first served."""
        if self._under_way < self.limit and not self._waiting:
            self._under_way += 1
            return self
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()  # it had its slot already
            else:
                self._waiting = deque(each for each in self._waiting if each is not turn)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the slot."""
        self._release()

    def _release(self) -> None:
        """Hand the slot, and any that have been added, to those who wait."""
        self._under_way -= 1
        while self._waiting and self._under_way < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)

    def _shrink(self) -> None:
        if self._since_shrunk >= self.limit:  # once a window: what is under way was sent before the last change
            self._limit = max(float(min(FEWEST, self._most)), self._limit * SHRINK)
            self._since_shrunk = 0
