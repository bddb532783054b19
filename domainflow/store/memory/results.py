"""Results as they are read; the twin of `store.results`."""

from collections.abc import Iterator

from domainflow.store.memory.tables import MemoryStore
from domainflow.store.results import Run, StoredBatch


def batches(store: MemoryStore, run: Run, *, page: int = 200) -> Iterator[StoredBatch]:  # noqa: ARG001 - of memory all is one page
    """Yield the batches of a run by position."""
    of_run = (run.campaign, run.phase, run.run)
    with store.lock:
        found = [stored for place, stored in store.tables.batches.items() if place[:3] == of_run]
    yield from sorted(found, key=lambda stored: stored.start)


def hits(store: MemoryStore, run: Run, start: int, stop: int) -> list[tuple[int, bytes]]:
    """Return (position, body) of what a run kept in [start, stop), by position."""
    of_run = (run.campaign, run.phase, run.run)
    with store.lock:
        kept = [(place[3], body) for place, body in store.tables.hits.items() if place[:3] == of_run]
    return sorted((position, body) for position, body in kept if start <= position < stop)
