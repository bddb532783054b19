"""A runtime for one command, and the lab beside it. Nothing here gives a command to a campaign."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from domainflow import logs
from domainflow.cli.options import Options
from domainflow.errors import InvalidInput
from domainflow.lab.process import Lab
from domainflow.operations import Operations
from domainflow.runtime import Runtime
from domainflow.security.context import Principal
from domainflow.security.input import check_identifier
from domainflow.security.policy import ROLES
from domainflow.settings import dotenv
from domainflow.spec import CampaignSpec
from domainflow.store.embedded import HOME_VARIABLE, default_home

LAB_RESOLVERS: Final = ("lab",)


@contextmanager
def opened(options: Options, *, campaigns: bool, work: bool) -> Iterator[tuple[Runtime, Operations]]:
    """Open a runtime and act on it as the options' principal.

    Args:
        options: who asks, and where the store is.
        campaigns: take up the campaigns that nobody executes.
        work: have worker processes. A command that only tells a campaign something needs neither.

    Raises StoreUnavailable with what was tried and what to do, InvalidInput for an unfit principal, tenant or role.
    """
    principal = _principal(options)
    log_as_told(options)
    with Runtime.open(options.dsn, home=home_of(options), campaigns=campaigns, work=work) as runtime:
        yield runtime, runtime.as_principal(principal)


def log_as_told(options: Options) -> None:
    """Send the library's log lines to standard error, so that standard output holds results alone."""
    try:
        logs.configure(options.log_level, json=options.json)
    except ValueError as error:
        raise InvalidInput(f"--log-level: {error}") from error


def environment() -> dict[str, str]:
    """The environment over `.env` in the current folder, as `Runtime.open` reads them."""
    return {**dotenv(Path.cwd()), **os.environ}


def home_of(options: Options) -> Path:
    """The folder of embedded server, lab and sources that this command works in."""
    return Path(options.home or environment().get(HOME_VARIABLE) or default_home()).absolute()


def lab(options: Options, seed: int | None) -> AbstractContextManager[object]:
    """A lab in this home that lives as long as the context; None: no lab."""
    return nullcontext() if seed is None else Lab.start(home_of(options), seed)


def aimed_at_lab(spec: CampaignSpec) -> CampaignSpec:
    """The same campaign against the lab of its home: by words and not by ports, which are new at every start."""
    return replace(
        spec,
        dns=replace(spec.dns, resolvers=LAB_RESOLVERS, weights=spec.dns.weights[:1]),
        http=replace(spec.http, connect_ports="lab", trust="lab", allow_private=True),
    )


def _principal(options: Options) -> Principal:
    unknown = next((role for role in options.roles if role not in ROLES), None)
    if unknown is not None:
        raise InvalidInput(f"--role: {unknown[:100]!a} is none of {', '.join(ROLES)}")
    return Principal(
        id=check_identifier(options.principal, "--principal"),
        roles=options.roles,
        tenant=check_identifier(options.tenant, "--tenant"),
    )
