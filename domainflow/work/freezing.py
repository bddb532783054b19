"""Turns a user's list of words or names into canonical bytes, once: what is counted in must not change later.

A list is a text file in UTF-8, an entry a line; blank lines and lines that start with `#` do not count.
Memory does not grow with the list (at most 1 GiB): a long one is sorted through temporary files. Nothing here stores
the bytes or knows a campaign.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import IO, Final, Self

from domainflow.errors import InvalidInput
from domainflow.security import textfile
from domainflow.spec import Names, NamesSource, Words, WordsSource
from domainflow.work import hostnames
from domainflow.work.generation import canonical_words, check_count
from domainflow.work.hostnames import Checked, Fault

MAX_FILE_BYTES: Final = 1024**3

_RUN_LINES: Final = 500_000  # sorted at once, in memory; 1 GiB of distinct short lines makes about 300 runs
_IN_MEMORY_BYTES: Final = 32 * 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024
_INDEX_DIGITS: Final = 10  # of a line number: 1 GiB has fewer than 2**30 lines

DUPLICATE: Final = "duplicate"
COMMENT: Final = "comment"
BLANK: Final = "blank"


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Canonical bytes and how they came about: `lines_total` = `count` + the sum of `dropped`.

    A context manager, since the bytes may lie in a temporary file, which leaving it removes.
    """

    sha256: str  # hex, of the bytes
    count: int  # canonical lines
    size_bytes: int
    dropped: dict[str, int]  # reason -> lines: those of `hostnames.Fault`, `duplicate`, `comment` and `blank`
    lines_total: int
    file: IO[bytes]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def chunks(self, size_bytes: int = _CHUNK_BYTES) -> Iterator[bytes]:
        """The bytes from the beginning, in pieces of `size_bytes` (the last one may be shorter)."""
        self.file.seek(0)
        while chunk := self.file.read(size_bytes):
            yield chunk


def freeze(source: WordsSource | NamesSource) -> tuple[Words | Names, Frozen]:
    """Freeze the file of a source. Raises `InvalidInput` as `freeze_words`, `canonical_words` and `check_count` do."""
    frozen = freeze_words(Path(source.words)) if isinstance(source, WordsSource) else freeze_names(Path(source.file))
    with ExitStack() as on_error:
        on_error.enter_context(frozen)
        canonical = _canonical(source, frozen)
        check_count(source.count, canonical)
        on_error.pop_all()
    return canonical, frozen


def freeze_words(path: Path) -> Frozen:
    """Sorted, distinct labels. Lines that are no label are dropped and counted.

    Raises `InvalidInput` for a file that cannot be read as text (see `textfile.lines`) or has no valid line.
    """
    reader = _Reader(path, hostnames.normalise_label)
    with ExitStack() as runs:
        merged = merge(*_sorted_runs(((word, "") for _, word in reader), runs))
        return _frozen(reader, (word for word, _ in groupby(merged)))


def freeze_names(path: Path) -> Frozen:
    """Distinct host names in the order of the file. Lines that are no host name are dropped and counted.

    Raises `InvalidInput` for a file that cannot be read as text (see `textfile.lines`) or has no valid line.
    """
    reader = _Reader(path, hostnames.normalise)
    with ExitStack() as runs:
        # Sorted by name, so that repeats meet; then by line, to find back to the order of the file.
        by_name = merge(*_sorted_runs(((name, f" {line:0{_INDEX_DIGITS}}") for line, name in reader), runs))
        firsts = (next(same).split(" ") for _, same in groupby(by_name, key=_name_of))
        by_line = merge(*_sorted_runs(((line, f" {name}") for name, line in firsts), runs))
        return _frozen(reader, (entry[_INDEX_DIGITS + 1 :] for entry in by_line))


def _canonical(source: WordsSource | NamesSource, frozen: Frozen) -> Words | Names:
    if isinstance(source, WordsSource):
        return canonical_words(source, sha256=frozen.sha256, words=frozen.count)
    return Names(sha256=frozen.sha256, names=frozen.count)


def _name_of(entry: str) -> str:
    return entry[: -_INDEX_DIGITS - 1]


class _Reader:
    """The valid lines of a file with their numbers, counting all and what it leaves out."""

    def __init__(self, path: Path, normalise: Callable[[str], Checked]) -> None:
        self.path = path
        self.lines_total = 0
        self.dropped = Counter[str]()
        self._normalise = normalise

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for number, line in textfile.lines(self.path, max_file_bytes=MAX_FILE_BYTES):
            self.lines_total = number
            text = line.strip()
            entry = self._normalise(text)
            if text.startswith("#"):
                self.dropped[COMMENT] += 1
            elif not text:
                self.dropped[BLANK] += 1
            elif isinstance(entry, Fault):
                self.dropped[entry.value] += 1
            else:
                yield number, entry


def _sorted_runs(entries: Iterable[tuple[str, str]], runs: ExitStack) -> list[Iterator[str]]:
    """`key + rest` of the entries in sorted runs, each with distinct keys (the first of a key stays)."""
    sorted_runs: list[Iterator[str]] = []
    run: dict[str, str] = {}
    for key, rest in entries:
        run.setdefault(key, rest)
        if len(run) == _RUN_LINES:
            sorted_runs.append(_spilled(run, runs))
            run = {}
    return [*sorted_runs, iter(sorted(key + rest for key, rest in run.items()))]


def _spilled(run: dict[str, str], runs: ExitStack) -> Iterator[str]:
    file = runs.enter_context(TemporaryFile())  # noqa: SIM115 - `runs` closes it
    file.writelines(f"{entry}\n".encode() for entry in sorted(key + rest for key, rest in run.items()))
    file.seek(0)
    return (line.decode().rstrip("\n") for line in file)


def _frozen(reader: _Reader, entries: Iterable[str]) -> Frozen:
    with ExitStack() as on_error:
        file = on_error.enter_context(SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
        digest, count, separator = hashlib.sha256(), 0, ""
        for entry in entries:
            line = f"{separator}{entry}".encode()
            file.write(line)
            digest.update(line)
            count, separator = count + 1, "\n"
        dropped = Counter({DUPLICATE: reader.lines_total - count - reader.dropped.total()}) + reader.dropped
        if count == 0:
            counted = ", ".join(f"{lines} {reason}" for reason, lines in sorted(dropped.items()))
            raise InvalidInput(f"{textfile.shown(str(reader.path))}: has no usable line ({counted or 'it is empty'})")
        on_error.pop_all()
    return Frozen(
        sha256=digest.hexdigest(),
        count=count,
        size_bytes=file.tell(),
        dropped=dict(sorted(dropped.items())),
        lines_total=reader.lines_total,
        file=file,
    )
