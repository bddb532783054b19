"""One stored word list or file of names: its chunks are all there, and their bytes are those of its hash."""

import hashlib
import zlib
from collections.abc import Iterator
from typing import Final

from domainflow.store import verify_rows
from domainflow.store.faults import Fault, Kind
from domainflow.store.verify_rows import Instant, SourceRow

CHUNK_BYTES: Final = 1 << 20  # of the canonical bytes, at most


class _FaultyError(Exception):
    pass


def check_source(instant: Instant, source: SourceRow) -> Iterator[Fault]:
    """Yield the first thing that is wrong with a stored source."""
    try:
        _check(instant, source)
    except _FaultyError as error:
        yield Fault(Kind.SOURCE_CORRUPT, f"source/{source.tenant}/{source.sha256}", str(error))


def _check(instant: Instant, source: SourceRow) -> None:
    digest, size_bytes, newlines = hashlib.sha256(), 0, 0
    for expected, (number, data) in enumerate(verify_rows.chunks(instant, source)):
        if number != expected:
            raise _FaultyError(f"chunk {expected} is missing")
        piece = _unfolded(number, data)
        digest.update(piece)
        size_bytes += len(piece)
        newlines += piece.count(b"\n")
    if digest.hexdigest() != source.sha256:
        raise _FaultyError(f"its bytes hash to {digest.hexdigest()}")
    lines = newlines + 1 if size_bytes else 0
    if (size_bytes, lines) != (source.size_bytes, source.lines):
        raise _FaultyError(f"it has {size_bytes} bytes in {lines} lines, not {source.size_bytes} in {source.lines}")


def _unfolded(number: int, data: bytes) -> bytes:
    unfolder = zlib.decompressobj()
    try:
        piece = unfolder.decompress(data, CHUNK_BYTES + 1)  # what would unfold to more is not unfolded
    except zlib.error as error:
        raise _FaultyError(f"chunk {number} is not zlib data") from error
    if len(piece) > CHUNK_BYTES or not unfolder.eof or unfolder.unused_data:
        raise _FaultyError(f"chunk {number} is not whole")
    return piece
