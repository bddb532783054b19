"""`domainflow alerts`: what needs a person, and calling it done with. What an alert is stands in docs/operations.md."""

from typing import Annotated, Final

from cyclopts import Parameter

from domainflow.cli.errors import FAILED
from domainflow.cli.options import Global
from domainflow.cli.output import Output
from domainflow.cli.session import opened
from domainflow.errors import InvalidInput
from domainflow.views import AlertView

TIME: Final = "%Y-%m-%d %H:%M"  # UTC
COLUMNS: Final = ("#alert", "severity", "runbook", "of", "since")


def alerts(
    *,
    resolved: Annotated[bool, Parameter(help="Show those that were resolved lately instead, and how.")] = False,
    resolve: Annotated[int | None, Parameter(help="Call the alert with this number done with; needs --how.")] = None,
    how: Annotated[str | None, Parameter(help="How it was resolved; recorded with your name.")] = None,
    options: Global,
) -> int:
    """Show what needs a person, with the id of what to do. Exit 1 if anything does."""
    if (resolve is None) != (how is None):
        raise InvalidInput("--resolve and --how: need each other")
    with opened(options, campaigns=False, work=False) as (_, operations):
        if resolve is not None and how is not None:
            operations.resolve_alert(resolve, how)
        found = operations.alerts(resolved=resolved)
    _show(Output(json=options.json), found, resolved=resolved)
    return FAILED if found and not resolved else 0


def _show(output: Output, found: list[AlertView], *, resolved: bool) -> None:
    if output.json:
        for alert in found:
            output.object(alert)
    elif found:
        output.rows((*COLUMNS, "resolved" if resolved else "last seen", "evidence"), map(_row, found))
    else:
        output.line("none was resolved lately" if resolved else "nothing needs a person", "green")


def _row(alert: AlertView) -> tuple[str, ...]:
    ended = alert.resolved
    last = f"{alert.seen_at:{TIME}}" if ended is None else f"{ended.at:{TIME}} by {ended.by}: {ended.how}"
    said = "\n".join(f"{name} {value}" for name, value in alert.evidence.items())
    return str(alert.number), alert.severity, alert.runbook, alert.subject, f"{alert.raised_at:{TIME}}", last, said
