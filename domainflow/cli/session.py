"""A runtime for one command, and the lab beside it. Nothing here gives a command to a campaign."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextlib import AbstractContextManager
from pathlib import Path

from msgspec.structs import replace

from domainflow import logs
from domainflow.cli.options import Options
from domainflow.errors import InvalidInput, StoreUnavailable
from domainflow.lab.process import Lab
from domainflow.operations import Operations
from domainflow.runtime import Runtime
from domainflow.security.context import Principal
from domainflow.security.policy import ROLES
from domainflow.spec import CampaignSpec
from domainflow.store.embedded import default_home

LAB_RESOLVERS = ("lab",)


@contextmanager
def opened(options: Options, *, hosts: bool) -> Iterator[tuple[Runtime, Operations]]:
    """Open a runtime and act on it as the options' principal.

    Args:
        options: who asks, and where the store is.
        hosts: execute campaigns here, those that nobody executes among them; else only give commands.

    Raises StoreUnavailable with what was tried and what to do, InvalidInput for an unfit principal, tenant or role.
    """
    principal = principal_of(options)
    log_as_told(options)
    with _runtime(options, hosts=hosts) as runtime:
        yield runtime, runtime.as_principal(principal)


def principal_of(options: Options) -> Principal:
    """Who asks."""
    unknown = next((role for role in options.roles if role not in ROLES), None)
    if unknown is not None:
        raise InvalidInput(f"--role: {unknown[:100]!a} is none of {', '.join(ROLES)}")
    return Principal(id=options.principal, roles=options.roles, tenant=options.tenant)


def log_as_told(options: Options) -> None:
    """Send the library's log lines to standard error, so that standard output holds results alone."""
    try:
        logs.configure(options.log_level, json=options.json)
    except ValueError as error:
        raise InvalidInput(f"--log-level: {error}") from error


def home_of(options: Options) -> Path:
    """The folder that this command works in."""
    return options.home if options.home is not None else default_home()


def lab(options: Options, seed: int | None) -> AbstractContextManager[object]:
    """A lab in this home that lives as long as the context; None: no lab."""
    return nullcontext() if seed is None else Lab.start(home_of(options), seed)


def for_lab(spec: CampaignSpec) -> CampaignSpec:
    """The same campaign against the lab of its home. Words and not ports: those are new at every start."""
    return replace(
        spec,
        dns=replace(spec.dns, resolvers=LAB_RESOLVERS, weights=spec.dns.weights[:1]),
        http=replace(spec.http, connect_ports="lab", trust="lab", allow_private=True),
    )


def _runtime(options: Options, *, hosts: bool) -> Runtime:
    try:
        return Runtime.open(options.dsn, home=options.home, campaigns=hosts, work=hosts)
    except StoreUnavailable as error:
        if options.dsn is None:
            raise
        raise StoreUnavailable(
            f"{error}. Tried the DSN of --dsn: check its host, port, user and password, or leave it out to use "
            "the embedded server"
        ) from error
