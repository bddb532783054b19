"""The store's own suites once more, on the oldest Postgres that is served: DOMAINFLOW_PG_BIN chooses it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from oldest import DEBIAN_15, needs_15

TESTS: Final = Path(__file__).parent.parent
PART: Final = (
    "store/test_schema.py",
    "store/test_commit.py",
    "store/test_commit_races.py",
    "store/test_leases.py",
    "store/test_work_items.py",
    "coordinator",
    "verify/test_slices.py",
)
WHOLE: Final = ("store", "coordinator", "verify", "multi")


@needs_15
@pytest.mark.timeout(600)  # half a minute on an idle machine
def test_a_part_of_the_suites_passes_on_the_oldest() -> None:
    assert_passes(PART, within_s=550.0)


@needs_15
@pytest.mark.chaos
def test_the_whole_suites_pass_on_the_oldest() -> None:
    assert_passes(WHOLE, within_s=1700.0)


def assert_passes(suites: tuple[str, ...], *, within_s: float) -> None:
    done = subprocess.run(  # noqa: S603 - our own tests
        [sys.executable, "-m", "pytest", "-q", *(str(TESTS / suite) for suite in suites)],
        cwd=TESTS.parent,
        env={**os.environ, "DOMAINFLOW_PG_BIN": str(DEBIAN_15)},
        timeout=within_s,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout.splitlines()[-1])  # noqa: T201 - how many, and how long
    assert done.returncode == 0, done.stdout + done.stderr
