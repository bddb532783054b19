"""Canonical bytes of word lists and name files: stored once a tenant, compressed in chunks, under their hash."""

import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final, LiteralString

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.errors import Corrupt, NotFound

CHUNK_BYTES: Final = 1 << 20

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


def put(connection: Connection[TupleRow], tenant: str, source: StoredSource, data: Iterable[bytes]) -> None:
    """Store a source unless it is there; in a transaction of its tenant, so it is there whole or not at all.

    `data` are its canonical bytes, in pieces of at most `CHUNK_BYTES`.
    """
    row = (tenant, source.sha256, source.kind, source.size_bytes, source.lines)
    if connection.execute(INSERT, row).fetchone() is None:
        return
    for number, piece in enumerate(data):
        connection.execute(INSERT_CHUNK, (tenant, source.sha256, number, zlib.compress(piece, 6)))


def fetch(connection: Connection[TupleRow], tenant: str, sha256: str, folder: Path) -> Path:
    """Return a file in `folder` that holds the canonical bytes, checked against their hash; written once a host."""
    target = folder / f"{tenant}-{sha256}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            _write(connection, tenant, sha256, file)
        Path(name).rename(target)
    except BaseException:
        Path(name).unlink()
        raise
    return target


def _write(connection: Connection[TupleRow], tenant: str, sha256: str, file: BinaryIO) -> None:
    digest, number = hashlib.sha256(), 0
    while (row := connection.execute(CHUNK, (tenant, sha256, number)).fetchone()) is not None:
        piece = zlib.decompress(row[0])
        digest.update(piece)
        file.write(piece)
        number += 1
    if digest.hexdigest() != sha256:
        if number == 0:
            raise NotFound(f"there is no source {sha256[:12]}… in tenant {tenant}")
        raise Corrupt(f"the stored bytes of source {sha256[:12]}… do not have that hash: run `domainflow verify`")
