"""One worker process as its host sees it: the process, the socket to it, and what it has in hand.

Not thread-safe by itself: `local` says which thread may call what. Nothing here decides which worker gets a batch.
"""

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import domainflow
from domainflow.engines.frames import FrameSplitter, Order, Report, decode_report, encode

_CHUNK_BYTES: Final = 1 << 18
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 10.0


def restart_delay_s(quick_deaths: int) -> float:
    """Seconds before the next start: none after a long life, then 0.1 doubling to 10."""
    if quick_deaths == 0:
        return 0.0
    return float(min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** min(quick_deaths - 1, 10)))


class WorkerProcess:
    """A started worker. `running` holds (item, fence) in the order of hand-out."""

    def __init__(self) -> None:
        """Start one. Raises OSError when the system has no process or descriptor left."""
        self.link, theirs = socket.socketpair()
        self.link.settimeout(0)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
                [sys.executable, "-m", "domainflow.engines.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                process_group=0,  # a terminal's signals are for the host alone
            )
        self.pid = self._process.pid
        self.started_at = time.monotonic()
        self.ready = False
        self.alone = False
        self.running: dict[tuple[int, int], None] = {}
        self._outbox = bytearray()
        self._splitter = FrameSplitter()

    def free(self, batches: int) -> int:
        """How many more it takes, if it may run `batches` at once."""
        if not self.ready or self.alone:
            return 0
        return max(0, batches - len(self.running))

    def post(self, order: Order) -> None:
        """Queue an order; bounded by the batches a worker may have, and `flush` sends it."""
        self._outbox += encode(order)

    def interest(self) -> int:
        """The selector events this worker waits for."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outbox else 0)

    def flush(self) -> None:
        """Send what the socket takes. A broken one is not reported here: `hear` meets its end."""
        try:
            del self._outbox[: self.link.send(self._outbox)]
        except BlockingIOError:
            return
        except OSError:
            self._outbox.clear()

    def hear(self) -> list[Report] | None:
        """What it said since; None once it has ended."""
        try:
            chunk = self.link.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return [decode_report(body) for body in self._splitter.feed(chunk)] if chunk else None

    def close(self) -> None:
        """Close the socket, which ends the worker."""
        self.link.close()

    def bury(self, timeout_s: float) -> None:
        """Wait for its end, at most `timeout_s`, then kill it. No zombie is left."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start_early(count: int) -> list[WorkerProcess]:
    """Start workers for an engine that is still to come, which takes them out of the list: they import meanwhile."""
    early: list[WorkerProcess] = []
    with contextlib.suppress(OSError):  # the engine starts what is missing, and says so
        for _ in range(count):
            early.append(WorkerProcess())  # noqa: PERF401 - those before the one that fails are kept
    return early


def dismiss(early: list[WorkerProcess]) -> None:
    """End those that no engine has taken."""
    while early:
        worker = early.pop()
        worker.close()
        worker.bury(0.0)  # it has nothing in hand


def _environment() -> dict[str, str]:
    """The host's, with this very package first, so that host and worker run the same code wherever it was found."""
    home = str(Path(domainflow.__file__).parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in (home, inherited) if part)}
