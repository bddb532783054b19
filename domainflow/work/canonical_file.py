"""Random access to the lines of a source's canonical bytes, in memory that does not grow with the file.

The bytes are lines of ASCII joined by newlines (none at the end), named by their SHA-256. Nothing here writes, or
decides what is a canonical line: that is `freezing`.
"""

import hashlib
from array import array
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path
from typing import Final

from domainflow.errors import Corrupt, Unavailable

BLOCK_BYTES: Final = 65_536  # the index holds 8 bytes a block: 128 KiB for 1 GiB


class CanonicalFile:
    """Lines by number. Safe to use from several threads; holds no open file.

    Raises from every method: `Unavailable` when the file cannot be read, `Corrupt` when its bytes are not those of
    `sha256` (they are compared once, at opening) or lines are missing.
    """

    def __init__(self, path: Path, sha256: str) -> None:
        self._path = path
        self._newlines_before = array("Q")  # of each block
        newlines, digest = 0, hashlib.sha256()
        try:
            with path.open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    self._newlines_before.append(newlines)
                    newlines += block.count(b"\n")
                    digest.update(block)
        except OSError as error:
            raise _unreadable(error) from error
        if digest.hexdigest() != sha256:
            raise Corrupt(f"canonical file: its bytes hash to {digest.hexdigest()}, not to {sha256}")
        self.count = newlines + 1 if self._newlines_before else 0  # lines

    def lines(self, start: int, stop: int) -> list[str]:
        """Lines [start, stop), 0-based. Reads what lies between, and at most one block before it and one behind."""
        if start >= stop:
            return []
        if start < 0 or stop > self.count:
            raise Corrupt(f"canonical file: lines {start} to {stop} of {self.count} were asked for")
        first, last = self._block_of(start), self._block_of(stop)
        try:
            with self._path.open("rb") as file:
                file.seek(first * BLOCK_BYTES)
                read = file.read((last - first + 1) * BLOCK_BYTES)
        except OSError as error:
            raise _unreadable(error) from error
        skipped = start - self._newlines_before[first]  # whole lines, and the end of one, before line `start`
        lines = read.decode("ascii").split("\n")[skipped : skipped + stop - start]
        if len(lines) < stop - start:
            raise Corrupt(f"canonical file: it ends before line {stop} of {self.count}")
        return lines

    def _block_of(self, newlines: int) -> int:
        """The block in which newline number `newlines` (1-based) stands: the one before line `newlines`."""
        return max(bisect_left(self._newlines_before, newlines) - 1, 0)


@lru_cache(maxsize=8)  # a worker runs a few campaigns at once
def opened(path: Path, sha256: str) -> CanonicalFile:
    """The file, indexed and compared with its hash once a process."""
    return CanonicalFile(path, sha256)


def _unreadable(error: OSError) -> Unavailable:
    return Unavailable(f"canonical file: {error.strerror}; nothing was done")
