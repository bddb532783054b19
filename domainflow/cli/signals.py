"""Ctrl-C and SIGTERM while this process executes a campaign: heard one after the other, acted on by who waits.

The first Ctrl-C is only noted; a second one ends the process at once. What is done about a signal is decided elsewhere.
"""

import os
import select
import signal
import sys
from types import FrameType, TracebackType
from typing import Final, Self

from domainflow.cli.errors import INTERRUPTED

HEARD: Final = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR: Final = "\x1b[?25h"


class Signals:
    """A context in which signals are noted. Only in the main thread.

    A pipe and not an Event: the handler runs in the thread that waits, and might find the Event's lock held by it.
    """

    def __init__(self) -> None:
        self.parting = "Nothing that was recorded is lost."  # said when a second Ctrl-C ends the process
        self._reader, self._writer = os.pipe()
        self._interrupts = 0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in HEARD:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, timeout_s: float) -> signal.Signals | None:
        """Return the next signal, or None when none came in time."""
        ready, _, _ = select.select([self._reader], [], [], timeout_s)
        return signal.Signals(os.read(self._reader, 1)[0]) if ready else None

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self._interrupts += 1
            if self._interrupts > 1:
                self._leave()
        os.write(self._writer, bytes([number]))

    def _leave(self) -> None:
        """End at once. Worker processes and lab end with us: each waits for the end of a pipe that we hold."""
        cursor = SHOW_CURSOR if sys.stdout.isatty() else ""
        os.write(2, f"{cursor}\nstopped at once. {self.parting}\n".encode())
        os._exit(INTERRUPTED)
