"""One round of chaos: two runtimes under load on one database, faults one after the other, and what must hold.

The first reaches the server through a wire that misbehaves. Faults are in `faults`, invariants in `checker`.
"""

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import psycopg
from chaos import checker, ledger
from chaos.checker import Found
from chaos.client import Client
from chaos.feed import Feed
from chaos.ledger import Ledger
from chaos.load import ALICE, SETTINGS, spec
from chaos.points import PATCHES
from chaos.proxy import Wire
from child import Child, Process, descendants, eventually
from databases import Database
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow import Runtime
from domainflow.store.embedded import EmbeddedServer
from domainflow.verify import verify

PATIENCE_S: Final = 90.0  # for what takes some seconds on an idle machine
LOOK_AGAIN_S: Final = 0.02
IDLE_LATE_S: Final = 12.0  # no transaction of theirs may wait longer for its own next statement
IDLE_CAMPAIGNS: Final = 6
COMMITTER: Final = b"domainflow.lane"  # whoever has said so is a commit lane: it raised its generation

AnswerT = TypeVar("AnswerT")


class Place(NamedTuple):
    """Where rounds take place: a home with the ports of a lab, and a server of its own, which may be stopped."""

    home: Path
    server: EmbeddedServer


@dataclass
class Member:
    """One client with its runtime, life after life."""

    name: str
    dsn: str
    home: Path
    ledger: Path
    idle: str
    patch: tuple[str, ...] = ()
    lives: int = 0
    runtime: str = ""
    child: Child = field(init=False)

    def live(self) -> None:
        """Start its next life."""
        self.lives += 1
        name = f"mark-{self.name}-{self.lives}"
        arguments = {"dsn": self.dsn, "home": str(self.home), "ledger": str(self.ledger), "name": name}
        self.child = Child("chaos.load:run", patch=(*PATCHES, *self.patch), idle=self.idle, **arguments)
        self.runtime = self.child.wait_line("open", within_s=PATIENCE_S)

    def die(self) -> None:
        """Be killed, unless it has killed itself; nothing of it is left, and it lives again."""
        with self.child as child:
            left = child.kill9() if child.running else []
            eventually(lambda: not any(each.alive for each in left), f"{left} have ended")
        self.live()

    def told_since(self, size_bytes: int) -> bool:
        """Whether something was acknowledged that was sent after its ledger had this size."""
        with self.ledger.open("rb") as file:
            file.seek(size_bytes)
            lines = [json.loads(line) for line in file.read().splitlines() if line.endswith(b"]")]
        sent = {mark for word, mark, *_ in lines if word == "sent"}
        return any(word == "acknowledged" and mark in sent for word, mark, *_ in lines)


def none(found: Found) -> None:
    """Fail with what was found, if there is anything."""
    assert not found, f"{len(found)} violations:\n" + "\n".join(f"{kind}: {what}" for kind, what in found[:20])


@dataclass
class Figures:
    """What is printed in the end."""

    rounds: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    doubted: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    recovery_s: list[float] = field(default_factory=list)

    def line(self) -> str:
        ordered = sorted(self.recovery_s)
        p50, p99 = (ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.99))
        fates, kinds, points = (
            ", ".join(f"{number} {name}" for name, number in sorted(counter.items()))
            for counter in (self.fates, self.faults, self.points)
        )
        return (
            f"chaos: {self.rounds} rounds; {fates}, of them {self.doubted} in doubt for a while; survived "
            f"{self.faults.total()} faults: {kinds}; killed at: {points}; served again p50 {p50:.2f} s, p99 {p99:.2f} s"
        )


@dataclass
class Round:
    """What faults act on."""

    server: EmbeddedServer
    database: Database
    folder: Path
    wire: Wire
    members: tuple[Member, Member]  # the first one's connections go through the wire
    chance: random.Random
    figures: Figures
    feed: Feed = field(init=False)

    def __post_init__(self) -> None:
        self.feed = Feed(self.database.admin_dsn)

    @property
    def ledgers(self) -> list[Path]:
        """Of all its clients."""
        return sorted(self.folder.glob("*.ledger"))

    def pick(self) -> Member:
        """One of the two."""
        return self.chance.choice(self.members)

    def ask(self, question: Callable[[Connection[TupleRow]], AnswerT]) -> AnswerT | None:
        """Ask the database; None: it is not there just now."""
        try:
            with psycopg.connect(self.database.admin_dsn, autocommit=True) as connection:
                return question(connection)
        except psycopg.OperationalError:
            return None

    def nothing_stays_with(self, others: tuple[Member, ...]) -> None:
        """Wait until no work and no campaign is with anybody but the members that are left."""
        alive = [member.runtime for member in self.members if member not in others]
        self.await_none(lambda connection: checker.stranded(connection, alive))

    def await_none(self, question: Callable[[Connection[TupleRow]], Found]) -> None:
        """Wait until nothing is found; fail with what stays."""
        deadline_s = time.monotonic() + PATIENCE_S
        while (found := self.ask(question)) != [] and time.monotonic() < deadline_s:
            time.sleep(LOOK_AGAIN_S)
        assert found is not None, "the server does not come back"
        none(found)

    # --- its course

    def suffer(self, kind: str, fault: Callable[["Round"], None]) -> None:
        """Let a fault come over it; all are served again then, and everything holds."""
        sizes = [member.ledger.stat().st_size for member in self.members]
        began_s = time.monotonic()
        fault(self)
        self.await_service(kind, sizes)
        self.figures.recovery_s.append(time.monotonic() - began_s)
        self.figures.faults[kind] += 1
        self.feed.read()
        none(self.check())

    def await_service(self, what: str, sizes: list[int]) -> None:
        """Wait until each client is answered what it asked since, and what the dead had in hand is with the living."""
        for member, size in zip(self.members, sizes, strict=True):
            eventually(
                lambda: member.told_since(size) or not member.child.running,  # noqa: B023 - called at once
                f"{member.name} is served again after {what}:\n{member.child.last_errors()}",
                within_s=PATIENCE_S,
            )
            assert member.child.running, member.child.last_errors()
        self.nothing_stays_with(())

    def check(self) -> Found:
        """Return what does not hold while they go on."""
        before = ledger.read(*self.ledgers)
        with psycopg.connect(self.database.admin_dsn, autocommit=True) as connection:
            marks = checker.applied(connection)
            found = checker.promises(before, marks, ledger.read(*self.ledgers)) + checker.undone(connection, before)
            found += checker.streams(connection) + checker.work(connection)
            return found + checker.idle(connection, late_s=IDLE_LATE_S)

    def end(self) -> None:
        """Let both come to rest; then everything is known, done and in order, and nothing is left."""
        for member in self.members:
            member.child.tell("rest")
        for member in self.members:
            member.child.wait_line("resting", within_s=PATIENCE_S)
        self.await_none(checker.unfinished)
        workers = [process for member in self.members for process in descendants(member.child.pid)]
        for member in self.members:
            member.child.finish()
        assert not _alive(workers)
        self.await_none(checker.backends)
        none(self.check())
        known = ledger.read(*self.ledgers)
        with psycopg.connect(self.database.admin_dsn, autocommit=True) as connection:
            found = checker.resolved(known) + checker.acknowledged_versions(connection, known)
            found += checker.idle(connection, late_s=0.0) + self.feed.compare(connection)
        none(found)
        self.figures.rounds += 1
        self.figures.fates += Counter(entry.fate for entry in known.values())
        self.figures.doubted += sum(entry.doubted for entry in known.values())
        with Runtime.open(self.database.dsn, home=self.folder, campaigns=False, work=False) as runtime:
            assert [fault.line for fault in verify(runtime.store)] == []


@contextmanager
def chaos_round(
    place: Place, database: Database, figures: Figures, *, chance: random.Random, patch: tuple[str, ...] = ()
) -> Iterator[Round]:
    """Two runtimes under load on a database of the place's server, with `patch`."""
    home = place.home
    folder = Path(tempfile.mkdtemp(prefix="round-", dir=home))
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        checker.witness(connection)
    idle = _idle_campaigns(database, home, folder / "maker.ledger")
    wire = Wire(database.dsn, folder, words=(COMMITTER,))
    members = tuple(
        Member(name, dsn, home, folder / f"{name}.ledger", idle, patch)
        for name, dsn in (("a", wire.dsn), ("b", database.dsn))
    )
    started: list[Member] = []
    try:
        for member in members:
            started.append(member)
            member.live()
        made = Round(place.server, database, folder, wire, (members[0], members[1]), chance, figures)
        made.await_service("the start", [0, 0])
        yield made
    finally:
        for member in started:
            member.child.__exit__(None, None, None)
        wire.close()


def _idle_campaigns(database: Database, home: Path, path: Path) -> str:
    """Make campaigns that never begin; return their streams, separated by commas."""
    with (
        Runtime.open(database.dsn, home=home, settings=SETTINGS, campaigns=False, work=False) as runtime,
        Ledger(path) as log,
    ):
        client = Client(runtime.as_principal(ALICE), log, "mark-maker-1-1", spec=spec)
        made = [client.create() for _ in range(IDLE_CAMPAIGNS)]
    assert all(made)
    return ",".join(stream for stream in made if stream)


def _alive(processes: list[Process]) -> list[Process]:
    return [process for process in processes if process.alive]
