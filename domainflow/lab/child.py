"""What both server processes of the lab share: their settings, their first words, their end.

A server reads its settings from its first argument, says in one line on standard output where it listens or why it
cannot, and ends when its standard input does: the parent holds the other end, so no kind of death leaves it behind.
"""

import asyncio
import os
import resource
import signal
import sys
import threading
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from domainflow.errors import Unavailable
from domainflow.lab.world import World


class ServerSettings(Struct, frozen=True, kw_only=True):
    """One server's part of the lab."""

    seed: int
    faults: bool
    resolving: float
    home: str
    ports: tuple[int, ...]  # dns: (port,); web: (http, https); 0 takes a free one

    def world(self) -> World:
        """The world that this server plays."""
        return World(self.seed, faults=self.faults, resolving=self.resolving)


class FirstWords(Struct, frozen=True, kw_only=True):
    """Where a server listens, or why it does not."""

    ports: tuple[int, ...] = ()
    error: str = ""


Start = Callable[[ServerSettings], Awaitable[tuple[int, ...]]]


def run(start: Start) -> None:
    """Be a server process until standard input ends. `start` listens and returns the ports it took."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # a connection is a file, and 1024 are few
    settings = msgspec.json.decode(sys.argv[1], type=ServerSettings)
    asyncio.run(_serve(start, settings))


async def _serve(start: Start, settings: ServerSettings) -> None:
    try:
        ports = await start(settings)
    except Unavailable as error:
        _say(FirstWords(error=str(error)))
        return
    threading.Thread(target=_end_with_input, daemon=True).start()
    _say(FirstWords(ports=ports))
    await asyncio.Event().wait()


def _say(words: FirstWords) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(words) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_input() -> None:
    while os.read(0, 4096):  # nobody writes; an empty read is the end of the parent
        pass
    os._exit(0)  # the loop may be busy, and there is nothing to put in order
