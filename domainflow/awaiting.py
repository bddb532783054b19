"""How an event loop waits for what threads do: calls on threads of its own, and words from other threads."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Self, TypeVar

from domainflow.actors.hub import EVERY
from domainflow.errors import Unavailable
from domainflow.projections import Projector
from domainflow.subscriptions import Subscription
from domainflow.views import FeedChange

THREADS: Final = 8  # twice the connections that they compete for
CALLS: Final = "domainflow-aio"

R = TypeVar("R")


class Caller:
    """Runs blocking calls on threads of its own, for one loop."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(THREADS, CALLS)

    async def call(self, function: Callable[[], R]) -> R:
        """Return what `function` returns. Cancelled, it is let finish."""
        try:
            called = self.threads.submit(function)
        except RuntimeError as error:  # the pool takes no more after its shutdown
            raise Unavailable("this runtime is closed; nothing was done") from error
        return await asyncio.shield(asyncio.wrap_future(called))


class LoopEar:
    """An ear of the hub, for the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    def set(self) -> None:
        """Wake whoever rests; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody rests any more
            self._loop.call_soon_threadsafe(self._woken.set)

    async def rest(self, most_s: float) -> None:
        """Wait for a word, or for so long at most; what was said since the last rest counts."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), most_s)
        self._woken.clear()


class AsyncSubscription:
    """A `Subscription` for an event loop: it yields the same, and holds no thread while it waits."""

    def __init__(self, caller: Caller, twin: Subscription) -> None:
        """Use `AsyncOperations.subscribe`."""
        self._caller = caller
        self._twin = twin
        self._changes = self._follow()
        self.bookmark = twin.bookmark

    def __aiter__(self) -> Self:
        """It is its own iterator."""
        return self

    async def __anext__(self) -> FeedChange:
        """Wait for the next change. Raises AskTimeout after `timeout_s` of quiet, StoreUnavailable.

        With either, and when it is cancelled, it has ended: another one goes on from its `bookmark`.
        """
        return await anext(self._changes)

    async def close(self) -> None:
        """End it; leaving `async for` does not, since the loop does not know that nobody will go on."""
        await self._changes.aclose()

    async def _follow(self) -> AsyncGenerator[FeedChange, None]:
        following, quiet, ear = self._twin.following, self._twin.quiet, LoopEar()
        quiet.over()
        with self._twin.hub.listening(EVERY, ear):
            while True:
                changes = await self._caller.call(partial(following.look, quiet.deadline_s))
                for change in changes:
                    self.bookmark = change.bookmark
                    yield change
                    quiet.over()
                if not changes:
                    self.bookmark = str(following.position)
                    quiet.check("any campaign")
                await ear.rest(quiet.left_s(following.rest_s()))


class AsyncProjector:
    """A `Projector` for an event loop: it holds a thread while it applies something, and none while it waits."""

    def __init__(self, caller: Caller, twin: Projector) -> None:
        """Use `AsyncOperations.projector`."""
        self._caller = caller
        self._twin = twin

    @property
    def blocking(self) -> Projector:
        """The twin, whose `reading` is for threads."""
        return self._twin

    async def step(self) -> float:
        """Apply the next page; return how long to wait before the next step, s."""
        return await self._caller.call(self._twin.step)

    async def catch_up(self, timeout_s: float = 60.0) -> None:
        """Apply everything that was committed before this call. Raises AskTimeout, and whatever `step` does."""
        await self._caller.call(partial(self._twin.catch_up, timeout_s))

    async def follow(self) -> None:
        """Apply whatever happens, until it is cancelled; a step that is under way then is finished all the same."""
        ear = LoopEar()
        with self._twin.hub.listening(EVERY, ear):
            while True:
                await ear.rest(await self.step())

    async def rebuild(self) -> None:
        """Begin to build it anew."""
        await self._caller.call(self._twin.rebuild)
