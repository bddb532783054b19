"""`domainflow reconcile`: what a runtime that came now would mend, and what is left alone. Mends nothing itself."""

from typing import Annotated, Final

from cyclopts import Parameter

from domainflow.actors.campaign.actor import campaign_of
from domainflow.actors.reconciler.core import plan
from domainflow.actors.reconciler.messages import Action, Activate, Quarantine, Rescue
from domainflow.cli.errors import FAILED
from domainflow.cli.options import Global
from domainflow.cli.output import Output
from domainflow.cli.session import opened
from domainflow.runtime import Runtime
from domainflow.store import reconcile_sql
from domainflow.store.observed import Quarantined
from domainflow.store.transaction import Kind

PLAN: Final = ("tenant", "what", "of", "why")
ALONE: Final = ("tenant", "in quarantine", "since", "until", "#round", "why")


def reconcile(
    *,
    release: Annotated[
        str | None, Parameter(help="Have this campaign tried again now; its id, or as much of its start as is unique.")
    ] = None,
    options: Global,
) -> int:
    """Show what is not as it should be and would be mended, and what is in quarantine. Exit 1 if any is."""
    with opened(options, campaigns=False, work=False) as (runtime, operations):
        if release is not None:
            operations.release(campaign_of(release))
        actions, alone = _look(runtime)
    output = Output(json=options.json)
    if options.json:
        output.object({"plan": actions, "quarantine": alone})
    else:
        _show(output, actions, alone)
    return FAILED if alone else 0


def _look(runtime: Runtime) -> tuple[tuple[Action, ...], list[Quarantined]]:
    with runtime.store.upkeep(Kind.TOOL, one_instant=True) as connection:
        observed = reconcile_sql.observe(connection, runtime.id, lambda _: False)
        return plan(observed), reconcile_sql.in_quarantine(connection)


def _show(output: Output, actions: tuple[Action, ...], alone: list[Quarantined]) -> None:
    if actions:
        output.rows(PLAN, map(_row, actions))
    if alone:
        rows = ((each.tenant, each.stream, each.first_at, each.until, str(each.rounds), each.reason) for each in alone)
        output.rows(ALONE, rows)
    if not actions and not alone:
        output.line("all is as it should be", "green")


def _row(action: Action) -> tuple[str, str, str, str]:
    match action:
        case Activate(wanted=wanted):
            owner = f", last owned by {wanted.owner}" if wanted.owner else ""
            waiting = f", {wanted.waiting} waiting" if wanted.waiting else ""
            return wanted.tenant, "start", wanted.stream, f"{wanted.why}, {wanted.status}{waiting}{owner}"
        case Rescue(tenant=tenant, runtime=runtime, items=items):
            return tenant, "put back", f"{len(items)} work items", f"claimed by {runtime}, which is dead"
        case Quarantine(tenant=tenant, tried=tried):
            return tenant, "leave alone", tried.stream, f"tried {tried.tries} times: {tried.reason}"
