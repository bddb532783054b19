"""`domainflow alerts`: what needs a person, and calling it done with. What an alert is stands in docs/operations.md."""

from collections.abc import Iterator
from typing import Annotated, Final

from cyclopts import Parameter

from domainflow.cli.errors import FAILED
from domainflow.cli.options import Global, Options
from domainflow.cli.output import Output
from domainflow.cli.session import opened
from domainflow.cli.signals import Signals
from domainflow.errors import InvalidInput, Unavailable
from domainflow.operations import Operations
from domainflow.views import AlertView

TIME: Final = "%Y-%m-%d %H:%M"  # UTC
COLUMNS: Final = ("#alert", "severity", "runbook", "of", "since")
LOOK_EVERY_S: Final = 1.0


def alerts(
    *,
    resolved: Annotated[bool, Parameter(help="Show those that were resolved lately instead, and how.")] = False,
    resolve: Annotated[int | None, Parameter(help="Call the alert with this number done with; needs --how.")] = None,
    how: Annotated[str | None, Parameter(help="How it was resolved; recorded with your name.")] = None,
    watch: Annotated[bool, Parameter(help="Show each one as it is raised or resolved, until Ctrl-C.")] = False,
    options: Global,
) -> int:
    """Show what needs a person, with the id of what to do. Exit 1 if anything does."""
    if (resolve is None) != (how is None):
        raise InvalidInput("--resolve and --how: need each other")
    if watch:
        if resolved or resolve is not None:
            raise InvalidInput("--watch: stands alone")
        return _watch(options)
    with opened(options, campaigns=False, work=False) as (_, operations):
        if resolve is not None and how is not None:
            operations.resolve_alert(resolve, how)
        found = operations.alerts(resolved=resolved)
    _show(Output(json=options.json), found, resolved=resolved)
    return FAILED if found and not resolved else 0


# --- once


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
    said = "\n".join(_evidence(alert))
    return str(alert.number), alert.severity, alert.runbook, alert.subject, f"{alert.raised_at:{TIME}}", last, said


def _evidence(alert: AlertView) -> Iterator[str]:
    return (f"{name} {value}" for name, value in alert.evidence.items())


# --- again and again


class Watch:
    """What has been shown of a tenant's alerts."""

    def __init__(self, operations: Operations) -> None:
        """What was resolved before now is nobody's news. Raises Denied."""
        self._operations = operations
        self._open: set[int] = set()
        self._ended = {alert.number for alert in operations.alerts(resolved=True)}

    def look(self) -> Iterator[AlertView]:
        """Yield what was raised since the last look, then what was resolved, at the first one all that is open."""
        found = self._operations.alerts()
        ended = {alert.number: alert for alert in self._operations.alerts(resolved=True)}
        yield from (alert for alert in found if alert.number not in self._open)
        yield from (alert for number, alert in ended.items() if number not in self._ended)
        self._open = {alert.number for alert in found}
        self._ended = set(ended)


def _watch(options: Options) -> int:
    output = Output(json=options.json)
    with Signals() as signals, opened(options, campaigns=False, work=False) as (_, operations):
        watch, waiting = Watch(operations), False
        while True:
            try:
                for alert in watch.look():
                    _tell(output, alert)
                waiting = False
            except Unavailable as error:  # a restarted server is back in a moment
                if not waiting:
                    output.note(f"waiting for the store: {error}")
                waiting = True
            if signals.wait(LOOK_EVERY_S) is not None:
                return 0


def _tell(output: Output, alert: AlertView) -> None:
    if output.json:
        output.object(alert)
    else:
        output.line(_line(alert))


def _line(alert: AlertView) -> str:
    what, ended = f"{alert.number}  {alert.runbook}  {alert.subject}", alert.resolved
    if ended is None:
        return f"{alert.raised_at:{TIME}}  {alert.severity}  {what}  {', '.join(_evidence(alert))}"
    return f"{ended.at:{TIME}}  resolved  {what}  by {ended.by}: {ended.how}"
