"""Streams as they are read; the twin of `store.streams`."""

from domainflow.store.chain import GENESIS
from domainflow.store.memory.tables import MemoryStore
from domainflow.store.port import Loaded, Recorded
from domainflow.store.streams import EVERYTHING, Head


def head(store: MemoryStore, stream: str) -> Head | None:
    """Return a stream's head; None: there is no such stream."""
    return store.tables.heads.get(stream)


def load(store: MemoryStore, stream: str, *, fold_version: int) -> Loaded:
    """Return a stream as of one instant. A snapshot of another fold version is ignored."""
    with store.lock:
        found = head(store, stream)
        picture = store.tables.snapshots.get(stream)
        if picture and (found is None or picture.fold_version != fold_version or picture.version > found.version):
            picture = None
        start = picture.version if picture else 0
        return Loaded(
            stream=stream,
            tenant=found.tenant if found else "",
            version=found.version if found else 0,
            hash=found.hash if found else GENESIS,
            epoch=found.epoch if found else None,
            snapshot=picture.state if picture else None,
            snapshot_version=start,
            events=tuple(events(store, stream, after=start)) if found else (),
        )


def events(store: MemoryStore, stream: str, *, after: int, limit: int = EVERYTHING) -> list[Recorded]:
    """Return up to `limit` events above a version, in order."""
    with store.lock:
        found = head(store, stream)
        last = min(found.version if found else 0, after + limit)
        return [store.tables.events[stream, version] for version in range(after + 1, last + 1)]


def now_us(store: MemoryStore) -> int:
    """The store's clock, microseconds since 1970."""
    return store.now_us()
