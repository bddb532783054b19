"""Chaos: two runtimes under load, fault after fault, and a checker that believes SQL and the clients' ledgers alone.

`make test` runs one short round, `make chaos` ten long ones. The seed is printed; CHAOS_SEED draws the same faults.
"""

import itertools
import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
import pytest
from chaos.faults import FAULTS, fill_the_disk, kill_at_a_point
from chaos.rounds import Figures, Place, Round, chaos_round
from databases import Database, reachable_folder
from unguarded_commit import in_place_of

from domainflow.lab.process import PORTS_FILE, Lab
from domainflow.store import migrate
from domainflow.store.embedded import EmbeddedServer

LAB_SEED: Final = 7
DISK_BYTES: Final = 96 << 20
TRIES: Final = 10


class Plan(NamedTuple):
    """How many rounds, and the faults of each."""

    rounds: int
    faults: Counter[str]


SHORT: Final = Plan(
    1,
    Counter(
        {
            "kills at a named point": 4,
            "kills at random": 2,
            "terminations of a committer": 1,
            "terminations of a listener": 1,
            "terminations of a worker's connection": 1,
            "immediate stops of Postgres": 1,
            "lost answers of COMMIT": 3,
            "stalls": 1,
            "cuts": 1,
            "sleeps of a runtime": 1,
        }
    ),
)
LONG: Final = Plan(
    10,
    Counter(
        {
            "kills at a named point": 15,
            "kills at random": 5,
            "terminations of a committer": 8,
            "terminations of a listener": 4,
            "terminations of a worker's connection": 8,
            "immediate stops of Postgres": 5,
            "lost answers of COMMIT": 6,
            "stalls": 2,
            "cuts": 2,
            "sleeps of a runtime": 1,
            "sleeps of a worker": 1,
        }
    ),
)
PLANS: Final = [
    pytest.param(SHORT, id="short", marks=pytest.mark.timeout(300)),
    pytest.param(LONG, id="long", marks=[pytest.mark.chaos, pytest.mark.alone, pytest.mark.timeout(3600)]),
]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    home = reachable_folder()
    (home / "lab").mkdir()
    with Lab.start(home / "lab", LAB_SEED), EmbeddedServer(home) as server:
        shutil.copy(home / "lab" / PORTS_FILE, home)
        yield Place(home, server)
    shutil.rmtree(home, ignore_errors=True)  # the server is still stopping


@pytest.mark.parametrize("plan", PLANS)
def test_what_was_acknowledged_is_there_once_whatever_fails(
    plan: Plan, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(2**32))
    print(f"faults are drawn from seed {seed}")  # noqa: T201 - shown when a test fails
    chance = random.Random(seed)  # noqa: S311 - no secret
    figures = Figures()
    for _ in range(plan.rounds):
        database = new_database(place.server)
        with chaos_round(place, database, figures, chance=chance) as made:
            for kind in chance.sample(list(plan.faults.elements()), plan.faults.total()):
                made.suffer(kind, FAULTS[kind])
            made.end()
    with capsys.disabled():
        print(f"\n{figures.line()}")  # noqa: T201 - the figures are what it is for
    assert figures.faults == Counter({kind: plan.rounds * number for kind, number in plan.faults.items()})


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_without_idempotency_keys_a_command_is_applied_twice(place: Place) -> None:
    patch = in_place_of("chaos.unguarded")
    database = new_database(place.server)
    with (
        chaos_round(place, database, Figures(), chance=random.Random(1), patch=patch) as made,  # noqa: S311 - no secret
        pytest.raises(AssertionError, match="applied twice"),
    ):
        _kill_after_commits(made)


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_what_was_acknowledged_is_there_once_when_the_disk_was_full(
    place: Place, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(place.server.dsn("domainflow"), autocommit=True) as connection:
        connection.execute(f"create tablespace small location '{small_disk}'")
    database, figures = new_database(place.server, "small"), Figures()
    with chaos_round(place, database, figures, chance=random.Random(1)) as made:  # noqa: S311 - no secret
        for _ in range(3):
            made.suffer("full disks", lambda on: fill_the_disk(on, small_disk))
        made.end()
    with psycopg.connect(place.server.dsn("domainflow"), autocommit=True) as connection:
        name = psycopg.conninfo.conninfo_to_dict(database.dsn)["dbname"]
        connection.execute(f'drop database "{name}"')
        connection.execute("drop tablespace small")
    with capsys.disabled():
        print(f"\n{figures.line()}")  # noqa: T201 - the figures are what it is for


def _kill_after_commits(made: Round) -> None:
    for _ in range(TRIES):
        made.suffer("kills after a commit", lambda on: kill_at_a_point(on, "after the commit"))


_numbers = itertools.count(1)


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    """A folder on a disk of its own, for the server's account."""
    if os.geteuid() != 0:
        pytest.skip("a small disk is mounted by root alone")
    folder = place.home / "disk"
    folder.mkdir()
    with psycopg.connect(place.server.dsn("domainflow")) as connection:
        row = connection.execute("select current_setting('data_directory')").fetchone()
    assert row is not None
    owner = Path(row[0]).stat()
    options = f"size={DISK_BYTES},mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if mounted.returncode != 0:
        pytest.skip(f"no small disk here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607 - our own words


def new_database(server: EmbeddedServer, tablespace: str = "pg_default") -> Database:
    """A migrated database of this test's own server, which goes with it."""
    name = f"chaos_{next(_numbers)}"
    with psycopg.connect(server.dsn("domainflow"), autocommit=True) as connection:
        connection.execute(f'create database "{name}" tablespace "{tablespace}"')
    made = Database(server.dsn("domainflow_app", name), server.dsn("domainflow", name))
    migrate.up(made.admin_dsn)
    return made
