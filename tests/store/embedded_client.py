"""What the tests of the embedded server share: a client that can be killed, other accounts, waiting with a deadline."""

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

DEADLINE_S = 30.0
ROOT = os.geteuid() == 0
PROJECT = Path(__file__).parents[2]

CLIENT = """
import pathlib, sys
from domainflow.errors import StoreUnavailable
from domainflow.store.embedded import EmbeddedServer
try:
    server = EmbeddedServer.attach(pathlib.Path(sys.argv[1]), start_timeout_s=30.0)
except StoreUnavailable as refusal:
    print("refused:", " ".join(str(refusal).split()), flush=True)
else:
    print(server.kind, flush=True)
    sys.stdin.read()
    server.close()
"""

FAILING_CONNECTION = """
import sys, psycopg
try:
    psycopg.connect(sys.argv[1], connect_timeout=5)
except psycopg.OperationalError as refusal:
    print(refusal)
else:
    print("it was let in")
"""


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds; fail when it does not within the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.01)


@contextmanager
def reachable_home() -> Iterator[Path]:
    """A home that every account may pass through: pytest's tmp_path is private, and root's server is not root."""
    folder = Path(tempfile.mkdtemp(prefix="domainflow-test-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder / "home"
        eventually(lambda: not server_runs(folder / "home"), "the server has stopped after its last client")
    finally:
        eventually(lambda: is_removed(folder), "its watcher has let go of the home")


def is_removed(folder: Path) -> bool:
    """Remove a folder that somebody may still be tidying up; whether it is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def postmaster(home: Path) -> int:
    """The pid of the server's first process."""
    return int((home / "postgres/data/postmaster.pid").read_text().split("\n")[0])


def server_runs(home: Path) -> bool:
    """Whether a process of the server is left: the last one drops this lock. (A pid may be a zombie's for a while.)"""
    try:
        lock = os.open(home / "postgres/server.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


class Client:
    """A process that holds the server of a home until it is killed or left."""

    def __init__(self, home: Path, *, account: "OtherAccount | None" = None, **environment: str) -> None:
        self.process = subprocess.Popen(  # noqa: S603 -- our own interpreter and text
            [account.python if account else sys.executable, "-c", CLIENT, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env=(account.environment if account else {**os.environ, "PYTHONPATH": str(PROJECT)}) | environment,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )

    def answer(self) -> str:
        """What it says once it is attached ("embedded (…)") or refused ("refused: …"). Ask once."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.communicate(timeout=DEADLINE_S)  # the end of its input lets it close


class OtherAccount:
    """An ordinary account that this root process can take on, with a Python that the account can reach."""

    def __init__(self, name: str) -> None:
        entry = pwd.getpwnam(name)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        path = os.pathsep.join([str(PROJECT), sysconfig.get_path("purelib")])
        self.environment = {"PATH": os.defpath, "PYTHONPATH": path}
        self.python = self._find_python()

    def run(self, code: str, *arguments: str) -> str:
        """Run code as the account and return what it printed."""
        return self._run(self.python, code, *arguments)

    def _run(self, python: str, code: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 -- our own text
            [python, "-c", code, *arguments],
            check=False,
            cwd="/",
            text=True,
            input="",
            capture_output=True,
            timeout=DEADLINE_S,
            env=self.environment,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
        )
        return done.stdout + done.stderr

    def _find_python(self) -> str:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
            with suppress(OSError):
                if "yes" in self._run(python, "import domainflow.store.embedded; print('yes')"):
                    return python
        pytest.skip("no other account can reach a Python of this version and this project")
