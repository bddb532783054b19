"""What `run`, `resume --follow` and their like have in common: give a command, then execute or leave.

Which command it is, is decided elsewhere.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from domainflow.actors.campaign.events import CampaignCreated
from domainflow.actors.campaign.history import StreamSealed
from domainflow.actors.rules import Ack
from domainflow.cli.export import checked_target, write_file
from domainflow.cli.follow import Follower
from domainflow.cli.options import Given, Here, Options
from domainflow.cli.output import Output
from domainflow.cli.session import LAB_RESOLVERS, lab, opened
from domainflow.cli.signals import Signals
from domainflow.errors import InvalidInput
from domainflow.handle import How
from domainflow.lab.process import read_ports
from domainflow.operations import CampaignHandle, Operations
from domainflow.runtime import Runtime
from domainflow.store import doctor_sql
from domainflow.store.transaction import Kind
from domainflow.vocabulary import CampaignStatus

Find: TypeAlias = Callable[[Operations], CampaignHandle]
Command: TypeAlias = Callable[[CampaignHandle], Ack | None]  # None: there was nothing to say

FIRST_EVENT_S = 10.0
MOST_TIMEOUT_S = 3600.0

_TO_BE_EXECUTED = frozenset({CampaignStatus.QUEUED, CampaignStatus.RUNNING, CampaignStatus.PAUSING})


def how(given: Given) -> How:
    """What the command line says of how a command is given, for a handle. Raises InvalidInput."""
    if not 0.0 < given.timeout <= MOST_TIMEOUT_S:
        raise InvalidInput(f"--timeout: {given.timeout} must be above 0 and at most {MOST_TIMEOUT_S:g} seconds")
    return How(timeout_s=given.timeout, expected_version=given.expected_version, idempotency_key=given.idempotency_key)


def carry_out(options: Options, campaign: str, command: Command, *, here: Here) -> int:
    """Give the command to a campaign; if told so execute it here until it rests. Return the exit code."""
    if here.follow:
        return host(options, lambda ops: ops.campaign(campaign), command, seed=here.lab, export=here.export)
    if here.lab is not None or here.export is not None:
        raise InvalidInput("--lab and --export: need --follow, since without it nothing is executed here")
    return tell(options, campaign, command)


def host(options: Options, find: Find, command: Command, *, seed: int | None, export: Path | None) -> int:
    """Find a campaign, give it the command, execute it here until it rests; return the exit code."""
    target = checked_target(export)
    with (
        Signals() as signals,
        lab(options, seed),
        opened(options, campaigns=True, work=True) as (runtime, operations),
    ):
        if signals.wait(0) is not None:
            raise KeyboardInterrupt  # pressed while we opened: nothing was asked for yet
        handle = find(operations)
        if seed is None:
            _refuse_without_lab(runtime, handle)
        command(handle)
        code = Follower(options, handle, signals, seed=seed).until_it_rests()
        if target is not None and code == 0 and handle.view().status is CampaignStatus.COMPLETED:
            write_file(runtime, handle.id, options.tenant, target)
            Output(json=options.json).note(f"exported to {target}")
    return code


def tell(options: Options, campaign: str, command: Command, *, deleted: bool = False) -> int:
    """Give the command and leave, saying who will execute it, or that nobody does; `deleted`: whatever became of it."""
    with opened(options, campaigns=False, work=False) as (runtime, operations):
        handle = operations.campaign(campaign, deleted=deleted)
        ack = command(handle)
        with runtime.store.upkeep(Kind.TOOL) as connection:
            others = [str(one) for one in doctor_sql.runtimes(connection) if one.alive and one.id != runtime.id]
    status = ack.status if ack else None
    output = Output(json=options.json)
    if options.json:
        version = ack.version if ack else None
        output.object({"id": handle.id, "version": version, "status": status, "executed_by": others})
        return 0
    output.line(f"campaign {handle.id}: {status}")
    if status in _TO_BE_EXECUTED and not others:
        output.line(
            "nobody executes campaigns just now: run `"
            + options.hint("campaign", "resume", handle.id, "--follow")
            + "` or `"
            + options.hint("worker")
            + "`"
        )
    return 0


def _refuse_without_lab(runtime: Runtime, handle: CampaignHandle) -> None:
    """Raise InvalidInput for a campaign of the lab while no lab is there: all its names would fail."""
    first = next(iter(handle.watch(timeout_s=FIRST_EVENT_S))).event
    created = first.state.created if isinstance(first, StreamSealed) else first
    if isinstance(created, CampaignCreated) and created.dns.resolvers == LAB_RESOLVERS and not read_ports(runtime.home):
        raise InvalidInput(
            f"campaign {handle.id} was made for the lab, and none runs in {runtime.home}: add --lab with the seed that "
            "it began with"
        )
