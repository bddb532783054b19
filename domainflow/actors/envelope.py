"""What travels between actors: a message with its context, and the slot for its answer.

Nothing here knows who receives it or on which thread.
"""

import sys
import threading
from collections.abc import Callable, Generator
from enum import Enum
from functools import cached_property
from types import TracebackType
from typing import Final, TypeAlias

import pykka
import structlog
from pykka._future import _Unset
from pykka._threading import ThreadingFutureResult

from domainflow.errors import ActorStopped, AskTimeout
from domainflow.held import refuse_to_wait
from domainflow.security.context import Context

_log = structlog.get_logger()

_ExcInfo: TypeAlias = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class Deferred(Enum):
    """The type of `DEFERRED`."""

    DEFERRED = "deferred"


# A behaviour returns it when it will answer later, through `envelope.reply`.
DEFERRED: Final = Deferred.DEFERRED


_UNSET: Final = _Unset()  # pykka's "not asked yet"


class _Here(threading.local):
    path: str = ""  # empty: in none
    turn: int = 0  # its turn on this thread
    # How this thread waits for an event, for so many seconds: a seam, so that a test can run others meanwhile.
    wait: Callable[[threading.Event, float | None], bool] = staticmethod(threading.Event.wait)


# Which actor the running thread is in. Cells set it; whoever would block asks it first.
here: Final = _Here()


def sleep(delay_s: float) -> None:
    """Wait on this thread, as it waits: for behaviours with a thread of their own."""
    here.wait(threading.Event(), delay_s)


class Reply(pykka.ThreadingFuture[object]):
    """The answer of one ask: settled exactly once, with a value or an error; later ones are counted and dropped."""

    def __init__(self) -> None:
        # pykka's constructor is not called: its Condition would be the dearest part of an ask, and most answers are
        # taken by callbacks. What it would set is set below and in `_condition`; a test watches that it sets no more.
        self._result: ThreadingFutureResult | None = None
        self._get_hook = None
        self._get_hook_result = _UNSET
        self._gate = threading.Lock()
        self._arrived: threading.Event | None = None  # made by the first who waits
        self._callbacks: list[Callable[[Reply], None]] = []
        self.late = 0  # answers that came after the first

    @cached_property
    def _condition(self) -> threading.Condition:  # type: ignore[override]  # pykka's hooks (`map`, `join`) make it
        return threading.Condition()

    def set(self, value: object = None) -> None:
        """Answer. Wakes who waits and calls the callbacks, on this thread."""
        self.settle(value, None)

    def fail(self, error: BaseException) -> None:
        """Answer that there is none, and why: whoever waits gets this error."""
        self.settle(None, error)

    def settle(self, value: object, error: BaseException | None) -> bool:
        """As `set` or `fail`; false when it was settled already, which changes nothing but `late`."""
        exc_info = None if error is None else (type(error), error, error.__traceback__)
        with self._gate:
            if self._result is not None:
                self.late += 1
                return False
            self._result = ThreadingFutureResult(value, exc_info)
        if self._arrived is not None:
            self._arrived.set()
        for callback in self._callbacks:  # none is added any more
            self._call(callback)
        return True

    def set_exception(self, exc_info: _ExcInfo | None = None) -> None:
        """As `fail`, in the words of pykka."""
        self.fail((exc_info or sys.exc_info())[1] or ActorStopped("the actor failed without an error"))

    def get(self, timeout_s: float | None = None, *, timeout: float | None = None) -> object:
        """Wait for the answer, for `timeout_s` seconds or (None) without end. `timeout` is pykka's word for it.

        Raises:
            AskTimeout: no answer in time; the message may still be handled, and the answer be fetched later.
            RuntimeError: called inside an actor, or in a transaction, and not answered yet. Actors never wait: see
                `Cell.request`.
            Exception: what the actor failed or refused it with.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if self._result is None:
            self._wait(timeout if timeout_s is None else timeout_s)
        if self.error is not None:
            raise self.error
        return self.value

    def _wait(self, wait_s: float | None) -> None:
        if here.path:
            raise RuntimeError(f"{here.path} must not wait for an answer: use request(), its answer comes as a signal")
        refuse_to_wait("an answer")
        with self._gate:
            if self._result is not None:
                return
            arrived = self._arrived = self._arrived or threading.Event()
        if not here.wait(arrived, wait_s):
            raise AskTimeout(f"no answer within {wait_s} s; the message may still be handled")

    def add_done_callback(self, callback: Callable[["Reply"], None]) -> None:
        """Call this once it is settled: on the thread that settles it, or here and now if it is settled already.

        A callback must be short and must not raise; what it raises is logged and goes no further.
        """
        with self._gate:
            if self._result is None:
                self._callbacks.append(callback)
                return
        self._call(callback)

    def __await__(self) -> Generator[None, None, object]:
        """Refused: pykka's own would block the event loop. An async host uses `add_done_callback`."""
        raise RuntimeError("awaiting a reply would block the event loop: use add_done_callback")

    __iter__ = __await__

    @property
    def done(self) -> bool:
        """Whether it is settled."""
        return self._result is not None

    @property
    def value(self) -> object:
        """The answer; None as long as there is none, and when it failed."""
        return None if self._result is None else self._result.value

    @property
    def error(self) -> BaseException | None:
        """What it failed with; None as long as it has not."""
        if self._result is None or self._result.exc_info is None:
            return None
        return self._result.exc_info[1]

    def _call(self, callback: Callable[["Reply"], None]) -> None:
        try:
            callback(self)
        except Exception:  # noqa: BLE001  # see below
            # Whoever settles is an actor of somebody else's: a host's callback must not make it fail.
            _log.exception("reply_callback_failed")


class Envelope:
    """One message on its way. Never changed after it was made."""

    __slots__ = ("context", "message", "reply")

    def __init__(self, message: object, context: Context, reply: Reply | None = None) -> None:
        self.message = message
        self.context = context
        self.reply = reply  # None: a tell

    def __repr__(self) -> str:
        """Only the kind of message: what it says may be secret."""
        return f"<Envelope {type(self.message).__name__} {self.context.correlation_id}>"
