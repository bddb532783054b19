"""A wire to the server that misbehaves when told: loses the answer of a COMMIT, stalls, is cut.

It listens on a Unix socket of its own, and knows of the protocol nothing but what ends a transaction.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

SOON_S: Final = 10.0
COMMITS: Final = (b"COMMIT\0", b"S\0\0\0\x04")  # a statement, or the sync after what is sent at once
CHUNK_BYTES: Final = 65536


class Line:
    """One client's connection through the wire."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.deaf = False  # the client hears nothing any more
        self.said: set[bytes] = set()  # which of the words that are listened for have passed

    def cut(self) -> None:
        """End it, on both sides."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Wire:
    """A way to the server that can lose an answer: the commit arrives, nothing comes back, and then the line is cut."""

    def __init__(self, dsn: str, folder: Path, *, words: tuple[bytes, ...] = ()) -> None:
        """`words`: those by which a line is told apart when they have passed."""
        parts = conninfo_to_dict(dsn)
        self._server = f"{parts['host']}/.s.PGSQL.{parts['port']}"
        parts.pop("requirepeer", None)
        self.dsn = make_conninfo(**parts | {"host": str(folder)})  # type: ignore[arg-type]  # a dict of anything
        self._words = words
        self._path = folder / f".s.PGSQL.{parts['port']}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        self._armed = threading.Event()
        self._of: bytes | None = None
        self._flows = threading.Event()
        self._flows.set()
        self._lines: list[Line] = []
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def lose_the_answer_of_the_next_commit(self, of: bytes | None = None) -> None:
        """What was asked before it is still answered. `of`: of a line where this word has passed."""
        self._of = of
        self._armed.set()

    @property
    def lost(self) -> bool:
        """Whether the commit whose answer is to be lost has come by."""
        return not self._armed.is_set()

    def stall(self) -> None:
        """Let nothing through, either way, until `flow`."""
        self._flows.clear()

    def flow(self) -> None:
        """Let through what has come meanwhile, and all that comes."""
        self._flows.set()

    def cut(self, *, every: bool = False) -> None:
        """End the deaf lines, or every line."""
        for line in list(self._lines):
            if line.deaf or every:
                line.cut()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept; closing it does not
        self._threads[0].join(SOON_S)
        self.flow()
        self.cut(every=True)
        for thread in self._threads:
            thread.join(SOON_S)
        for end in (self._listener, *(end for line in self._lines for end in (line.client, line.server))):
            end.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108 - as the socket module names it

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._server)
        except OSError:  # it is gone just now, and so is the client's connection to it
            server.close()
            client.close()
            return
        line = Line(client, server)
        self._lines.append(line)
        self._run(self._ask, line)
        self._run(self._answer, line)

    def _run(self, pump: Callable[..., None], *of: Line) -> None:
        thread = threading.Thread(target=pump, args=of, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _ask(self, line: Line) -> None:
        with contextlib.suppress(OSError):
            while data := line.client.recv(CHUNK_BYTES):
                self._flows.wait()
                line.said.update(word for word in self._words if word in data)
                if self._armed.is_set() and self._commits(line, data):
                    self._armed.clear()
                    line.deaf = True
                line.server.sendall(data)
        with contextlib.suppress(OSError):
            line.server.shutdown(socket.SHUT_RDWR)  # also after a reset: else its backend would wait for ever

    def _commits(self, line: Line, data: bytes) -> bool:
        return any(end in data for end in COMMITS) and (self._of is None or self._of in line.said)

    def _answer(self, line: Line) -> None:
        with contextlib.suppress(OSError):
            while data := line.server.recv(CHUNK_BYTES):
                self._flows.wait()
                if not line.deaf:
                    line.client.sendall(data)
        if not line.deaf:
            with contextlib.suppress(OSError):
                line.client.shutdown(socket.SHUT_RDWR)
