"""Stops the embedded server when its last client is gone, however that client ended.

A script of its own, run with `python -I -S`: it waits as long as the server runs, so it imports nothing but a little
of the standard library (about 8 MB). It never starts a server and never talks to one.

It waits for the clients' lock, which each client holds shared and the kernel drops with the process.
"""

import contextlib
import fcntl
import os
import signal
import sys
import time
from typing import Final, NamedTuple

LOOK_AGAIN_AFTER_S: Final = 0.2
PID_LINE: Final = 0
STATUS_LINE: Final = 7


class Watched(NamedTuple):
    """What the starter hands over; the last two are descriptors of its own.

    `lock` is that of watch.lock, held from before our birth; into the pipe `started` we say that we watch.
    """

    folder: str
    socket_folder: str
    uid: int
    gid: int
    lock: int
    started: int


def watch(watched: Watched) -> None:
    """Wait until no client is left and no server runs."""
    clients = os.open(f"{watched.folder}/clients.lock", os.O_RDWR)
    server = os.open(f"{watched.folder}/server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    _become(watched.uid, watched.gid)
    os.write(watched.started, b".")
    os.close(watched.started)
    while True:
        fcntl.flock(clients, fcntl.LOCK_EX)  # granted when the last client is gone
        if _stop(watched.folder, server):
            break
        # Its recovery goes on without us: stopped now it would begin anew at every try. New clients may come meanwhile.
        fcntl.flock(clients, fcntl.LOCK_UN)
        time.sleep(LOOK_AGAIN_AFTER_S)
    with contextlib.suppress(OSError):  # not empty after a crash: the next server cleans it up
        os.rmdir(watched.socket_folder)  # noqa: PTH106 -- pathlib would add 0.8 MB to a process that lives for days
    os.close(watched.lock)  # before the clients' lock: a client that waits for that one must find no watcher
    os.close(clients)


def _stop(folder: str, server: int) -> bool:
    """Stop the server and wait for its last process. False where it is still starting or already stopping."""
    if _free(server):
        return True
    pid = _ready_postmaster(folder)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):  # killed a moment ago; its children follow
        os.kill(pid, signal.SIGINT)  # "fast": clients are cut off, a checkpoint leaves nothing to recover
    fcntl.flock(server, fcntl.LOCK_EX)
    return True


def _free(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ready_postmaster(folder: str) -> int | None:
    """Return the postmaster's pid if it says that it takes connections. Its lock is held, so the file is its own."""
    try:
        with open(f"{folder}/data/postmaster.pid", encoding="utf-8") as file:  # noqa: PTH123 -- likewise
            lines = file.read().split("\n")
        return int(lines[PID_LINE]) if lines[STATUS_LINE].strip() == "ready" else None
    except (OSError, ValueError, IndexError):
        return None  # not written yet, or cut short: the server notices that within a minute and ends by itself


def _become(uid: int, gid: int) -> None:
    """Give up root: the pid comes from a file of the server's account, which must not choose whom root kills."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


if __name__ == "__main__":
    _, own_folder, own_sockets, *numbers = sys.argv
    watch(Watched(own_folder, own_sockets, *map(int, numbers)))
