"""The transactions that are open in this process: whose they are, how old, and where they were opened.

Entered and left by `transaction` alone. Whoever looks here may end one that takes too long; nothing here waits for
Postgres but `cancel`.
"""

import contextlib
import itertools
import os
import socket
import sys
import threading
import time
from types import CodeType, FrameType
from typing import Final

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

PLACES: Final = 6  # frames of the opener that are kept
CANCEL_S: Final = 1.0
# Files on the way from the opener to here.
BETWEEN: Final = tuple(f"{os.sep}{name}.py" for name in ("contextlib", "store/transaction", "store/postgres"))


class Open:
    """One open transaction. Of its frames only code and line are kept: a frame would keep what its locals hold."""

    __slots__ = ("_place", "connection", "kind", "opened_s", "pid", "thread", "whole_ms")

    def __init__(self, kind: str, connection: Connection[TupleRow], *, whole_ms: int) -> None:
        self.kind = kind
        self.connection = connection
        self.whole_ms = whole_ms  # that it may take; 0: as long as it likes
        self.thread = threading.current_thread().name
        self.pid = connection.info.backend_pid
        self.opened_s = time.monotonic()
        self._place = _opener()

    def age_s(self, now_s: float) -> float:
        """How long it has been open."""
        return now_s - self.opened_s

    @property
    def where(self) -> tuple[str, ...]:
        """Where it was opened, the innermost first: "file:line function"."""
        return tuple(f"{code.co_filename}:{line} {code.co_qualname}" for code, line in self._place)

    def __str__(self) -> str:
        return f"{self.kind} of {self.thread} (backend {self.pid}), opened at {' < '.join(self.where)}"


_lock: Final = threading.Lock()
_open: Final[dict[int, Open]] = {}
_numbers: Final = itertools.count(1)


def enter(opened: Open) -> int:
    """Have it in the list; returns what `leave` wants."""
    number = next(_numbers)
    with _lock:
        _open[number] = opened
    return number


def leave(number: int) -> None:
    """Take it off the list."""
    with _lock:
        del _open[number]


def all_open() -> tuple[Open, ...]:
    """Return what is open now, the oldest first."""
    with _lock:
        return tuple(_open.values())


def overdue(now_s: float) -> tuple[Open, ...]:
    """Return what has been open for longer than it may, the oldest first."""
    return tuple(each for each in all_open() if each.whole_ms and each.age_s(now_s) * 1000 > each.whole_ms)


def cancel(opened: Open) -> None:
    """Have Postgres end its statement, if one runs: its thread gets QueryCanceled and rolls back. Waits a moment."""
    with contextlib.suppress(psycopg.Error):
        opened.connection.cancel_safe(timeout=CANCEL_S)


def cut(opened: Open) -> None:
    """Cut its line, whatever its thread does: Postgres rolls back as soon as it notices.

    Not closed: that is for the thread that may be using it just now. Under the lock, so that it is still this one's.
    """
    with _lock, contextlib.suppress(psycopg.Error, OSError):
        if opened in _open.values():
            with socket.socket(fileno=os.dup(opened.connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)


def _opener() -> tuple[tuple[CodeType, int], ...]:
    place: list[tuple[CodeType, int]] = []
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - a stack summary would read source files each time
    while frame is not None and len(place) < PLACES:
        if not frame.f_code.co_filename.endswith(BETWEEN):
            place.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(place)
