"""The verifier: reads everything that is stored, recomputes it and says what is off. It repairs nothing.

It shares the codec and the pure `evolve` with the write path and nothing else. What follows from a broken history is
not judged: a stream whose versions, hashes or head are wrong is named once and not folded.
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from domainflow.store import verify_rows, verify_sql
from domainflow.store.faults import Fault, Kind
from domainflow.store.postgres import Postgres
from domainflow.verify.campaigns import check_campaign
from domainflow.verify.patterns import check_pattern
from domainflow.verify.sources import check_source

__all__ = ["KINDS", "Fault", "Kind", "verify"]

KINDS: Final = tuple(Kind)

BREAKING: Final = frozenset(
    {Kind.VERSION_GAP, Kind.CHAIN_BROKEN, Kind.TENANT_DIFFERS, Kind.HEAD_DIFFERS, Kind.HEAD_WITHOUT_EVENTS}
)


def _silent(_step: str, _done: int) -> None:
    pass


def verify(store: Postgres, *, progress: Callable[[str, int], None] = _silent) -> Iterator[Fault]:
    """Yield every fault of a store as of one instant, as it is found; nothing where all is well.

    A runtime may work beside it. Memory is bounded by one batch, one page and one campaign's state, whatever there is.

    Args:
        store: any runtime's, or one opened for this.
        progress: told after each part which step it was and how many of that step are done.

    Raises:
        StoreUnavailable: what was not yielded before is not known.
        Corrupt: Postgres itself cannot read what it stored.
    """
    broken: set[str] = set()
    with verify_sql.instant(store.dsn) as connection:
        for number, (step, query) in enumerate(verify_sql.SETS, 1):
            for fault in verify_sql.faults_of_sets(connection, query):
                if fault.kind in BREAKING:
                    broken.add(fault.where)
                yield fault
            progress(step, number)
        for prefix, step, check in (
            ("campaign/", "campaigns", check_campaign),
            ("pattern/", "patterns", check_pattern),
        ):
            numbers = count(1)
            for row in verify_rows.streams(connection, prefix):
                if row.stream not in broken:
                    yield from check(connection, row)
                progress(step, next(numbers))
        for number, source in enumerate(verify_rows.sources(connection), 1):
            yield from check_source(connection, source)
            progress("sources", number)
