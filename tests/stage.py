"""What the tests of lane and shell share: the real kernel with real commit lanes over real Postgres, and no more."""

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from durable import SOON_S, Actor
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from domainflow.actors.campaign.evolution import LEGAL_MOVES
from domainflow.actors.children import ChildSpec
from domainflow.actors.coordinator.front import Coordinator, DatabaseClock
from domainflow.actors.coordinator.lane import CommitLane
from domainflow.actors.coordinator.messages import Load
from domainflow.actors.dynamic import DynamicSupervisor, StartChild
from domainflow.actors.effects import Tell
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
        self.committer = Coordinator(lambda n: self.find(f"store/commit-{n}"), self.clock, lanes=lanes)

    def find(self, path: str) -> Ref[Any]:
        ref = self.system.environment.directory.find(path)
        assert ref is not None
        return ref

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


SYNC: Final = b"S\0\0\0\x04"  # ends what is sent at once, and commits it


class Wire:
    """A way to the server that can lose an answer: the commit arrives, nothing comes back, and then the line is cut."""

    def __init__(self, dsn: str, folder: Path) -> None:
        parts = conninfo_to_dict(dsn)
        self._server = f"{parts['host']}/.s.PGSQL.{parts['port']}"
        parts.pop("requirepeer", None)
        self.dsn = make_conninfo(**parts | {"host": str(folder)})  # type: ignore[arg-type]  # a dict of anything
        self._path = folder / f".s.PGSQL.{parts['port']}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(8)
        self._deaf: set[socket.socket] = set()  # clients that hear nothing any more
        self._armed = False
        self._lines: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def lose_the_answer_of_the_next_commit(self) -> None:
        """What was asked before it is still answered."""
        self._armed = True

    def cut(self) -> None:
        """End the deaf lines, on both sides."""
        for client, server in self._lines:
            if client in self._deaf:
                for end in (client, server):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept; closing it does not
        self._threads[0].join(SOON_S)
        self._deaf = {client for client, _ in self._lines}
        self.cut()
        for thread in self._threads:
            thread.join(SOON_S)
        for end in (self._listener, *(end for line in self._lines for end in line)):
            end.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108 - as the socket module names it

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._lines.append((client, server))
                self._run(self._ask, client, server)
                self._run(self._answer, client, server)

    def _run(self, pump: Callable[..., None], *ends: socket.socket) -> None:
        thread = threading.Thread(target=pump, args=ends, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._armed and (b"COMMIT\0" in data or SYNC in data):
                    self._armed = False
                    self._deaf.add(client)
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if client not in self._deaf:
                    client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
