"""What tests name of the stage that conftest sets: a module of its own, since every folder may have a conftest."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from domainflow.store import open_transactions
from domainflow.store.open_transactions import Open

GONE_S: Final = 10.0  # for a server to notice that a client has died
IDLE: Final = """
select pid, datname, application_name, query from pg_stat_activity where state like 'idle in transaction%'
"""


@dataclass(frozen=True)
class Database:
    """A database of its own, migrated."""

    dsn: str  # as the application
    admin_dsn: str


def reachable_folder() -> Path:
    """A new folder that another account can enter; pytest's own are closed to all but their owner."""
    folder = Path(tempfile.mkdtemp(prefix="domainflow-", dir="/var/tmp"))
    folder.chmod(0o755)
    return folder


def await_ended(transactions: Sequence[Open]) -> None:
    """Wait until these have ended; fail, and name those that do not."""
    deadline_s = time.monotonic() + GONE_S
    while left := [str(each) for each in transactions if each in open_transactions.all_open()]:
        assert time.monotonic() < deadline_s, f"left open: {left}"
        time.sleep(0.001)


def await_none_idle(dsn: str) -> None:
    """Wait until no session of the server idles in a transaction; fail, and name those that do."""
    deadline_s = time.monotonic() + GONE_S
    with psycopg.connect(dsn, autocommit=True) as connection:
        while left := connection.execute(IDLE).fetchall():
            assert time.monotonic() < deadline_s, f"idle in transaction: {left}"
            time.sleep(0.01)
