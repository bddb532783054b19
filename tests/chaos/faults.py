"""What is done to a round: kills, terminated connections, a server that stops, a wire that misbehaves, a long sleep."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, LiteralString

import psycopg
from chaos.load import LEASE_S
from chaos.points import POINTS
from chaos.rounds import COMMITTER, Member, Round
from child import Process, descendants, eventually, processes

HITS: Final = 4  # of a point, at most, until it kills
POINT_S: Final = 6.0  # for a point to be hit; then it is a kill at random
AT_RANDOM_S: Final = 0.5
STALL_S: Final = 1.5
FULL_S: Final = 3.0
WORKER: Final = "domainflow.engines.worker"

# Of a backend at work, or else of what it did last.
TERMINATE: Final[LiteralString] = """
select pg_terminate_backend(pid) from pg_stat_activity a
 where datname = current_database() and application_name like 'domainflow%%' and query like %(query)s
   and (not %(listens)s or exists (select from pg_locks l where l.pid = a.pid and l.locktype = 'advisory'))
 order by random() limit 1
"""
COMMITTERS: Final = "%barrier as materialized%"
WORKERS: Final = "%update domainflow.work_item%"


def kill_at_a_point(on: Round, point: str = "") -> None:
    """A runtime kills itself at a named point; "": any."""
    member, point = on.pick(), point or on.chance.choice(POINTS)
    hits = on.chance.randint(1, HITS) if "commit" in point else 1  # the others come by seldom
    member.child.tell(f"die {hits} {point}")
    left = _until_dead(member, POINT_S)
    on.figures.points[point if not member.child.running else "not hit in time"] += 1
    member.die()
    eventually(lambda: not any(each.alive for each in left), f"{left} have ended with their host")


def kill_at_random(on: Round) -> None:
    """A runtime is killed at some instant of its life."""
    member = on.pick()
    time.sleep(on.chance.uniform(0.0, AT_RANDOM_S))
    member.die()


def terminate_a_committer(on: Round) -> None:
    """Postgres ends a connection in the middle of a commit."""
    _terminate(on, COMMITTERS)


def terminate_a_listener(on: Round) -> None:
    """Postgres ends a connection that holds a runtime's lock."""
    _terminate(on, "%", listens=True)


def terminate_a_worker(on: Round) -> None:
    """Postgres ends a connection that claims work or stores what was found."""
    _terminate(on, WORKERS)


def stop_postgres(on: Round) -> None:
    """The server stops at once, as in a crash, and is started again."""
    data = Path(_setting(on, "data_directory"))
    postmaster = int((data / "postmaster.pid").read_text().split("\n")[0])
    server = next(process for process, _ in processes() if process.pid == postmaster)
    os.kill(postmaster, signal.SIGQUIT)
    eventually(lambda: not server.alive, "the server has stopped")
    on.server.ensure()


def lose_a_commit(on: Round) -> None:
    """A commit arrives and its answer does not."""
    on.wire.lose_the_answer_of_the_next_commit(of=COMMITTER)
    eventually(lambda: on.wire.lost, "a commit came by")
    time.sleep(on.chance.uniform(0.0, AT_RANDOM_S))
    on.wire.cut()


def stall(on: Round) -> None:
    """Nothing goes through the wire for a while."""
    on.wire.stall()
    time.sleep(STALL_S)
    on.wire.flow()


def cut(on: Round) -> None:
    """Every line of the wire is cut at once."""
    on.wire.cut(every=True)


def suspend_a_runtime(on: Round) -> None:
    """A runtime sleeps for two leases; the other one has all its work and campaigns before it wakes."""
    member = on.pick()
    member.child.signal(signal.SIGSTOP)
    began_s = time.monotonic()
    on.nothing_stays_with((member,))
    time.sleep(max(0.0, began_s + 2 * LEASE_S - time.monotonic()))
    member.child.signal(signal.SIGCONT)


def suspend_a_worker(on: Round) -> None:
    """A worker process sleeps for two leases."""
    member = on.pick()
    workers: list[Process] = []

    def has_workers() -> bool:
        workers[:] = [process for process in descendants(member.child.pid) if WORKER in process.command]
        return bool(workers)

    eventually(has_workers, f"{member.name} has workers")
    worker = on.chance.choice(workers)
    os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(2 * LEASE_S)
    if worker.alive:
        os.kill(worker.pid, signal.SIGCONT)


def fill_the_disk(on: Round, folder: Path) -> None:
    """The disk under the database's tables is full for a while."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    try:
        eventually(lambda: _is_full(on), "Postgres has no room")
        time.sleep(FULL_S)
    finally:
        ballast.unlink()


FAULTS: Final[dict[str, Callable[[Round], None]]] = {
    "kills at a named point": kill_at_a_point,
    "kills at random": kill_at_random,
    "terminations of a committer": terminate_a_committer,
    "terminations of a listener": terminate_a_listener,
    "terminations of a worker's connection": terminate_a_worker,
    "immediate stops of Postgres": stop_postgres,
    "lost answers of COMMIT": lose_a_commit,
    "stalls": stall,
    "cuts": cut,
    "sleeps of a runtime": suspend_a_runtime,
    "sleeps of a worker": suspend_a_worker,
}


def _until_dead(member: Member, within_s: float) -> list[Process]:
    """Wait until it has killed itself, or for so long; return the processes that it had."""
    left: list[Process] = []
    deadline_s = time.monotonic() + within_s
    while member.child.running and time.monotonic() < deadline_s:
        left = descendants(member.child.pid) or left
        time.sleep(0.01)
    return left


def _terminate(on: Round, query: str, *, listens: bool = False) -> None:
    """End a backend that does this, as soon as there is one."""
    with psycopg.connect(on.database.admin_dsn, autocommit=True) as connection:
        values = {"query": query, "listens": listens}
        eventually(lambda: connection.execute(TERMINATE, values).fetchone() == (True,), f"there is one: {query}")


def _is_full(on: Round) -> bool:
    """Whether a table cannot grow."""
    with psycopg.connect(on.database.admin_dsn, autocommit=True) as connection:
        try:
            connection.execute("create table chaos.filler as select repeat('x', 1000) from generate_series(1, 1000)")
        except psycopg.errors.DiskFull:
            return True
        connection.execute("drop table chaos.filler")
        return False


def _setting(on: Round, name: LiteralString) -> str:
    with psycopg.connect(on.database.admin_dsn) as connection:
        row = connection.execute("select current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])
