"""The store of a story's runtime, of either kind: its lanes, and a look at all that is in it."""

import itertools
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from types import ModuleType
from typing import Any, ClassVar, Final, Protocol

from durable import Actor
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.evolution import LEGAL_MOVES
from domainflow.actors.coordinator.messages import Load
from domainflow.actors.pattern import actor as pattern
from domainflow.store import commit, leases, streams, work_items
from domainflow.store.commit_connection import CommitConnection
from domainflow.store.memory import leases as memory_leases
from domainflow.store.memory import streams as memory_streams
from domainflow.store.memory import work_items as memory_work_items
from domainflow.store.memory.tables import MemoryStore, State
from domainflow.store.port import HeldElsewhere, Item, Loaded, Outcome, Recorded
from domainflow.store.postgres import Postgres
from domainflow.store.streams import Head
from domainflow.store.transaction import Kind
from domainflow.store.work_items import Claim, Result
from domainflow.testing import World
from domainflow.testing.store import StoryLanes, StoryStore, Wire

Place = tuple[int, int, int]  # phase, run, batch
SOURCE: Final = pattern.source_stream("acme", "hundred")


class Side(Protocol):
    """One runtime's."""

    runtime: str
    source: str  # the stream of its one source
    lanes: StoryLanes
    leases: ModuleType
    work_items: ModuleType

    def id(self, name: str) -> str:
        """The id of the campaign that a story calls so."""
        ...

    def name(self, id_: str) -> str:
        """What the story calls it."""
        ...

    def upkeep(self, kind: Kind) -> Any: ...  # noqa: ANN401 - as of Postgres

    def complete(self, result: Result) -> None: ...

    def mine(self) -> list[str]: ...

    def head(self, stream: str) -> Head | None: ...

    def events(self, stream: str) -> Sequence[Recorded]: ...

    def ranges(self) -> list[tuple[int, int, str]]: ...

    def load(self, stream: str) -> Loaded: ...

    def results(self, name: str) -> dict[Place, int]:
        """How many names each stored result that is accounted has."""
        ...


class OnMemory:
    """A memory store, which may have several runtimes."""

    leases: ClassVar = memory_leases
    work_items: ClassVar = memory_work_items

    def __init__(self, world: World, store: MemoryStore, runtime: str, child: str) -> None:
        self.store, self.runtime, self.source = store, runtime, SOURCE
        self.lanes = StoryStore(world, store, runtime=runtime, name=child, legal_moves=LEGAL_MOVES)

    def id(self, name: str) -> str:
        return name

    def name(self, id_: str) -> str:
        return id_

    @contextmanager
    def upkeep(self, _: Kind) -> Iterator[MemoryStore]:
        yield self.store

    def complete(self, result: Result) -> None:
        memory_work_items.complete(self.store, result)

    def mine(self) -> list[str]:
        return list(self.store.tables.heads)

    def head(self, stream: str) -> Head | None:
        return memory_streams.head(self.store, stream)

    def events(self, stream: str) -> Sequence[Recorded]:
        return memory_streams.events(self.store, stream, after=0)

    def ranges(self) -> list[tuple[int, int, str]]:
        return sorted((each.row.base, each.row.count, each.row.id) for each in self.store.tables.campaigns.values())

    def load(self, stream: str) -> Loaded:
        return memory_streams.load(self.store, stream, fold_version=campaign.RULES.fold_version)

    def results(self, name: str) -> dict[Place, int]:
        open_ = {item.place for item in self.store.tables.work_items.values() if item.state is State.DONE}
        stored = self.store.tables.batches.items()
        return {place[1:]: b.stop - b.start for place, b in stored if place[0] == name and place not in open_}


class _Wired(CommitConnection):
    """A lane's connection to Postgres, over a wire of the story."""

    def __init__(self, store: Postgres, runtime: str, number: int, wire: Wire) -> None:
        super().__init__(store.connect_lane, runtime, number)
        self._wire = wire
        self.opened: list[Connection[TupleRow]] = []

    def reopen(self) -> int:
        self._wire.connect()
        now_us = super().reopen()
        self.opened.append(self._open)
        return now_us

    def send(self, groups: Sequence[tuple[Item, ...]]) -> list[Outcome]:
        lane, connection = copy(self.lane), self._open
        self._wire.request("commit", lambda: self._straggle(connection, lane, groups))
        outcomes = super().send(groups)
        self._wire.answer("committed")
        return outcomes

    def close(self) -> None:
        """Leave it open: a statement may still be on its way."""

    @staticmethod
    def _straggle(connection: Connection[TupleRow], lane: commit.Lane, groups: Sequence[tuple[Item, ...]]) -> None:
        with suppress(commit.BarredError):
            if commit.needs_group(groups[0]):
                commit.commit_group(connection, lane, groups[0])
            else:
                commit.commit_batch(connection, lane, [group[0] for group in groups])


class _PostgresLanes(StoryLanes):
    def __init__(self, world: World, store: Postgres, runtime: str) -> None:
        super().__init__(world, legal_moves=LEGAL_MOVES)
        self._store, self._runtime = store, runtime
        self._wired: list[_Wired] = []

    @property
    def opened(self) -> list[Connection[TupleRow]]:
        """Every connection that a lane had."""
        return [connection for wired in self._wired for connection in wired.opened]

    def _connection(self, number: int, wire: Wire) -> CommitConnection:
        self._wired.append(_Wired(self._store, self._runtime, number, wire))
        return self._wired[-1]

    def _load(self, load: Load) -> Loaded | HeldElsewhere:
        return self._store.read(load.stream, runtime=self._runtime, owned=load.owned, fold_version=load.fold_version)


class OnPostgres:
    """A runtime of a real store that others have used before: its streams have names that are new."""

    leases: ClassVar = leases
    work_items: ClassVar = work_items

    def __init__(self, world: World, store: Postgres, actor: Actor) -> None:
        self.store, self.actor, self.runtime = store, actor, actor.runtime
        self.lanes = _PostgresLanes(world, store, actor.runtime)
        self.source = pattern.source_stream("acme", _on_lane(0, "pattern/acme/"))
        self._ids: dict[str, str] = {}

    def leave(self) -> None:
        """Have nothing left to do, so that the next story finds none of it; and close what was opened."""
        for connection in self.lanes.opened:
            connection.close()
        self.actor.upkeep.execute("update domainflow.head set status = 'cancelled' where status is not null")

    def id(self, name: str) -> str:
        if name not in self._ids:
            self._ids[name] = _on_lane(len(self._ids) % 2, campaign.PREFIX)
        return self._ids[name]

    def name(self, id_: str) -> str:
        return next((name for name, known in self._ids.items() if known == id_), id_)

    def upkeep(self, kind: Kind) -> Any:  # noqa: ANN401 - as of Postgres
        return self.store.upkeep(kind)

    def complete(self, result: Result) -> None:
        with self.store.tenants(Kind.RESULT, "acme") as connection:
            work_items.complete(connection, result)

    def mine(self) -> list[str]:
        mine = [self.source, *map(campaign.stream_of, self._ids.values())]
        return [stream for stream in mine if self.head(stream) is not None]

    def head(self, stream: str) -> Head | None:
        return streams.head(self.actor.upkeep, stream)

    def events(self, stream: str) -> Sequence[Recorded]:
        return list(streams.events(self.actor.upkeep, stream, after=0))

    def ranges(self) -> list[tuple[int, int, str]]:
        heads = {name: self.head(campaign.stream_of(id_)) for name, id_ in self._ids.items()}
        states = {
            name: campaign.RULES.fold(self.load(campaign.stream_of(self._ids[name]))) for name in heads if heads[name]
        }
        return sorted((state.spec.base, state.spec.count, name) for name, state in states.items())

    def load(self, stream: str) -> Loaded:
        return streams.load(self.actor.upkeep, stream, fold_version=campaign.RULES.fold_version)

    def results(self, name: str) -> dict[Place, int]:
        rows = self.actor.upkeep.execute(ACCOUNTED, (self._ids[name],)).fetchall()
        return {(phase, run, batch): names for phase, run, batch, names in rows}


def _on_lane(number: int, prefix: str) -> str:
    """A new id whose stream goes through this lane: with another one the story would be another one."""
    made = (str(uuid.uuid4()) for _ in itertools.count())
    return next(id_ for id_ in made if zlib.crc32((prefix + id_).encode()) % 2 == number)


ACCOUNTED: Final = """
select b.phase, b.run, b.batch, b.stop - b.start from domainflow.batch b
 where b.campaign = %s and not exists (
       select from domainflow.work_item w
        where (w.campaign, w.phase, w.run, w.batch) = (b.campaign, b.phase, b.run, b.batch) and w.state = 2)
"""


def claims(side: Side, most: int) -> list[Claim]:
    with side.upkeep(Kind.CLAIM) as connection:
        return side.work_items.claim(connection, side.runtime, most)  # type: ignore[no-any-return]
