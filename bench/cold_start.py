"""How soon a runtime is there again after a kill, in a store that knows many campaigns of which many were running.

    python bench/cold_start.py [--json] [--campaigns 100000] [--events 5] [--running 1000] [--rounds 3] [--home FOLDER]

On an embedded server with fsync on. Beside so many campaigns that are pending (`_fill`; `--home`: a home that was
filled before, which is written to) a runtime with workers executes its own, whose name server never answers: all of
them have a phase that runs and batches in the ledger, some in hand. It is killed. Then a process with a runtime is
started, measured and killed, a few times with the server up and a few times with the server down.

Time counts from the start of the process. *First command*: of a campaign that the dead runtime executed, taken over
and acknowledged. *Reconciled*: all of them belong to this runtime and have their actor, and nothing is in hand of a
runtime that is dead.
"""

import fcntl
import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, LiteralString, NamedTuple

import psycopg
from _commit_drivers import COMMANDS, PRINCIPAL, SPEC
from _figures import Figure, arguments, show
from commit import folder
from msgspec.structs import replace
from scale import filled

from domainflow import Operations, Runtime, Settings, logs
from domainflow.spec import DnsPersona
from domainflow.store.embedded import EmbeddedServer
from domainflow.vocabulary import Phase

GOALS_S: Final = {"first_command": 2.0, "reconciled": 10.0}
NAMES, BATCH = 100, 10  # a campaign, a batch
CREATORS: Final = 4
PATIENCE_S: Final = 120.0
LOOK_AGAIN_S: Final = 0.02
BUSY: Final[LiteralString] = """
select count(distinct campaign), count(*) filter (where state = 1) from domainflow.work_item
"""
TAKEN_OVER: Final[LiteralString] = """
select (select count(*) from domainflow.head where owner = %(runtime)s and status = 'running'),
       (select count(*) from domainflow.work_item where state = 1 and runtime <> %(runtime)s)
"""


class Start(NamedTuple):
    """When a runtime was what, in seconds after its process was started."""

    opened: float
    first_command: float
    reconciled: float


def settings(running: int) -> Settings:
    """Of a runtime that may execute so many."""
    return Settings(most_running=running, most_active=running, most_created_a_day=running)


def live(home: Path, running: int, resolver: str, wire: Connection) -> None:
    """The first process: says when they all run and have work."""
    logs.configure("WARNING")
    source = replace(SPEC.source, count=NAMES)
    dns = DnsPersona(resolvers=(resolver,), query_timeout_s=600.0)
    spec = replace(SPEC, source=source, batch_size=BATCH, dns=dns)
    with Runtime.open(home=home, settings=settings(running)) as runtime:
        operations = runtime.as_principal(PRINCIPAL)
        with ThreadPoolExecutor(CREATORS) as creators:
            list(creators.map(lambda _: operations.create_campaign(spec).start(), range(running)))
        with psycopg.connect(runtime.admin_dsn or "", autocommit=True) as connection:
            until(lambda: _all_are_busy(connection, running))
        wire.send(None)
        time.sleep(PATIENCE_S)


def _all_are_busy(connection: psycopg.Connection, running: int) -> bool:
    busy, in_hand = connection.execute(BUSY).fetchone() or (0, 0)
    return busy == running and in_hand > 0


def start(home: Path, running: int, began_s: float, wire: Connection) -> None:
    """The process that is measured."""
    logs.configure("WARNING")
    with Runtime.open(home=home, settings=settings(running)) as runtime, ThreadPoolExecutor(1) as host:
        opened_s = time.monotonic()
        served = host.submit(serve, runtime.as_principal(PRINCIPAL))
        with psycopg.connect(runtime.admin_dsn or "", autocommit=True) as connection:
            until(lambda: _is_reconciled(runtime, connection, running))
        reconciled_s = time.monotonic()
        wire.send(Start(*(at_s - began_s for at_s in (opened_s, served.result(), reconciled_s))))
        time.sleep(PATIENCE_S)


def serve(operations: Operations) -> float:
    """Have a command acknowledged; return when it was."""
    campaign = operations.campaign(operations.campaigns(limit=1)[0].id)
    phase = replace(COMMANDS[0], phase=Phase.HTTP_KEYWORD_VALIDATION)
    campaign.configure_phase(phase.phase, phase.config)
    return time.monotonic()


def _is_reconciled(runtime: Runtime, connection: psycopg.Connection, running: int) -> bool:
    row = connection.execute(TAKEN_OVER, {"runtime": runtime.id}).fetchone()
    alive = sum(path.startswith("campaigns/") and status == "running" for path, status, _ in runtime.tree())
    return row == (running, 0) and alive >= running


def until(condition: Callable[[], bool]) -> None:
    """Wait for it. Raises SystemExit when it does not come."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise SystemExit("cold_start.py: it has not come so far in time")
        time.sleep(LOOK_AGAIN_S)


def killed(what: Callable[..., None], *told: object) -> Start:
    """Start a process, hear what it says, kill it."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=what, args=(*told, there))
    process.start()
    there.close()  # so that its end is heard
    try:
        return here.recv()
    finally:
        process.kill()
        process.join()


def stopped(home: Path) -> None:
    """Wait for the end of a server that nobody wants: its last process drops the lock."""
    with (home / "postgres/server.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)


@contextmanager
def silent() -> Iterator[str]:
    """A name server that hears and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{ear.getsockname()[1]}"


def figures(home: Path, running: int, rounds: int) -> Iterator[Figure]:
    """Medians of the rounds."""
    found: dict[str, list[Start]] = {"server_up": [], "server_down": []}
    with silent() as resolver:
        with EmbeddedServer(home):
            killed(live, home, running, resolver)
            for _ in range(rounds):
                found["server_up"].append(killed(start, home, running, time.monotonic()))
        for _ in range(rounds):
            stopped(home)
            found["server_down"].append(killed(start, home, running, time.monotonic()))
    for how, starts in found.items():
        for what in Start._fields:
            each_s = [getattr(each, what) for each in starts]
            yield Figure(f"{what}_with_{how}", statistics.median(each_s), "s", None, GOALS_S.get(what))


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--campaigns", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=5)
    parser.add_argument("--running", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, metavar="FOLDER", help="a home that was filled before")
    told = parser.parse_args()
    with nullcontext(told.home) if told.home else folder() as home:
        if told.home is None:
            filled(home, told.campaigns, told.events)
        show(figures(home, told.running, told.rounds), as_json=told.json)


if __name__ == "__main__":
    main()
