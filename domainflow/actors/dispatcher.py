"""Which thread an actor's turn runs on: many actors on few threads, or one on its own.

A dispatcher knows nothing of messages; an actor that has something to do is a `Runnable` to it.
"""

import threading
import time
from queue import SimpleQueue
from typing import Final, Protocol

import structlog

POOL_THREADS: Final = 2  # with one interpreter lock more did not raise the rate
TURN_MESSAGES: Final = 64
TURN_S: Final = 0.05

_log = structlog.get_logger()


class Runnable(Protocol):
    """What has a turn to run."""

    def run(self) -> None:
        """Run one turn, and schedule the next one if there is more to do. Raises nothing."""
        ...


class Dispatcher(Protocol):
    """Runs turns."""

    @property
    def turn_messages(self) -> int:
        """How many messages an actor handles a turn, at most."""
        ...

    def schedule(self, runnable: Runnable) -> None:
        """Run its turn soon, on a thread of the dispatcher. Never blocks; after `close` it does nothing."""
        ...

    def replace(self, runnable: Runnable) -> None:
        """This runnable's turn is stuck: put a thread in the place of the one it holds, and let that one go."""
        ...

    def close(self, timeout_s: float) -> bool:
        """Run no further turns; wait up to `timeout_s` for those that run. False when one still does."""
        ...


class PoolDispatcher:
    """A fixed number of daemon threads that take turns from one queue, first come first served."""

    def __init__(
        self, threads: int = POOL_THREADS, *, name: str = "actors", turn_messages: int = TURN_MESSAGES
    ) -> None:
        self.turn_messages: int = turn_messages
        self._name = name
        self._threads = threads
        self._ready: SimpleQueue[Runnable | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._started = 0  # threads ever, also the next one's number
        self._held: dict[threading.Thread, Runnable | None] = {}  # what each thread of the pool runs

    def schedule(self, runnable: Runnable) -> None:
        self._ready.put(runnable)
        if self._started < self._threads:  # only grows, so the lock is needed in the first moments only
            with self._lock:
                if self._started < self._threads and not self._closed:
                    self._start_thread()

    def replace(self, runnable: Runnable) -> None:
        with self._lock:
            stuck = [thread for thread, held in self._held.items() if held is runnable]
            for thread in stuck:
                del self._held[thread]
                if not self._closed:
                    self._start_thread()
        for thread in stuck:
            _log.error("dispatcher_thread_abandoned", thread=thread.name)

    def close(self, timeout_s: float) -> bool:
        with self._lock:
            self._closed = True
            threads = [thread for thread in self._held if thread is not threading.current_thread()]
        for _ in threads:
            self._ready.put(None)
        deadline_s = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _start_thread(self) -> None:
        name = f"{self._name}-{self._started}" if self._threads > 1 or self._started else self._name
        self._started += 1
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._held[thread] = None
        thread.start()

    def _work(self) -> None:
        me = threading.current_thread()
        while not self._closed:
            runnable = self._ready.get()
            if runnable is None:
                return
            self._held[me] = runnable
            runnable.run()
            runnable = None  # an idle thread keeps no actor alive
            with self._lock:
                if me not in self._held:  # given up while it was stuck; another thread has its place
                    return
                self._held[me] = None


class PinnedDispatcher(PoolDispatcher):
    """One daemon thread for one actor, named after it: for those that wait for the outside world."""

    def __init__(self, name: str) -> None:
        super().__init__(1, name=name)
