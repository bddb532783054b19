"""A client's own log of what it asked for and what it was told: the one thing that the checker believes besides SQL.

Written line by line, each on the disk before the client goes on. No word of the system under test.
"""

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

Fate = Literal["in doubt", "acknowledged", "refused", "undone"]


@dataclass(frozen=True)
class Command:
    """One command. Its mark is its idempotency key; `shows` is what its event's body holds, "" when nothing tells."""

    mark: str
    verb: str
    stream: str = ""  # of a creation: none yet
    shows: str = ""


@dataclass
class Entry:
    """A command with what became of it, as far as its client knows."""

    command: Command
    sent_s: float  # CLOCK_MONOTONIC, one for all processes
    fate: Fate = "in doubt"
    stream: str = ""
    version: int = 0  # of the stream, as acknowledged
    doubted: bool = False  # whether it had to be asked again


class Ledger:
    """Appends to a file; safe to use from several threads of one process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()

    def sent(self, command: Command) -> None:
        """Before it is asked for the first time."""
        self._write(["sent", command.mark, command.verb, command.stream, command.shows, time.monotonic()])

    def told(self, command: Command, fate: Fate, stream: str = "", version: int = 0) -> None:
        """Its answer has come, or "in doubt": it is lost."""
        self._write([fate, command.mark, stream, version])

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: list[object]) -> None:
        with self._lock:
            os.write(self._file, json.dumps(line).encode() + b"\n")  # in one call: a kill leaves no half a line
            os.fsync(self._file)


def read(*paths: Path) -> dict[str, Entry]:
    """Return what clients know, by mark, each client's in the order of asking."""
    entries: dict[str, Entry] = {}
    for path in paths:
        for line in path.read_text().splitlines() if path.exists() else ():
            word, mark, *rest = json.loads(line)
            if word == "sent":
                verb, stream, shows, sent_s = rest
                entries[mark] = Entry(Command(mark, verb, stream, shows), sent_s)
            else:
                entries[mark].fate = word
                entries[mark].doubted |= word == "in doubt"
                entries[mark].stream, entries[mark].version = rest
    return entries
