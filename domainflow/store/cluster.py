"""The embedded server's files and its process: folder, access rules, data folder, start. Postgres calls it a cluster.

Nothing here decides when to start or stop (embedded.py, embedded_watcher.py) or talks to the server.

Everything lies in `<home>/postgres`. As root that folder belongs to root, and the server's account owns only `data` and
its socket's folder: it can neither change its own access rules and programs nor make root follow a link of its own.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from domainflow.errors import StoreUnavailable
from domainflow.store.binaries import HALF_COPY_PREFIX, Binaries, find_binaries
from domainflow.store.os_account import Account, our_name

ADMIN_ROLE: Final = "domainflow"
ROLES: Final = (ADMIN_ROLE, "domainflow_app", "domainflow_upkeep", "domainflow_reader")
PORT: Final = 5432  # names the socket's file; nothing listens on a network

SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",  # no network: the socket's folder is the first guard, peer authentication the second
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",  # each runtime and worker has its own pool; an unused slot costs a few kB
    "jit": "off",  # statements are short; compiling one costs more than it saves
}

# A socket's whole path may have 103 (macOS) or 107 (Linux) characters; "/.s.PGSQL.5432.lock" is 19 of them.
MAX_SOCKET_FOLDER: Final = 84
HALF_DATA_PREFIX: Final = "half-data-"
LOG_SIZE_BYTES: Final = 16 * 1024 * 1024
LOG_TAIL_BYTES: Final = 2000


@dataclass(frozen=True, slots=True)
class Cluster:
    """The files of one embedded server, and the account that runs it. `folder` has no symbolic link in it."""

    folder: Path
    account: Account

    @property
    def data(self) -> Path:
        """The data folder, which is there whole or not at all."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's own messages."""
        return self.folder / "server.log"

    @property
    def socket_folder(self) -> Path:
        """Where the socket lies: a function of `folder`, so that all clients agree without a file that says it."""
        inside = self.folder / "run"
        # A comma or a quote would end the name, in the server's settings or in a client's host list.
        if len(os.fsencode(inside)) <= MAX_SOCKET_FOLDER and not set(str(inside)) & set(",\"'\\"):
            return inside
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:24]
        return Path("/tmp") / f"domainflow-{digest}"  # noqa: S108 -- taken only if it is the account's own, see below

    def make_folder(self) -> None:
        """Make `folder` and what is missing above it. Raises StoreUnavailable where it is another account's."""
        missing = [parent for parent in reversed(self.folder.parents) if not parent.exists()]
        for parent in missing:
            parent.mkdir(exist_ok=True)
            if not self.account.is_ours:
                parent.chmod(0o711)  # ours since a moment ago; whatever the umask, the server's account must pass
        self.folder.mkdir(mode=0o700, exist_ok=True)
        owner = self.folder.stat().st_uid
        if owner != os.geteuid():
            raise StoreUnavailable(
                f"{self.folder} belongs to uid {owner}, and this process runs as uid {os.geteuid()}: run as that "
                "account, set DOMAINFLOW_HOME to a folder of your own, or DOMAINFLOW_DSN to a database"
            )
        if not self.account.is_ours:
            self._let_account_read(self.folder, 0o750)

    def check(self) -> None:
        """Raise StoreUnavailable where the account cannot reach the folder or does not own the data."""
        if not self.account.can_enter(str(self.folder)):
            raise StoreUnavailable(
                f"the account {self.account.name}, which runs Postgres for root, cannot reach {self.folder}: a folder "
                "above it is private. Nothing was opened up; set DOMAINFLOW_HOME to a folder that every account may "
                "pass through (as /var/lib/domainflow is), or DOMAINFLOW_PG_USER to an account that may"
            )
        if self.data.exists() and (owner := self.data.stat().st_uid) != self.account.uid:
            raise StoreUnavailable(
                f"{self.data} belongs to uid {owner}, and Postgres would run as {self.account.name} "
                f"(uid {self.account.uid}): set DOMAINFLOW_PG_USER to the account that made it"
            )

    def remove_leftovers(self) -> None:
        """Remove what a killed server or starter left. The caller holds the server's lock: none of it is in use.

        The pid files would stop the next server where their pid is in use again or is a zombie's.
        """
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (self.socket_folder / name).unlink(missing_ok=True)
        for prefix in (HALF_DATA_PREFIX, HALF_COPY_PREFIX):
            for half in self.folder.glob(f"{prefix}*"):
                shutil.rmtree(half)

    def start(self, settings: Mapping[str, str], server_lock: int, *, timeout_s: float) -> None:
        """Make the data folder if there is none and start the server; it takes connections some time later.

        The server and initdb inherit the lock, so it is held until the last of their processes has ended.
        """
        self._make_socket_folder()
        self._write_access_rules()
        binaries = find_binaries(self.account, major=self._data_major(), copies=self.folder)
        if not self.data.exists():
            self._initdb(binaries, server_lock, timeout_s=timeout_s)
        used = {
            **SETTINGS,
            **settings,
            "unix_socket_directories": str(self.socket_folder),
            "port": str(PORT),
            "hba_file": str(self.folder / "pg_hba.conf"),
            "ident_file": str(self.folder / "pg_ident.conf"),
            "cluster_name": f"{binaries.source} {binaries.version}",  # so that each client can say what it runs on
        }
        options = [word for name, value in used.items() for word in ("-c", f"{name}={value}")]
        argv = [str(binaries.folder / "postgres"), "-D", str(self.data), *options]
        with self.open_log() as log:
            self.account.spawn(argv, output=log, keep_open=[server_lock])

    def open_log(self) -> IO[bytes]:
        """Open the log to append to; a long one is put aside first."""
        if self.log.exists() and self.log.stat().st_size > LOG_SIZE_BYTES:
            self.log.rename(self.log.with_suffix(".log.1"))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        return os.fdopen(os.open(self.log, flags, 0o600), "ab")

    def log_tail(self) -> str:
        """Return the end of the log, for a message."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()

    def _data_major(self) -> int | None:
        """Return the major version that made the data folder, None where there is none yet."""
        if not self.data.exists():
            return None
        try:
            return int((self.data / "PG_VERSION").read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise StoreUnavailable(
                f"{self.data} is no Postgres data folder (its PG_VERSION: {error}): restore it, or move it away to "
                "begin with an empty database; nothing was touched"
            ) from error

    def _initdb(self, binaries: Binaries, server_lock: int, *, timeout_s: float) -> None:
        """Make the data folder under another name first, so that a crash leaves nothing that looks like one."""
        half = Path(tempfile.mkdtemp(prefix=HALF_DATA_PREFIX, dir=self.folder))
        try:
            os.chown(half, self.account.uid, self.account.gid)
            argv = [str(binaries.folder / "initdb"), "-D", str(half), *_initdb_options(binaries.major)]
            made = self.account.run(argv, timeout_s=timeout_s, keep_open=[server_lock])
            if made.returncode != 0:
                raise StoreUnavailable(
                    f"initdb ({binaries.source} {binaries.version}) could not make a data folder in {self.folder}; "
                    f"nothing is left of it. It said: {(made.stderr or made.stdout).strip()[-LOG_TAIL_BYTES:]}"
                )
            half.rename(self.data)
            _sync_folder(self.folder)
        finally:
            shutil.rmtree(half, ignore_errors=True)  # the error that brought us here says more than another one

    def _make_socket_folder(self) -> None:
        """Make the folder of the socket, closed to all but the account.

        Under /tmp its name can be guessed and taken by somebody else; then it is refused, not shared.
        """
        folder = self.socket_folder
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (self.account.uid, os.geteuid()):
            raise StoreUnavailable(
                f"{folder}, which stands in for a home with a long name, is not a folder of {self.account.name}: "
                "have it removed, or set DOMAINFLOW_HOME to a shorter name"
            )
        os.chown(folder, self.account.uid, self.account.gid, follow_symlinks=False)

    def _write_access_rules(self) -> None:
        """Let the server's account and ours in, each as any of the four roles, and nobody else."""
        names = sorted({self.account.name, our_name()})
        lines = [f'{ADMIN_ROLE} "{name}" {role}\n' for name in names for role in ROLES]
        rules = {"pg_hba.conf": f"local all all peer map={ADMIN_ROLE}\n", "pg_ident.conf": "".join(lines)}
        for name, text in rules.items():
            file = self.folder / name
            file.write_text(text, encoding="utf-8")
            self._let_account_read(file, 0o640)

    def _let_account_read(self, path: Path, mode: int) -> None:
        os.chown(path, -1, self.account.gid)
        path.chmod(mode)


def _initdb_options(major: int) -> list[str]:
    options = [f"--username={ADMIN_ROLE}", "--encoding=UTF8", "--no-locale", "--data-checksums", "--no-instructions"]
    options += ["--auth-local=peer", "--auth-host=reject"]  # until our own rules take their place
    if major >= 17:  # noqa: PLR2004 -- the first with a collation that no upgrade of the C library can re-order
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return options


def _sync_folder(folder: Path) -> None:
    """Make a rename last: what is committed must not be lost with the name under which it is found."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
