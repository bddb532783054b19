"""The memory store and Postgres behave alike, whatever happens; and a commit that compares less is found out."""

import hypothesis
import psycopg
import pytest
from databases import Database
from durable import migrated
from hypothesis import HealthCheck, Phase
from hypothesis.stateful import run_state_machine_as_test
from model import Alike
from two_stores import UnlikeError
from unguarded_commit import both_without

from domainflow.store import commit

__all__ = ["migrated"]  # a fixture

FULL: hypothesis.settings = hypothesis.settings(
    max_examples=60, stateful_step_count=30, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
)
GUARDS = {
    "version": ("h.version = i.expected", "true"),
    "hash": (" and h.hash = i.previous", ""),
    "tenant": (" and h.tenant = i.tenant", ""),
    "epoch": (" and h.epoch is not distinct from i.epoch", ""),
}


@pytest.fixture
def machine(migrated: Database) -> type[Alike]:
    """The stories over one database; nothing of it need outlive a crash of the server."""
    with psycopg.connect(migrated.admin_dsn, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f'alter database "{name}" set synchronous_commit = off')
    return type("Here", (Alike,), {"database": migrated})


@pytest.mark.timeout(300)  # 1 800 steps, each with its transactions: a busy machine takes its time
def test_memory_and_postgres_behave_alike(machine: type[Alike]) -> None:
    run_state_machine_as_test(machine, settings=FULL)


@pytest.mark.chaos
@pytest.mark.timeout(1800)  # 15 000 steps
@pytest.mark.parametrize("_part", range(4))  # whole parts of the 2 000 stories, which as many processes can tell
def test_memory_and_postgres_behave_alike_for_long(machine: type[Alike], _part: int) -> None:
    run_state_machine_as_test(machine, settings=hypothesis.settings(FULL, max_examples=500, derandomize=False))


@pytest.mark.parametrize("guard", GUARDS)
def test_a_commit_that_does_not_compare_everything_is_told_apart(
    machine: type[Alike], monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    plain, full = both_without(*GUARDS[guard])
    monkeypatch.setattr(commit, "PLAIN", plain)
    monkeypatch.setattr(commit, "FULL", full)
    found_out = hypothesis.settings(FULL, phases=(Phase.generate,))
    with pytest.raises(UnlikeError):
        run_state_machine_as_test(machine, settings=found_out)
