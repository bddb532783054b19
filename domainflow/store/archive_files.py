"""Files of archived events: gzip of JSON lines, one event a line, from version 1 up to the seal, which is not in it.

A file is there whole or not at all, and the same events make the same bytes. One whose name begins with a dot is what
somebody had begun who was killed.
"""

import gzip
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from domainflow.errors import Corrupt
from domainflow.store.port import Recorded


def write(file: Path, events: Iterable[Recorded]) -> bytes:
    """Write a file so that it outlives a power cut, in the place of what may be there; return its SHA-256.

    Bodies and contexts are base64. Raises OSError, and whatever `events` does: then nothing is there.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with unfinished.open("wb") as raw:
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as packed:
                for recorded in events:
                    packed.write(msgspec.json.encode(recorded) + b"\n")
            raw.flush()
            os.fsync(raw.fileno())
        digest = sha256(unfinished)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    _sync(file.parent)
    return digest


def sha256(file: Path) -> bytes:
    """Return the SHA-256 of a file. Raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def read(file: Path) -> Iterator[Recorded]:
    """Yield the events of a file, in order. Raises OSError, Corrupt."""
    try:
        with gzip.open(file) as packed:
            for line in packed:
                yield msgspec.json.decode(line, type=Recorded)
    except (EOFError, gzip.BadGzipFile, msgspec.MsgspecError) as error:
        raise Corrupt(f"{file} cannot be read: {error}") from error


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
