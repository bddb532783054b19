"""The lines of a text file that somebody else wrote, or one sentence on why it is none.

Bounded before anything is read: size, length of a line. Nothing here knows what a line means.
"""

import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from domainflow.errors import InvalidInput

MAX_LINE_BYTES: Final = 10_000


def lines(path: Path, *, max_file_bytes: int) -> Iterator[tuple[int, str]]:
    """The lines with their numbers from 1, without line ends or a byte order mark.

    Raises `InvalidInput` (one line: file, line number, rule) for a file that is missing, unreadable, no regular file
    or too large; and on reaching it, for a line that is longer than 10 000 bytes, holds a NUL byte or is not UTF-8.
    """
    try:
        # Before it is opened, since opening a pipe waits for whoever writes into it.
        _refuse_unfit(path, max_file_bytes)
        with path.open("rb") as file:
            yield from _decoded(path, file)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInput(f"{shown(str(path))}: cannot be read ({reason})") from error


def shown(text: str) -> str:
    """The text for a message: on one line, whatever it holds."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _refuse_unfit(path: Path, max_file_bytes: int) -> None:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"{shown(str(path))}: is a directory; a file is needed")
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput(f"{shown(str(path))}: is no regular file")
    if status.st_size > max_file_bytes:
        raise InvalidInput(f"{shown(str(path))}: {status.st_size} bytes are more than {max_file_bytes}")


def _decoded(path: Path, file: BinaryIO) -> Iterator[tuple[int, str]]:
    name, encoding = shown(str(path)), "utf-8-sig"
    for number, raw in enumerate(iter(partial(file.readline, MAX_LINE_BYTES + 2), b""), 1):
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        if len(line) > MAX_LINE_BYTES:
            raise InvalidInput(f"{name}: line {number}: longer than {MAX_LINE_BYTES} bytes")
        if b"\0" in line:
            raise InvalidInput(f"{name}: line {number}: holds a NUL byte; a text file is needed")
        try:
            yield number, line.decode(encoding)
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{name}: line {number}: byte {error.start + 1} is not UTF-8") from error
        encoding = "utf-8"
