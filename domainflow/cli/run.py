"""`domainflow run`: a campaign from a spec file, executed here or by a process of its own."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from domainflow.actors.rules import Ack
from domainflow.cli.detach import detached
from domainflow.cli.hosting import host
from domainflow.cli.options import Export, Global, Lab
from domainflow.cli.output import Output
from domainflow.cli.session import aimed_at_lab
from domainflow.operations import CampaignHandle, Operations
from domainflow.security.input import load_spec
from domainflow.store.campaigns import Summary
from domainflow.vocabulary import CampaignStatus

PAGE: Final = 100  # campaigns looked through at a time
UNFINISHED: Final = frozenset(
    {
        CampaignStatus.PENDING,
        CampaignStatus.QUEUED,
        CampaignStatus.RUNNING,
        CampaignStatus.PAUSING,
        CampaignStatus.PAUSED,
    }
)


def run(  # noqa: PLR0913 - one an option
    spec: Path,
    /,
    *,
    lab: Lab = None,
    go_on: Annotated[bool, Parameter(name="--continue")] = False,
    detach: bool = False,
    export: Export = None,
    options: Global,
) -> int:
    """Create a campaign from a spec file and run it here until it ends.

    Ctrl-C pauses it once the batches in hand are finished and says how to go on; a second one stops at once, and it can
    still be resumed.

    Parameters
    ----------
    spec
        The TOML file.
    go_on
        Go on with your newest unfinished campaign of that name, if there is one, instead of creating another.
    detach
        Run it in a process of its own that outlives this one, and print its campaign and pid.
    """
    wanted = load_spec(spec)
    if lab is not None:
        wanted = aimed_at_lab(wanted)

    def find(operations: Operations) -> CampaignHandle:
        found = _unfinished(operations, wanted.name) if go_on else None
        if found is None:
            return operations.create_campaign(wanted)
        if not options.json:
            Output(json=False).line(f"going on with campaign {found.id} of {found.created_at:%Y-%m-%d %H:%M} UTC")
        return operations.campaign(found.id)

    if detach:
        return detached(options, find, seed=lab, export=export)
    return host(options, find, onward, seed=lab, export=export)


def onward(handle: CampaignHandle) -> Ack | None:
    """Make a campaign run that waits for nothing but its owner's word."""
    view = handle.view()
    if view.status is CampaignStatus.PENDING:
        return handle.start()
    if view.status is CampaignStatus.PAUSING or "user" in view.holders:
        return handle.resume()
    return None


def _unfinished(operations: Operations, name: str) -> Summary | None:
    """The newest unfinished campaign of this name and principal."""
    before: Summary | None = None
    while page := operations.campaigns(limit=PAGE, before=before):
        for summary in page:
            mine = summary.principal == operations.principal.id and summary.name == name
            if mine and summary.status in UNFINISHED:
                return summary
        before = page[-1]
    return None
