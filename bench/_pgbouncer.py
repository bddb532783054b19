"""A pgbouncer of one's own in transaction mode, with few sessions to a database. No bench; tests stand on it too."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from domainflow.store.os_account import server_account

PGBOUNCER: Final = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
PORT: Final = 6432  # names its socket
PATIENCE_S: Final = 30.0
INI: Final = """
[databases]
* = host={host} port={port} user=domainflow_app
[pgbouncer]
unix_socket_dir = {folder}
listen_addr =
listen_port = {listen}
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
logfile =
pidfile =
"""


@contextmanager
def pgbouncer(direct_dsn: str, folder: Path, *, sessions: int) -> Iterator[str]:
    """Run one between its clients and the database of `direct_dsn`; how to connect through it.

    Its socket lies in `folder`, which the account that it runs under must be able to reach and comes to own.
    """
    direct, account = conninfo_to_dict(direct_dsn), server_account()
    os.chown(folder, account.uid, account.gid)
    ini = folder / "ini"
    ini.write_text(INI.format(host=direct["host"], port=direct["port"], folder=folder, listen=PORT, sessions=sessions))
    bouncer = subprocess.Popen(  # noqa: S603 - a program of the system's
        [str(PGBOUNCER), str(ini)],
        user=None if account.is_ours else account.uid,
        group=None if account.is_ours else account.gid,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(folder / f".s.PGSQL.{PORT}", bouncer)
        yield make_conninfo(host=str(folder), port=PORT, dbname=direct["dbname"], user="domainflow_app")
    finally:
        bouncer.terminate()
        bouncer.wait(PATIENCE_S)


def _await(socket: Path, bouncer: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not socket.exists():
        if bouncer.poll() is not None or time.monotonic() > until_s:
            raise RuntimeError(f"pgbouncer did not start: {bouncer.poll()}")
        time.sleep(0.01)
