"""Each bench can be started: what it shares with its neighbours is where it looks for it."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = sorted((Path(__file__).parent.parent / "bench").glob("[a-z]*.py"))


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.stem)
def test_a_bench_says_how_it_is_run(bench: Path) -> None:
    told = subprocess.run([sys.executable, bench, "--help"], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert told.returncode == 0, told.stderr
    assert "--json" in told.stdout
