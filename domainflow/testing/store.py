"""Commit lanes of a story: the real lane over the memory store, with a wire between them on which things go wrong.

Faults of the wire, by kind: `lost-before` and `lost-after`, the connection breaks before the statement or after it;
`late`, it breaks, and the statement arrives when it will; `again`, the store wants it sent once more; `crash-before`
and `crash-after`, the lane raises at that moment; `away`, the store cannot be connected to.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any, Final, NoReturn

from domainflow.actors.coordinator.front import Coordinator, DatabaseClock
from domainflow.actors.coordinator.lane import CommitLane
from domainflow.actors.coordinator.messages import LaneMessage, Load
from domainflow.actors.ref import Ref
from domainflow.actors.restart import Budget, Policy, Strategy
from domainflow.actors.supervisor import ChildSpec, Supervisor
from domainflow.errors import StoreUnavailable
from domainflow.store.commit import BarredError, needs_group
from domainflow.store.commit_connection import CommitConnection, OutcomeUnknownError, TryAgainError
from domainflow.store.leases import Host
from domainflow.store.memory import commit, leases
from domainflow.store.memory.committer import read
from domainflow.store.memory.tables import MemoryStore
from domainflow.store.port import HeldElsewhere, Item, Loaded, Outcome
from domainflow.testing import points
from domainflow.testing.exchange import Exchange, crashing
from domainflow.testing.world import World

_POSTGRES: Final = "postgres"  # its name in diagrams
_LEASE_S: Final = 1e9  # whether a lease holds is the story's affair


class Wire:
    """Between one lane and the store."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def request(self, kind: str, statement: Callable[[], object]) -> None:
        """Get a statement there, or not. Raises what becomes of it."""
        scheduler, faults = self._exchange.scheduler, self._exchange.faults
        name = self._exchange.crosses(scheduler.who, _POSTGRES, kind)
        faults.crash("crash-before", name)
        if faults.befalls("late", name):
            straggler = f"straggler-{scheduler.nth('straggler')}"
            scheduler.begin(points.turn(straggler, 1), straggler, statement)
            raise OutcomeUnknownError("the connection broke, and the statement is on its way")
        if faults.befalls("lost-before", name):
            raise OutcomeUnknownError("the connection broke before the statement")
        if faults.befalls("again", name):
            raise TryAgainError("40001")

    def answer(self, kind: str) -> None:
        """Get the answer back, or not. Raises as `request` does."""
        name = self._exchange.crosses(_POSTGRES, self._exchange.scheduler.who, kind)
        self._exchange.faults.crash("crash-after", name)
        if self._exchange.faults.befalls("lost-after", name):
            raise OutcomeUnknownError("the connection broke after the statement")

    def connect(self) -> None:
        """Connect. Raises StoreUnavailable."""
        name = self._exchange.crosses(self._exchange.scheduler.who, _POSTGRES, "connect")
        if self._exchange.faults.befalls("away", name):
            raise StoreUnavailable("the store is away, as a fault of this story")


class MemoryConnection(CommitConnection):
    """A lane's connection to the memory store; what it promises is said in its base."""

    def __init__(self, store: MemoryStore, runtime: str, number: int, wire: Wire) -> None:
        super().__init__(_no_postgres, runtime, number)
        self._store = store
        self._lane = commit.Lane(runtime, number)
        self._wire = wire

    def reopen(self) -> int:
        self._wire.connect()
        self._lane.raise_generation(self._store)
        self.lane.generation = self._lane.generation
        return self._store.now_us()

    def send(self, groups: Sequence[tuple[Item, ...]]) -> list[Outcome]:
        lane = copy(self._lane)  # a statement is of the generation in which it was sent
        self._wire.request("commit", lambda: self._straggle(lane, groups))
        try:
            outcomes = self._committed(lane, groups)
        except BarredError as error:
            raise OutcomeUnknownError("the lane's generation was raised") from error
        self._wire.answer("committed")
        return outcomes

    def was_committed(self, item: Item) -> bool:
        return commit.was_committed(self._store, item)

    def close(self) -> None:
        """There is nothing to let go of."""

    def _committed(self, lane: commit.Lane, groups: Sequence[tuple[Item, ...]]) -> list[Outcome]:
        if needs_group(groups[0]):
            return [commit.commit_group(self._store, lane, groups[0])]
        return commit.commit_batch(self._store, lane, [group[0] for group in groups])

    def _straggle(self, lane: commit.Lane, groups: Sequence[tuple[Item, ...]]) -> None:
        with suppress(BarredError):
            self._committed(lane, groups)


class StoryReaders(Executor):
    """Threads for reads: each is one of the story."""

    def __init__(self, world: World) -> None:
        self._world = world

    def submit(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Future[Any]:
        name = f"reader-{self._world.scheduler.nth('reader')}"
        self._world.scheduler.begin(points.turn(name, 1), name, partial(fn, *args, **kwargs))
        return Future()


class StoryLanes:
    """One runtime's commit lanes, over a store of whichever kind."""

    def __init__(
        self,
        world: World,
        *,
        name: str = "store",
        lanes: int = 2,
        legal_moves: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        """`child`, of that name, is to be started before anything is committed."""
        self._world = world
        self._name = name
        self._lanes = lanes
        self._legal_moves = legal_moves
        self._readers = StoryReaders(world)
        self._clock = DatabaseClock(lambda: round(world.scheduler.monotonic_s() * 1e9))
        self.committer = Coordinator(self._find, self._clock, lanes=lanes, holds_lease=lambda: True)

    @property
    def child(self) -> ChildSpec:
        """The lanes under their supervisor."""
        policy = Policy(strategy=Strategy.REST_FOR_ONE, budget=Budget(max_restarts=20, period_s=60.0))
        specs = [self._lane_spec(number) for number in range(self._lanes)]
        return ChildSpec(name=self._name, factory=lambda: Supervisor(specs, policy), kind="supervisor", shutdown_s=None)

    def _lane_spec(self, number: int) -> ChildSpec:
        name = f"commit-{number}"
        factory = crashing(partial(self._lane, number), f"{self._name}/{name}", self._world.exchange)
        return ChildSpec(name=name, factory=factory, dispatcher="pinned")

    def _lane(self, number: int) -> CommitLane:
        return CommitLane(
            self._connection(number, Wire(self._world.exchange)),
            clock=self._clock,
            legal_moves=self._legal_moves,
            read=self._read,
            readers=self._readers,
            on_committed=lambda _: None,
        )

    def _find(self, number: int) -> Ref[LaneMessage] | None:
        return self._world.environment.directory.find(f"{self._name}/commit-{number}")

    def _read(self, load: Load) -> Loaded | HeldElsewhere:
        self._world.exchange.crosses(self._world.scheduler.who, _POSTGRES, "read")
        loaded = self._load(load)
        self._world.exchange.crosses(_POSTGRES, self._world.scheduler.who, "read")
        return loaded

    def _connection(self, number: int, wire: Wire) -> CommitConnection:
        """The connection of a lane, over this wire."""
        raise NotImplementedError

    def _load(self, load: Load) -> Loaded | HeldElsewhere:
        """What is read for a stream's actor."""
        raise NotImplementedError


class StoryStore(StoryLanes):
    """Lanes over a memory store that others may share."""

    def __init__(self, world: World, store: MemoryStore, *, runtime: str = "r1", **more: Any) -> None:  # noqa: ANN401 - as the base takes it
        """Register the runtime."""
        super().__init__(world, **more)
        self._store = store
        self._runtime = runtime
        leases.register(store, runtime, host=Host("story", 1), lease_s=_LEASE_S)

    def _connection(self, number: int, wire: Wire) -> CommitConnection:
        return MemoryConnection(self._store, self._runtime, number, wire)

    def _load(self, load: Load) -> Loaded | HeldElsewhere:
        owned, fold = load.owned, load.fold_version
        return read(self._store, self._runtime, load.stream, owned=owned, fold_version=fold)


def _no_postgres() -> NoReturn:
    raise StoreUnavailable("a story has no Postgres")
