"""Things that all batches of a worker share: made on first use, kept for the next batch, closed when others take over.

Bound to the running event loop. What is shared and why is said where a `Shared` is made.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

_KEPT: Final = 8  # without a user; personas of a host are few, and each asker holds some sockets


class _Closable(Protocol):
    async def aclose(self) -> None: ...


K = TypeVar("K")
V = TypeVar("V", bound=_Closable)


class _Shelf(Generic[K, V]):
    def __init__(self) -> None:
        self.values: dict[K, V] = {}
        self.users: dict[K, int] = {}

    def idle(self) -> list[K]:
        """Those without a user, longest idle first."""
        return [key for key in self.values if not self.users[key]]


class Shared(Generic[K, V]):
    """One value a key and event loop, made by `make` inside the loop."""

    def __init__(self, make: Callable[[K], V]) -> None:
        self._make = make
        self._shelves: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shelf[K, V]] = WeakKeyDictionary()

    @asynccontextmanager
    async def use(self, key: K) -> AsyncIterator[V]:
        """The value of a key, not closed while the block runs. Raises what `make` raises."""
        shelf = self._shelves.setdefault(asyncio.get_running_loop(), _Shelf())
        if key not in shelf.values:
            shelf.values[key] = self._make(key)
            shelf.users[key] = 0
        value = shelf.values[key]
        shelf.users[key] += 1
        try:
            yield value
        finally:
            shelf.users[key] -= 1
            shelf.values[key] = shelf.values.pop(key)  # the end of the order: used last
            for stale in shelf.idle()[:-_KEPT]:
                await _close(shelf, stale)

    async def aclose(self) -> None:
        """Close what has no user in this loop."""
        if (shelf := self._shelves.get(asyncio.get_running_loop())) is not None:
            for key in shelf.idle():
                await _close(shelf, key)


async def _close(shelf: _Shelf[K, V], key: K) -> None:
    del shelf.users[key]
    await shelf.values.pop(key).aclose()
