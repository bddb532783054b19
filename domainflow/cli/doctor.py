"""`domainflow doctor`: whether everything that a run needs is in order, one line a check. Mends nothing."""

import platform
import shutil
import socket
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from domainflow import __version__
from domainflow.cli import summary
from domainflow.cli.database import Database, database
from domainflow.cli.errors import UNAVAILABLE
from domainflow.cli.options import Global, Options
from domainflow.cli.output import Output
from domainflow.cli.session import home_of
from domainflow.errors import DomainFlowError, SchemaMismatch
from domainflow.lab.process import read_ports
from domainflow.redaction import redact_text
from domainflow.store import doctor_sql, migrate, pool

GIB: Final = 2**30
MIB: Final = 2**20
LOW_BYTES: Final = GIB
TOO_LOW_BYTES: Final = 200 * MIB  # a fresh server needs some 50 MiB, its log of changes as much again and again
OLDEST_VERSION_NUM: Final = 150_000
OLD_S: Final = 60.0  # no writing transaction of ours lives longer than a second
FEW_CONNECTIONS: Final = 20  # what one runtime may open
PORT_ANSWERS_S: Final = 1.0


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


STYLES: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


class Finding(Struct, frozen=True):
    """One check, and what it found."""

    check: str
    level: Level
    text: str


def doctor(*, options: Global) -> int:
    """Look whether everything that a run needs is in order; exit 3 where something is not."""
    output = Output(json=options.json)
    found: list[Finding] = []
    for finding in _findings(options):
        found.append(finding)
        if not options.json:
            output.line(f"{finding.level:<5}{finding.check:<10}{finding.text}", STYLES[finding.level])
    usable = all(finding.level is not Level.FAIL for finding in found)
    if options.json:
        output.object({"usable": usable, "findings": found})
    return 0 if usable else UNAVAILABLE


def _findings(options: Options) -> Iterator[Finding]:
    yield _ok("versions", f"domainflow {__version__}, Python {platform.python_version()}, {platform.system()}")
    home = home_of(options)
    yield _home(home)
    yield _disk(home)
    yield _lab(home)
    try:
        with database(options) as found:
            yield from _database(found)
    except DomainFlowError as error:
        yield Finding("store", Level.FAIL, redact_text(" ".join(str(error).split())))


def _home(home: Path) -> Finding:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return _ok("home", f"{home} can be written")
    except OSError as error:
        return Finding("home", Level.FAIL, f"{home}: {error.strerror}; give another one by --home or DOMAINFLOW_HOME")


def _disk(home: Path) -> Finding:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free_bytes = shutil.disk_usage(there).free
    text = f"{free_bytes / GIB:.1f} GiB free"
    if free_bytes < TOO_LOW_BYTES:
        return Finding("disk", Level.FAIL, f"{text}: too little for a server; make room or give another --home")
    if free_bytes < LOW_BYTES:
        return Finding("disk", Level.WARN, f"{text}: enough for small campaigns only")
    return _ok("disk", text)


def _lab(home: Path) -> Finding:
    ports = read_ports(home)
    if ports is None:
        return _ok("lab", "none runs in this home")
    try:
        with socket.create_connection(("127.0.1.1", ports.http_port), timeout=PORT_ANSWERS_S):
            where = f"DNS {ports.resolvers[0]}, HTTP {ports.http_port}, HTTPS {ports.https_port}"
            return _ok("lab", f"seed {ports.seed}, {where}")
    except OSError:
        return Finding("lab", Level.WARN, f"lab.json names HTTP port {ports.http_port}, where nobody answers any more")


def _database(found: Database) -> Iterator[Finding]:
    with doctor_sql.translated(), pool.plain(found.dsn) as connection:
        yield _server(found, doctor_sql.server(connection))
        yield _horizon(doctor_sql.horizon_holder(connection), doctor_sql.prepared(connection))
        try:
            migrate.check(connection)
        except SchemaMismatch as error:
            if found.kind != "external" and not migrate.applied(connection):
                yield _ok("schema", "none yet; the first run makes it")
            else:
                yield Finding("schema", Level.FAIL, str(error))
            return
        yield _ok("schema", f"{migrate.known()[-1].name}, as this version needs")
    with doctor_sql.translated(), pool.connect(found.dsn, "upkeep") as connection:
        yield _runtimes(doctor_sql.runtimes(connection))


def _server(found: Database, server: doctor_sql.Server) -> Finding:
    kind = found.kind if found.kind != "external" else f"external (PostgreSQL {server.version})"
    text = (
        f"{kind}, {server.connections} of {server.most_connections} connections, "
        f"database of {server.size_bytes / MIB:.0f} MiB"
    )
    if server.version_num < OLDEST_VERSION_NUM:
        return Finding("store", Level.FAIL, f"{text}: Postgres 15 or newer is needed")
    if not server.fsync:
        return Finding("store", Level.WARN, f"{text}: fsync is off, so a crash of the machine may lose what was told")
    if server.most_connections - server.connections < FEW_CONNECTIONS:
        return Finding("store", Level.WARN, f"{text}: a runtime may need {FEW_CONNECTIONS}")
    return _ok("store", text)


def _horizon(holder: doctor_sql.Holder | None, waiting: tuple[int, float]) -> Finding:
    number, age_s = waiting
    if number:
        text = f"{number} prepared transactions wait, the oldest for {summary.span(age_s)}: they hold the feed back"
        return Finding("horizon", Level.WARN, text)
    if holder is None:
        return _ok("horizon", "no writing transaction holds the feed back")
    age = "unknown age" if holder.age_s is None else summary.span(holder.age_s)
    who = f"pid {holder.pid} in {holder.database} ({holder.user}, {holder.application}, {holder.state}), {age}"
    if holder.age_s is not None and holder.age_s < OLD_S:
        return _ok("horizon", f"oldest writing transaction: {who}")
    return Finding("horizon", Level.WARN, f"an old writing transaction holds the feed back: {who}; end it")


def _runtimes(rows: list[doctor_sql.RuntimeRow]) -> Finding:
    alive = [str(row) for row in rows if row.alive]
    dead = len(rows) - len(alive)
    words = [f"alive: {', '.join(alive) or 'none'}"]
    if dead:
        words.append(f"{dead} that ended without a word, whose campaigns anybody may take over")
    return _ok("runtimes", "; ".join(words))


def _ok(check: str, text: str) -> Finding:
    return Finding(check, Level.OK, text)
