"""What a lab keeps in its home: a lock, by which it is the only one there, and the ports that others find it by.

The kernel drops the lock with its holder, so a lab that was killed keeps nobody out. Nothing here starts a server.
"""

import contextlib
import fcntl
import os
from io import FileIO
from pathlib import Path
from typing import Final

import msgspec

from domainflow.errors import Unavailable
from domainflow.work.port import LabPorts

PORTS_FILE: Final = "lab.json"
LOCK_FILE: Final = "lab.lock"
_PID_BYTES: Final = 20


class HeldHome:
    """A home that one lab has to itself until `leave`, or until this process ends, however it dies."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is missing, and take it.

        Raises Unavailable when another lab has it, naming that one, or when it cannot be written.
        """
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"lab: cannot make its home {folder}: {error.strerror}; give another home") from error
        self._lock = _take(folder)

    def publish(self, ports: LabPorts) -> None:
        """Write where the lab listens. Raises Unavailable when that cannot be written."""
        file = self._folder / PORTS_FILE
        draft = self._folder / f"{PORTS_FILE}.{os.getpid()}"
        try:
            draft.write_bytes(msgspec.json.encode(ports))
            draft.replace(file)
        except OSError as error:
            raise Unavailable(f"lab: cannot write {file}: {error.strerror}; give another home") from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()

    def leave(self) -> None:
        """Take the ports away and let others have the home. Twice is once."""
        if not self._lock.closed:
            (self._folder / PORTS_FILE).unlink(missing_ok=True)
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # a fork of this process may have it open too
            self._lock.close()


def read_ports(home: Path) -> LabPorts | None:
    """Where the lab of this home listens, or last listened if it was killed; None if there is none to be read."""
    try:
        return msgspec.json.decode((home / PORTS_FILE).read_bytes(), type=LabPorts)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _take(home: Path) -> FileIO:
    """Lock the home, and say in the lock's file who has it."""
    lock = _open(home / LOCK_FILE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.write(str(os.getpid()).ljust(_PID_BYTES).encode())
        (home / PORTS_FILE).unlink(missing_ok=True)  # of a lab that was killed
    except BlockingIOError:
        with lock:
            holder = lock.read(_PID_BYTES).decode().strip()
        raise Unavailable(
            f"lab: one runs in {home} already (process {holder}, {_where(home)}); end it, or give another home"
        ) from None
    except OSError as error:
        lock.close()
        raise Unavailable(f"lab: cannot take {home}: {error.strerror}; give another home") from error
    return lock


def _open(file: Path) -> FileIO:
    try:
        return FileIO(os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+")
    except OSError as error:
        raise Unavailable(f"lab: cannot write {file}: {error.strerror}; give another home") from error


def _where(home: Path) -> str:
    ports = read_ports(home)
    if ports is None:
        return "still starting"
    return f"DNS {ports.resolvers[0]}, HTTP port {ports.http_port}, HTTPS port {ports.https_port}"
