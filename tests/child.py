"""Processes for tests to talk with, stop and kill: a child runs one function of a test module and speaks in lines.

The function is named "module:function" and called as `function(talk, **arguments)`. What it says and what it is told
are lines; nothing else passes. Run as a script, this file is the child.
"""

import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, cast

SOON_S: Final = 30.0  # for what happens at once on an idle machine
TESTS: Final = Path(__file__).parent
_STAT_PPID, _STAT_START = 1, 19  # of /proc/PID/stat, behind the name
_ENDED: Final = "\0"

Argument = str | int | float | bool


# --- the child's side


class Talk:
    """What a child says to its test, and hears from it."""

    def say(self, word: str, text: object = "") -> None:
        """Say one line: a word, and what belongs to it."""
        print(word, text, flush=True)  # noqa: T201 - the protocol

    def hear(self) -> str:
        """Wait for a line from the test; it is empty when the test has ended."""
        return sys.stdin.readline().strip()


def _apply(patch: str) -> None:
    """Put a value of one module in place of an attribute of another: "module:attribute=module:attribute"."""
    target, replacement = (spot.split(":") for spot in patch.split("="))
    owner_path, _, name = target[1].rpartition(".")
    module = importlib.import_module(target[0])
    owner = attrgetter(owner_path)(module) if owner_path else module
    setattr(owner, name, attrgetter(replacement[1])(importlib.import_module(replacement[0])))


def _main(where: str, patches: str, arguments: str) -> None:
    module, name = where.split(":")
    for patch in json.loads(patches):
        _apply(patch)
    function = cast("Callable[..., None]", getattr(importlib.import_module(module), name))
    function(Talk(), **json.loads(arguments))


# --- the test's side


class Process(NamedTuple):
    """A process, told apart from a later one with its number."""

    pid: int
    started: str  # clock ticks since boot

    @property
    def alive(self) -> bool:
        """Whether it still runs. A zombie does not."""
        stat = _stat(self.pid)
        return stat is not None and stat[0] != "Z" and stat[_STAT_START] == self.started

    @property
    def command(self) -> str:
        """Its command line, words separated by spaces; empty when it is gone."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""


def processes() -> list[tuple[Process, int]]:
    """Return every process of this machine that may be seen, with its parent's number, as of now."""
    numbers = [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]  # noqa: PTH208 - names only
    return [
        (Process(number, stat[_STAT_START]), int(stat[_STAT_PPID])) for number in numbers if (stat := _stat(number))
    ]


def descendants(pid: int) -> list[Process]:
    """Return the children of a process, theirs and so on, as of now."""
    children: dict[int, list[Process]] = {}
    for process, parent in processes():
        children.setdefault(parent, []).append(process)
    found: list[Process] = []
    below = [pid]
    while below:
        born = children.get(below.pop(), [])
        found += born
        below += [child.pid for child in born]
    return found


def eventually(condition: Callable[[], bool], what: str, *, within_s: float = SOON_S) -> float:
    """Wait until the condition holds and return the seconds it took; fail when it does not in time."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() - began_s < within_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.005)
    return time.monotonic() - began_s


@dataclass(frozen=True)
class Spoken:
    """A line that a child said."""

    word: str
    text: str


class Child:
    """A process of its own group that runs one function of a test module."""

    def __init__(self, where: str, *, patch: tuple[str, ...] = (), **arguments: Argument) -> None:
        """Start it. `where` is "module:function"; the module lies in tests/ or in a folder of it ("kill.host")."""
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child
        words = [where, json.dumps(patch), json.dumps(arguments)]
        path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, str(Path(__file__)), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            process_group=0,
        )
        self.started_s = time.monotonic()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, name=f"child {where}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def tell(self, line: str) -> None:
        """Say one line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self, within_s: float) -> Spoken | None:
        """Return the next line it says; None when there is none in time. Fails when it has ended."""
        try:
            line = self._lines.get(timeout=max(0.0, within_s))
        except queue.Empty:
            return None
        if line == _ENDED:
            self._lines.put(_ENDED)
            self._process.wait(SOON_S)
            raise AssertionError(f"the child has ended with {self._process.returncode}:\n{self.last_errors()}")
        word, _, text = line.partition(" ")
        return Spoken(word, text.strip())

    def wait_line(self, word: str, *, within_s: float = SOON_S) -> str:
        """Wait until it says `word`, passing over others; return what belongs to it."""
        deadline_s = time.monotonic() + within_s
        while (spoken := self.hear(deadline_s - time.monotonic())) is not None:
            if spoken.word == word:
                return spoken.text
        raise AssertionError(f"the child did not say {word} within {within_s:g} s:\n{self.last_errors()}")

    def said(self) -> Iterator[Spoken]:
        """Yield what it has said by now and nobody has heard."""
        while not self._lines.empty() and (spoken := self.hear(0.0)) is not None:
            yield spoken

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; its own children get none."""
        self._process.send_signal(number)

    def kill9(self) -> list[Process]:
        """Kill it, and nothing else; return the processes it had at that moment."""
        self.signal(signal.SIGSTOP)  # so that none is born between the look and the kill
        left = descendants(self.pid)
        self._process.kill()
        self._process.wait(SOON_S)
        return left

    def last_errors(self, most: int = 4000) -> str:
        """Return the end of its standard error."""
        size = self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, size - most))
        return self.errors.read().decode(errors="replace")

    def finish(self, *, within_s: float = SOON_S) -> None:
        """End its input and wait for its good end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        code = self._process.wait(within_s)
        assert code == 0, f"the child ended with {code}:\n{self.last_errors()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing of it is left, however the test went."""
        left = self.kill9() if self.running else []
        for process in left:
            if process.alive:
                os.kill(process.pid, signal.SIGKILL)
        for stream in (self._process.stdin, self.errors):
            assert stream is not None
            stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(_ENDED)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the name, which may hold anything; None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


if __name__ == "__main__":
    _main(*sys.argv[1:])
