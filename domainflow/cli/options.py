"""What every verb is told besides its own arguments. Light: `--help` imports it."""

import getpass
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from cyclopts import Parameter

HOME_VARIABLE: Final = "DOMAINFLOW_HOME"
PRINCIPAL_VARIABLE: Final = "DOMAINFLOW_PRINCIPAL"
DEFAULT_SEED: Final = 7
DEFAULT_ROLES: Final = ("admin",)

_INTEGER: Final = re.compile(r"-?\d+")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The global options."""

    home: Path | None
    dsn: str | None
    json: bool
    principal: str
    tenant: str
    roles: tuple[str, ...]
    log_level: str

    def repeated(self) -> tuple[str, ...]:
        """The global options that another command of the same person needs, without the DSN: it may hold a password."""
        words: list[str] = []
        # Named even where only the environment says it: whoever copies the command may not have that environment.
        home = self.home or os.environ.get(HOME_VARIABLE)
        if home:
            words += ["--home", str(Path(home).absolute())]
        if self.principal != own_name():
            words += ["--principal", self.principal]
        if self.tenant != "default":
            words += ["--tenant", self.tenant]
        if self.roles != DEFAULT_ROLES:
            words += [word for role in self.roles for word in ("--role", role)]
        return tuple(words)

    def hint(self, *words: str) -> str:
        """A command of the same person, to be copied into a shell."""
        dsn = ("--dsn", "…") if self.dsn is not None else ()
        return " ".join([_program(), shlex.join((*words, *self.repeated())), *dsn])


# Handed over by `domainflow.cli`, not read from the command line.
Global: TypeAlias = Annotated[Options, Parameter(parse=False)]
CampaignId: TypeAlias = Annotated[str, Parameter(help="Id of the campaign, or as much of its start as is unique.")]
Lab: TypeAlias = Annotated[
    int | None,
    Parameter(name="--lab", help=f"Run against a lab made from this seed; {DEFAULT_SEED} if none is given."),
]
Export: TypeAlias = Annotated[
    Path | None, Parameter(help="When it is completed, write what was found to this file; *.csv or *.jsonl.")
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Here:
    """Whether a campaign is executed by the process that tells it to go on, and how."""

    follow: Annotated[
        bool, Parameter(help="Execute it here and show its progress; without, the command is given, and that is all.")
    ] = False
    lab: Lab = None
    export: Export = None


ELSEWHERE: Final = Here()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Given:
    """How a command is given to a campaign."""

    expected_version: Annotated[
        int | None,
        Parameter(help="Refuse it, with exit code 4, unless the campaign is at this version: `show` says it."),
    ] = None
    timeout: Annotated[float, Parameter(help="Seconds for it to become durable in; 10 unless told otherwise.")] = 10.0
    idempotency_key: Annotated[
        str, Parameter(help="Whoever asks again with this key within 24 hours gets the same answer.")
    ] = ""


AS_USUAL: Final = Given()


def _program() -> str:
    """How this program was called, in words that call it again."""
    called = Path(sys.argv[0])
    if called.name != "domainflow":
        return f"{shlex.quote(sys.executable)} -m domainflow"
    return "domainflow" if shutil.which("domainflow") else shlex.quote(str(called))


def own_name() -> str:
    """Who asks unless told otherwise: DOMAINFLOW_PRINCIPAL, else the account's name as an identifier."""
    named = os.environ.get(PRINCIPAL_VARIABLE)
    if named:
        return named
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # an account without a name; OSError since Python 3.13
        account = f"uid-{os.getuid()}"
    return re.sub(r"[^A-Za-z0-9._@-]", "-", account)[:100]


def with_default_seed(words: Sequence[str]) -> list[str]:
    """The command line with the seed that `--lab` alone stands for."""
    after = [*words[1:], ""]
    return [
        f"--lab={DEFAULT_SEED}" if word == "--lab" and not _INTEGER.fullmatch(following) else word
        for word, following in zip(words, after, strict=False)
    ]
