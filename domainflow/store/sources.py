"""Canonical bytes of word lists and name files: stored once a tenant, compressed in chunks, under their hash."""

import hashlib
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Final, LiteralString

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import Corrupt, NotFound

CHUNK_BYTES: Final = 1 << 20
IN_MEMORY_BYTES: Final = 32 << 20  # of a compressed source; more lies in a temporary file

STORED: Final[LiteralString] = "select 1 from domainflow.source where tenant = %s and sha256 = %s"
INSERT: Final[LiteralString] = """
insert into domainflow.source (tenant, sha256, kind, size_bytes, lines)
values (%s, %s, %s, %s, %s) on conflict do nothing returning 1
"""
INSERT_CHUNK: Final[LiteralString] = (
    "insert into domainflow.source_chunk (tenant, sha256, chunk, data) values (%s, %s, %s, %s)"
)
CHUNK: Final[LiteralString] = (
    "select data from domainflow.source_chunk where tenant = %s and sha256 = %s and chunk = %s"
)


class StoredSource(Struct, frozen=True, kw_only=True):
    """What is known of a frozen source besides its bytes."""

    sha256: str
    kind: str
    size_bytes: int
    lines: int


def is_stored(connection: Connection[TupleRow], tenant: str, sha256: str) -> bool:
    """Whether it is there."""
    return connection.execute(STORED, (tenant, sha256)).fetchone() is not None


@contextmanager
def packed(data: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """Compress canonical bytes, in pieces of at most `CHUNK_BYTES`, for `put`: before its transaction, not in it."""
    with SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
        sizes = [file.write(zlib.compress(piece, 6)) for piece in data]
        file.seek(0)
        yield (file.read(size) for size in sizes)


def put(connection: Connection[TupleRow], tenant: str, source: StoredSource, chunks: Iterable[bytes]) -> None:
    """Store a source, as `packed`, unless it is there; in a transaction of its tenant, so it is there whole or not."""
    row = (tenant, source.sha256, source.kind, source.size_bytes, source.lines)
    if connection.execute(INSERT, row).fetchone() is None:
        return
    for number, chunk_ in enumerate(chunks):
        connection.execute(INSERT_CHUNK, (tenant, source.sha256, number, chunk_))


def chunk(connection: Connection[TupleRow], tenant: str, sha256: str, number: int) -> bytes | None:
    """Return a compressed chunk by its number; None: it has not so many."""
    row = connection.execute(CHUNK, (tenant, sha256, number)).fetchone()
    return bytes(row[0]) if row else None


def fetch(read: Callable[[int], bytes | None], tenant: str, sha256: str, folder: Path) -> Path:
    """Return a file in `folder` that holds the canonical bytes, checked against their hash; written once a host.

    `read` returns a compressed chunk by its number, each in a transaction of its own: they never change.
    """
    target = folder / f"{tenant}-{sha256}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            _write(read, tenant, sha256, file)
            file.flush()
            os.fsync(file.fileno())  # nobody reads the hash again: after a power cut its name must not stand for less
        Path(name).rename(target)
    except BaseException:
        Path(name).unlink()
        raise
    return target


def _write(read: Callable[[int], bytes | None], tenant: str, sha256: str, file: BinaryIO) -> None:
    digest, number = hashlib.sha256(), 0
    while (data := read(number)) is not None:
        piece = zlib.decompress(data)
        digest.update(piece)
        file.write(piece)
        number += 1
    if digest.hexdigest() != sha256:
        if number == 0:
            raise NotFound(f"there is no source {sha256[:12]}… in tenant {tenant}")
        raise Corrupt(f"the stored bytes of source {sha256[:12]}… do not have that hash: run `domainflow verify`")
