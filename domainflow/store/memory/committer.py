"""A `Committer` over the memory store: what the coordinator is to actors, without lanes and without threads."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec.structs import replace

from domainflow.errors import StoreRefused
from domainflow.store import chained
from domainflow.store.chain import GENESIS
from domainflow.store.commit import BarredError, needs_group
from domainflow.store.memory import leases, streams
from domainflow.store.memory.commit import Lane, commit_batch, commit_group
from domainflow.store.memory.tables import MemoryStore
from domainflow.store.port import Answer, AuditNote, Failed, HeldElsewhere, Item, Loaded, Outcome

Later: TypeAlias = Callable[[Callable[[], None]], object]


def read(store: MemoryStore, runtime: str, stream: str, *, owned: bool, fold_version: int) -> Loaded | HeldElsewhere:
    """As `Postgres.read`: claim an owned stream and load it."""
    with store.lock:
        epoch = leases.claim_stream(store, runtime, stream) if owned else None
        holder = leases.owner(store, stream) if owned and epoch is None else None
        if holder is not None:
            return HeldElsewhere(f"{holder[0]} ({holder[1]})")
        loaded = streams.load(store, stream, fold_version=fold_version)
        return replace(loaded, epoch=epoch) if owned else loaded


class MemoryCommitter:
    """Implements `port.Committer` for one registered runtime: what it is given is done when its turn comes."""

    def __init__(
        self,
        store: MemoryStore,
        runtime: str,
        *,
        legal_moves: frozenset[tuple[str, str]],
        later: Later,
    ) -> None:
        """Take a lane.

        Args:
            store: where the runtime is registered.
            runtime: who claims and commits.
            legal_moves: pairs of statuses; an item with another pair is refused.
            later: takes what is to be done and does it after this call, one by one and in order: an executor's
                `submit`, or a queue whose turns a test deals out.
        """
        self._store = store
        self._legal_moves = legal_moves
        self._later = later
        self._lane = Lane(runtime, 0)
        self._lane.raise_generation(store)

    def commit(self, group: tuple[Item, ...], settled: Callable[[Outcome], None]) -> None:
        self._later(lambda: settled(self._commit(group)))

    def note(self, note: AuditNote, settled: Callable[[Outcome], None]) -> None:
        self._later(lambda: settled(self._commit((self._audit_item(note),))))

    def load(self, stream: str, *, owned: bool, fold_version: int, settled: Callable[[Answer], None]) -> None:
        self._later(
            lambda: settled(read(self._store, self._lane.runtime, stream, owned=owned, fold_version=fold_version))
        )

    def now_us(self) -> int:
        return self._store.now_us()

    def _commit(self, group: tuple[Item, ...]) -> Outcome:
        illegal = [item.moves for item in group if set(item.moves) - self._legal_moves]
        if illegal:
            return Failed(f"a move that no table allows: {illegal}")
        try:
            if needs_group(group):
                return commit_group(self._store, self._lane, group)
            return commit_batch(self._store, self._lane, group)[0]
        except StoreRefused as error:
            return Failed(str(error))
        except BarredError:
            return Failed("the runtime was forgotten, or another one took its lane")

    def _audit_item(self, note: AuditNote) -> Item:
        """The next item of this lane's audit stream of a tenant; its generation has one of its own."""
        stream = f"audit/{note.tenant}/{self._lane.runtime}/{self._lane.number}/{self._lane.generation}"
        head = streams.head(self._store, stream)
        version, previous = (head.version, head.hash) if head else (0, GENESIS)
        return chained.record(note, stream=stream, after=version, previous=previous, now_us=self.now_us())
