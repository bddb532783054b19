"""What the kill tests stand on: one home and one lab for all, hosts to be killed, and what an undisturbed run found.

Each campaign has a tenant of its own, so that all of them work on the same names.
"""

import csv
import io
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, LiteralString

import psycopg
from child import Child, Process, descendants, eventually, processes
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow import Runtime, export, verify
from domainflow.export import Row
from domainflow.lab.process import PORTS_FILE, Lab
from domainflow.store.embedded import EmbeddedServer

from host import principal  # isort: skip  # beside this file

LAB_SEED: Final = 7
OPEN_S: Final = 60.0
END_S: Final = 240.0  # of a campaign that is let run
CLAIM_AGAIN_S: Final = 1.0  # from the restart to the first claim
GONE_S: Final = 5.0  # for processes of a killed host; they end by themselves
WORKER: Final = "domainflow.engines.worker"

CLAIMED: Final[LiteralString] = "select exists (select from domainflow.work_item where runtime = %s and state = 1)"
WORTH_CLAIMING: Final[LiteralString] = """
select exists (select from domainflow.work_item w join domainflow.head h on h.stream = 'campaign/' || w.campaign
                where w.tenant = %s and w.state in (0, 1) and h.status = 'running')
"""
ATTEMPTS: Final[LiteralString] = "select coalesce(max(failures), 0), coalesce(max(losses), 0) from domainflow.work_item"


@dataclass(frozen=True)
class Size:
    """How large, and how often."""

    kills: int
    names: int
    batch_size: int
    life_s: tuple[float, float]  # between two kills


@dataclass
class Rig:
    """A home with a lab beside it."""

    home: Path
    size: Size
    seed: int
    chance: random.Random = field(init=False)
    expected: str = ""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - instants of kills, no secret
        print(f"kills are drawn from seed {self.seed}")  # noqa: T201 - shown when a test fails

    def host(self, tenant: str) -> Child:
        """A host that makes the campaign of `tenant` run, or goes on with it."""
        size = self.size
        return Child("kill.host:run", home=str(self.home), tenant=tenant, names=size.names, batch_size=size.batch_size)

    def life_s(self) -> float:
        """How long until the next kill."""
        return self.chance.uniform(*self.size.life_s)

    @contextmanager
    def database(self) -> Iterator[Connection[TupleRow]]:
        """A connection that sees all, and does not keep the server up: that is left to the hosts."""
        dsn = EmbeddedServer(self.home).dsn("domainflow")
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield connection

    def findings(self, tenant: str) -> str:
        """What the campaign of `tenant` found: CSV, a line a name, sorted."""
        with Runtime.open(home=self.home, campaigns=False, work=False) as runtime:
            (summary,) = runtime.as_principal(principal(tenant)).campaigns()
            rows = list(export.rows(runtime.store, summary.id, tenant=tenant, home=self.home))
        assert [row.position for row in rows] == list(range(self.size.names)), "a position is missing or twice"
        assert len({row.domain for row in rows}) == self.size.names, "a name is twice"
        return _sorted_csv(rows)

    def faults(self) -> list[str]:
        """What `verify` finds in everything that is stored."""
        with Runtime.open(home=self.home, campaigns=False, work=False) as runtime:
            return [fault.line for fault in verify.verify(runtime.store)]

    def postmaster(self) -> Process | None:
        """The server's first process, if it runs."""
        try:
            text = (self.home / "postgres/data/postmaster.pid").read_text()
            pid = int(text.split("\n")[0])
        except (OSError, ValueError):
            return None
        return next((process for process in _all_of(self.home) if process.pid == pid), None)


@dataclass
class Story:
    """One kind of kills, told to its end: as many campaigns as the kills need."""

    rig: Rig
    kind: str
    kills: int = 0
    campaigns: int = 0

    @property
    def tenant(self) -> str:
        """Of the campaign at hand."""
        return f"{self.kind}-{self.campaigns}"

    def wants_kills(self) -> bool:
        """Whether there are kills to come."""
        return self.kills < self.rig.size.kills

    def life_s(self) -> float:
        """How long to live until the next kill; if none is to come, until the end of the campaign."""
        return self.rig.life_s() if self.wants_kills() else END_S

    def killed(self) -> None:
        """Count one."""
        self.kills += 1

    def check(self) -> None:
        """The campaign at hand has ended well: it found what an undisturbed one finds, and everything fits together."""
        found = self.rig.findings(self.tenant)
        assert found == self.rig.expected, _first_difference(found, self.rig.expected)
        assert self.rig.faults() == []
        self.campaigns += 1


def workers_of(host: Child) -> list[Process]:
    """The worker processes of a host."""
    return [process for process in descendants(host.pid) if WORKER in process.command]


def live(host: Child, seconds: float) -> bool:
    """Let a host work for a while; True: its campaign has ended meanwhile, completed."""
    deadline_s = time.monotonic() + seconds
    while (spoken := host.hear(deadline_s - time.monotonic())) is not None:
        if spoken.word == "ended":
            assert spoken.text == "completed", f"{spoken.text}:\n{host.last_errors()}"
            return True
    return False


@contextmanager
def rig(folder: Path, size: Size) -> Iterator[Rig]:
    """A rig whose undisturbed campaign has run."""
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(2**32))
    home, lab_home = folder / "home", folder / "lab"
    home.mkdir()
    with Lab.start(lab_home, LAB_SEED):
        shutil.copy(lab_home / PORTS_FILE, home)
        made = Rig(home, size, seed)
        with made.host("undisturbed") as host:
            assert live(host, END_S), host.last_errors()
            host.finish()
        made.expected = made.findings("undisturbed")
        yield made
    eventually(lambda: not _all_of(home), "no process of this home is left", within_s=OPEN_S)


def is_dead(processes: list[Process]) -> bool:
    """Whether none of them is left."""
    return not any(process.alive for process in processes)


def kill(process: Process) -> None:
    """Kill -9, if it is still there."""
    if process.alive:
        os.kill(process.pid, signal.SIGKILL)


def _all_of(home: Path) -> list[Process]:
    """Every process whose command line names the home."""
    return [process for process, _ in processes() if str(home) in process.command]


def _sorted_csv(rows: list[Row]) -> str:
    out = io.StringIO(newline="")
    export.write_csv(sorted(rows, key=lambda row: row.domain), out)
    return out.getvalue()


def _first_difference(found: str, expected: str) -> str:
    """The lines that differ, a few of them: a diff of all would take minutes."""
    both = zip(csv.reader(io.StringIO(found)), csv.reader(io.StringIO(expected)), strict=False)
    differing = [f"{one}\n  expected {other}" for one, other in both if one != other]
    return f"{len(differing)} lines differ:\n" + "\n".join(differing[:5])
