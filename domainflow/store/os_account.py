"""The operating system's account under which the embedded server runs, and how to run a program as it.

An ordinary user's server runs as that user. Postgres refuses root, so root's server runs as an account that exists
already. Nothing here makes an account, changes a permission or decides where files lie.
"""

import os
import pwd
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Final

from domainflow.errors import StoreUnavailable

USER_VARIABLE: Final = "DOMAINFLOW_PG_USER"

# Debian's and RPM's server packages make the first; every Unix has the second, though other daemons share it.
ACCOUNTS_FOR_ROOT: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server. `is_ours` is false where root runs it as somebody else."""

    name: str
    uid: int
    gid: int
    is_ours: bool

    def run(
        self, argv: Sequence[str], *, timeout_s: float, keep_open: Iterable[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as this account and return its output, whatever its exit status.

        The descriptors in `keep_open` are inherited. Raises OSError or subprocess.SubprocessError where it cannot
        be run or does not end in time.
        """
        return subprocess.run(  # noqa: S603 -- a list of words and no shell; the words come from this package
            argv,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            cwd="/",  # the caller's folder may be closed to this account
            env=server_environment(),
            pass_fds=tuple(keep_open),
            start_new_session=True,  # Ctrl-C is for the caller, who then ends the child
            user=None if self.is_ours else self.uid,
            group=None if self.is_ours else self.gid,
            extra_groups=None if self.is_ours else [],
        )

    def spawn(self, argv: Sequence[str], *, output: IO[bytes], keep_open: Iterable[int]) -> None:
        """Start a program that outlives this process and is not its child."""
        detach(argv, output=output, keep_open=keep_open, account=None if self.is_ours else self)

    def can_execute(self, path: str) -> bool:
        """Tell whether this account reaches the file and may run it."""
        return self.is_ours or self.run(["/bin/sh", "-c", 'test -x "$0"', path], timeout_s=30.0).returncode == 0

    def can_enter(self, path: str) -> bool:
        """Tell whether this account reaches the folder."""
        return self.is_ours or self.run(["/bin/sh", "-c", 'cd "$0"', path], timeout_s=30.0).returncode == 0


def detach(argv: Sequence[str], *, output: IO[bytes], keep_open: Iterable[int], account: Account | None = None) -> None:
    """Start a program through a shell that leaves at once, so that this process has no child to reap.

    As a child it would stay a zombie after its end, and a zombie postmaster's pid looks alive to the next one.
    """
    subprocess.run(  # noqa: S603 -- the shell's text is constant; the words are its arguments, never its text
        ["/bin/sh", "-c", '"$0" "$@" &', *argv],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd="/",
        env=server_environment(),
        pass_fds=tuple(keep_open),
        start_new_session=True,  # a terminal's Ctrl-C or hang-up must not reach it
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def server_environment() -> dict[str, str]:
    """Return our environment without what would change the server's defaults: PGPORT, PGDATA, a locale."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def server_account() -> Account:
    """Return the account for the server: ours; for root DOMAINFLOW_PG_USER, else `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        return _our_account()
    wanted = os.environ.get(USER_VARIABLE)
    for name in (wanted,) if wanted else ACCOUNTS_FOR_ROOT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            break
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, is_ours=False)
    tried = f"{USER_VARIABLE}={wanted}" if wanted else " and ".join(ACCOUNTS_FOR_ROOT)
    raise StoreUnavailable(
        f"root cannot run Postgres itself, and there is no other account to run it: tried {tried}; "
        f"set {USER_VARIABLE} to an account that exists, or DOMAINFLOW_DSN to a database"
    )


def our_name() -> str:
    """Return the name of the account that runs this process. Raises StoreUnavailable where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise StoreUnavailable(
            f"uid {os.geteuid()} has no name in the passwd database, and Postgres knows accounts by their names: "
            "add an entry, or set DOMAINFLOW_DSN to a database"
        ) from None


def _our_account() -> Account:
    return Account(our_name(), os.geteuid(), os.getegid(), is_ours=True)
