"""The command line as its users have it: processes in a home. All tests here share one home and its server."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from databases import reachable_folder

from domainflow.store.embedded import EmbeddedServer

CALL_S = 60.0

SPEC = """
name = "NAME"
batch_size = 10
keywords = ["gadget", "wholesale", "bargain"]
[source]
kind = "pattern"
pattern_type = "prefix"
variable_length = 3
character_set = "abcdefghijklmnopqrstuvwxyz"
constant = "CONSTANT"
tld = "com"
count = 200
[dns]
query_timeout_s = 0.3
rate_limit_qps = QPS
rate_limit_burst = 10
[http]
request_timeout_s = 2.0
"""


@dataclass(frozen=True)
class Cli:
    """Calls `python -m domainflow` in a home."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DOMAINFLOW_HOME": str(self.home),
            "DOMAINFLOW_PRINCIPAL": "tester",
            "PYTHONUNBUFFERED": "1",
        }

    def __call__(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call it and wait for its end."""
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "domainflow", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=CALL_S,
            env={**self.environment, **variables},
            cwd=self.home,
        )

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start it; it is killed at the end if it still runs."""
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "domainflow", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            cwd=self.home,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def json(self, *words: str) -> dict[str, Any]:
        """The one object that a command prints."""
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def status(self, campaign: str) -> str:
        """How a campaign stands."""
        return str(self.json("campaign", "show", campaign)["status"])

    def spec(self, name: str, *, constant: str, qps: int = 0) -> str:
        """A spec file of 200 names; `qps` bounds how fast they are asked for, 0: not."""
        text = SPEC.replace("NAME", name).replace("CONSTANT", constant).replace("QPS", str(qps))
        file = self.home / f"{name}.toml"
        file.write_text(text)
        return str(file)


def campaign_in(said: str) -> str:
    """The id of the campaign that a followed one is announced by."""
    found = re.search(r"^campaign (\S{36}) ", said, re.MULTILINE)
    assert found is not None, said
    return found[1]


@pytest.fixture(scope="session")
def cli() -> Iterator[Cli]:
    """A home whose server stays up between calls."""
    folder = reachable_folder()
    with EmbeddedServer(folder):
        yield Cli(folder)
    shutil.rmtree(folder, ignore_errors=True)
