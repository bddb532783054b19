"""Other libraries that make things durable on Postgres, beside our public path.

Each runs as a script of bench/peers in a process and an environment of its own, so that neither its imports nor its
threads disturb ours, and in a database of its own on the same server. What a peer counted must be in its database in
the end: a peer that only seemed to work fails the bench.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, LiteralString, TypedDict

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

SCRIPTS: Final = Path(__file__).parent / "peers"
PYTHON: Final = Path(__file__).parent.parent / ".venv-peers" / "bin" / "python"
PATIENCE_S: Final = 300.0  # for one run, which sets a new database up


@dataclass(frozen=True)
class Peer:
    """A library, and what is measured of it."""

    name: str
    script: Path
    goal: float  # how many times as many transitions we want to make durable
    durable: LiteralString  # how many of what it counts its database holds


PEERS: Final = (
    Peer(
        "dbos",
        SCRIPTS / "dbos_steps.py",
        80.0,
        "select count(*) from dbos.operation_outputs join dbos.workflow_status using (workflow_uuid)"
        " where status = 'SUCCESS'",
    ),
    Peer(
        "eventsourcing",
        SCRIPTS / "eventsourcing_saves.py",
        40.0,
        "select count(*) from application_events where originator_version > 1",  # the first save brings two
    ),
    Peer(
        "pgqueuer",
        SCRIPTS / "pgqueuer_jobs.py",
        8.0,
        "select count(*) from pgqueuer_log where status = 'successful'"
        " and not exists (select from pgqueuer where pgqueuer.id = job_id)",
    ),
)


class Line(TypedDict):
    """What a script prints."""

    what: str
    done: int
    rate: float  # a second


Run = Callable[[float], float]  # for so many seconds -> how many a second


@contextmanager
def peers(admin_dsn: str, which: tuple[Peer, ...] = PEERS, *, python: Path = PYTHON) -> Iterator[dict[str, Run]]:
    """Each by its name; none where their environment has not been made. Raises RuntimeError in the end if one lied."""
    if not python.exists():
        print("commit.py: no peers: `make bench` makes .venv-peers for them", file=sys.stderr)
        yield {}
        return
    with ExitStack() as databases:
        yield {peer.name: databases.enter_context(_running(peer, admin_dsn, python)) for peer in which}


@contextmanager
def _running(peer: Peer, admin_dsn: str, python: Path) -> Iterator[Run]:
    done = 0

    def run(seconds: float) -> float:
        nonlocal done
        line = _line((python, peer.script, dsn, str(seconds)))
        done += line["done"]
        return line["rate"]

    with _database(f"bench_{peer.name}", admin_dsn) as dsn:
        yield run
        with psycopg.connect(dsn) as connection:
            (durable,) = connection.execute(peer.durable).fetchone() or (0,)
        if durable != done:
            raise RuntimeError(f"{peer.name} counted {done}, and {durable} are in its database")


def _line(command: tuple[Path | str, ...]) -> Line:
    child = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PATIENCE_S)  # noqa: S603 - our script
    return json.loads(child.stdout)


@contextmanager
def _database(name: str, admin_dsn: str) -> Iterator[str]:
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(admin_dsn, dbname=name)
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
