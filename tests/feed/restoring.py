"""A database dumped and restored by Postgres's own programs; shared by the tests of the feed."""

import os
import subprocess
from pathlib import Path
from typing import Final

import psycopg
from databases import Database
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from domainflow.store.binaries import candidates

BURN: Final = "do $$ begin for i in 1..20000 loop perform pg_current_xact_id(); commit; end loop; end $$"
SOON_S: Final = 60.0


def burn(database: Database) -> None:
    """Have transactions counted far on."""
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute(BURN)


def pg(program: str, *words: str) -> str:
    """Run one of Postgres's own programs to its good end."""
    folders = (candidate.folder for candidate in candidates())
    file = next((folder / program for folder in folders if (folder / program).exists()), Path(program))
    ended = subprocess.run(  # noqa: S603 - a program of the server that runs
        [file, *words], capture_output=True, text=True, timeout=SOON_S, check=False, env={**os.environ, "PGAPPNAME": ""}
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def restore(old: Database, new: Database, folder: Path) -> None:
    dump = folder / "dump"
    pg("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={old.admin_dsn}")
    parts = conninfo_to_dict(new.admin_dsn)
    pg("pg_restore", "--exit-on-error", f"--dbname={make_conninfo(**parts)}", str(dump))  # type: ignore[arg-type]


def counter(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select pg_current_xact_id()::text::bigint").fetchone()
    assert row is not None
    return int(row[0])
