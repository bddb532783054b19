"""The verifier: reads everything that is stored, recomputes it and says what is off. It repairs nothing.

It shares the codec and the pure `evolve` with the write path and nothing else. What follows from a broken history is
not judged: a stream whose versions, hashes or head are wrong is named once and not folded.
"""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Final, TypeAlias

from domainflow.store import archives, verify_rows, verify_sql
from domainflow.store.faults import Fault, Kind
from domainflow.store.postgres import Postgres
from domainflow.verify.archived import check_archive
from domainflow.verify.slices import check_next, check_span, check_stream, check_streams
from domainflow.verify.sources import check_source

__all__ = ["KINDS", "Fault", "Kind", "Progress", "check_next", "check_stream", "check_streams", "verify"]

KINDS: Final = tuple(Kind)
ARCHIVES_AT_ONCE: Final = 20  # of one instant

Progress: TypeAlias = Callable[[str, int, int], None]  # step, done of it, of how many


def _silent(_step: str, _done: int, _total: int) -> None:
    pass


def verify(store: Postgres, *, archive: Path | None = None, progress: Progress = _silent) -> Iterator[Fault]:
    """Yield every fault of a store, as it is found; nothing where all is well.

    A runtime may work beside it: what must agree is read as of one instant, a span of streams with all that belongs to
    them at a time. A stream that is born meanwhile may be passed over. Memory is bounded by one page, one span's names
    and one campaign's state, whatever there is.

    Args:
        store: any runtime's, or one opened for this.
        archive: the folder of what was archived, and it is proven too. None: of an archived stream what begins with its
            seal is proven, and that the seal follows an event of the hash that was recorded.
        progress: told which step it is and how much of it is done: streams, statements across them, sources. What is
            born meanwhile can take it beyond the total.

    Raises:
        StoreUnavailable: what was not yielded before is not known.
        Corrupt: Postgres itself cannot read what it stored.
    """
    yield from _check_all_streams(store, progress)
    for number, query in enumerate(verify_sql.ACROSS_STREAMS, 1):
        with verify_sql.instant(store.dsn) as instant:
            yield from verify_sql.faults_across_streams(instant, query)
        progress("across streams", number, len(verify_sql.ACROSS_STREAMS))
    yield from _check_all_sources(store, progress)
    if archive is not None:
        yield from _check_all_archives(store, archive, progress)


def _check_all_streams(store: Postgres, progress: Progress) -> Iterator[Fault]:
    with verify_sql.instant(store.dsn) as instant:
        total = verify_sql.count(instant, verify_sql.COUNT_STREAMS)
    numbers, after = count(1), ""
    while True:
        with verify_sql.instant(store.dsn) as instant:
            span = verify_sql.span_after(instant, after)
            if span is None:
                return
            yield from check_span(instant, span, judged=lambda: progress("streams", next(numbers), total))
        after = span.last


def _check_all_sources(store: Postgres, progress: Progress) -> Iterator[Fault]:
    with verify_sql.instant(store.dsn) as instant:
        total = verify_sql.count(instant, verify_sql.COUNT_SOURCES)
    numbers, last = count(1), None
    while True:
        with verify_sql.instant(store.dsn) as instant:
            page = verify_rows.sources(instant, last)
            if not page:
                return
            for source in page:
                yield from check_source(instant, source)
                progress("sources", next(numbers), total)
        last = page[-1]


def _check_all_archives(store: Postgres, folder: Path, progress: Progress) -> Iterator[Fault]:
    with verify_sql.instant(store.dsn) as instant:
        total = verify_sql.count(instant, archives.COUNT)
    numbers, after = count(1), ""
    while True:
        with verify_sql.instant(store.dsn) as instant:
            page = archives.page(instant, after, most=ARCHIVES_AT_ONCE)
            if not page:
                return
            for archive in page:
                yield from check_archive(instant, archive, folder)
                progress("archives", next(numbers), total)
        after = page[-1].stream
