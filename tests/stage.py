"""What the tests of lane and shell share: the real kernel with real commit lanes over real Postgres, and no more."""

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from durable import SOON_S, Actor

from domainflow.actors.campaign.evolution import LEGAL_MOVES
from domainflow.actors.children import ChildSpec
from domainflow.actors.coordinator.front import Coordinator, DatabaseClock
from domainflow.actors.coordinator.lane import CommitLane
from domainflow.actors.coordinator.messages import Load
from domainflow.actors.dynamic import DynamicSupervisor, StartChild
from domainflow.actors.effects import Tell
from domainflow.actors.hub import Hub
from domainflow.actors.ref import Ref
from domainflow.actors.restart import Budget, Policy, Restart
from domainflow.actors.rules import Rules
from domainflow.actors.shell import EventSourced
from domainflow.actors.supervisor import Supervisor
from domainflow.actors.system import System
from domainflow.security.context import Context, Principal, system
from domainflow.store.commit_connection import CommitConnection
from domainflow.store.port import HeldElsewhere, Item, Loaded, Outcome
from domainflow.store.postgres import Postgres

ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")
AT_ONCE: Final = Policy(budget=Budget(max_restarts=5, period_s=60.0), base_s=0.0)


def nothing_to_revive() -> None:
    """The session's server is its own."""


class Stage:
    """One runtime's actors: commit lanes, and whatever a test puts on."""

    def __init__(self, actor: Actor, lanes: int = 2, lane_dsn: str = "") -> None:
        self.actor = actor
        self.store = Postgres(lambda: actor.dsn, revive=nothing_to_revive, connections=2)
        self.lane_store = (
            self.store if not lane_dsn else Postgres(lambda: lane_dsn, revive=nothing_to_revive, connections=1)
        )
        self.clock = DatabaseClock()
        self.hub = Hub()
        self.readers = ThreadPoolExecutor(2, "readers")
        self.system = System()
        self.told: queue.SimpleQueue[Tell] = queue.SimpleQueue()
        self.lanes = lanes
        specs = [
            ChildSpec(name=f"commit-{n}", factory=partial(self._lane, n), dispatcher="pinned") for n in range(lanes)
        ]
        self.system.start(
            [
                ChildSpec(name="store", factory=lambda: Supervisor(specs, AT_ONCE), kind="supervisor"),
                ChildSpec(name="actors", factory=lambda: DynamicSupervisor(AT_ONCE), kind="supervisor"),
            ]
        )
        self.holds_lease = True
        self.leases_asked = 0
        self.committer = Coordinator(
            lambda n: self.find(f"store/commit-{n}"), self.clock, lanes=lanes, holds_lease=self.ask_lease
        )

    def find(self, path: str) -> Ref[Any]:
        ref = self.system.environment.directory.find(path)
        assert ref is not None
        return ref

    def ask_lease(self) -> bool:
        """Whether this runtime's lease holds, as the test wants it."""
        self.leases_asked += 1
        return self.holds_lease

    def put_on(self, rules: Rules[Any, Any, Any], stream: str, name: str = "") -> Ref[Any]:
        """Have the actor of a stream alive."""
        factory = partial(EventSourced, rules, stream, self.committer, self.told.put)
        name = name or stream.replace("/", ":")
        spec = ChildSpec(name=name, factory=factory, restart=Restart.TRANSIENT)
        self.find("actors").ask(StartChild(spec), context(system("")), timeout_s=SOON_S)
        return self.find(f"actors/{name}")

    def close(self) -> None:
        assert self.system.stop(SOON_S) == ()
        self.readers.shutdown()
        self.store.close()
        if self.lane_store is not self.store:
            self.lane_store.close()

    def _lane(self, number: int) -> CommitLane:
        return CommitLane(
            CommitConnection(self.lane_store.connect_lane, self.actor.runtime, number),
            clock=self.clock,
            legal_moves=LEGAL_MOVES,
            read=self._read,
            readers=self.readers,
            on_committed=self.hub.wake,
        )

    def _read(self, load: Load) -> Loaded | HeldElsewhere:
        return self.store.read(
            load.stream, runtime=self.actor.runtime, owned=load.owned, fold_version=load.fold_version
        )


@contextmanager
def stage(actor: Actor, lanes: int = 2, lane_dsn: str = "") -> Iterator[Stage]:
    made = Stage(actor, lanes, lane_dsn)
    try:
        yield made
    finally:
        made.close()


def context(principal: Principal = ALICE, **rest: Any) -> Context:  # noqa: ANN401 - the other fields of a Context
    return Context(principal=principal, correlation_id="story", **rest)


class Answers:
    """Outcomes as they come, each with whose it is; a second answer to one commit fails the test that looks."""

    def __init__(self) -> None:
        self.came: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()

    def to(self, name: str) -> Callable[[Outcome], None]:
        return lambda outcome: self.came.put((name, outcome))

    def take(self, number: int) -> dict[str, Outcome]:
        taken = [self.came.get(timeout=SOON_S) for _ in range(number)]
        assert len(dict(taken)) == number, f"answered twice: {taken}"
        return dict(taken)

    def none_left(self) -> bool:
        return self.came.empty()


def commit_each(stage_: Stage, answers: Answers, items: list[Item]) -> None:
    for item in items:
        stage_.committer.commit((item,), answers.to(f"{item.stream}@{item.version}"))
