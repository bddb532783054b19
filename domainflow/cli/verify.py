"""`domainflow verify`: the verifier, one line a fault. What is a fault is `domainflow.verify`'s."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from domainflow.cli.errors import FAILED
from domainflow.cli.options import Global
from domainflow.cli.output import Output
from domainflow.cli.session import opened
from domainflow.verify import Fault
from domainflow.verify import Progress as Told
from domainflow.verify import verify as faults_of


def verify(
    *,
    archive: Annotated[Path | None, Parameter(help="Prove the files of this folder of archives too.")] = None,
    options: Global,
) -> int:
    """Prove what is stored: chains, states, ledgers, results. Exit 1 if there are faults."""
    output = Output(json=options.json)
    number = 0
    with opened(options, campaigns=False, work=False) as (runtime, _), _bar() as told:
        for fault in faults_of(runtime.store, archive=archive, progress=told):
            number += 1
            _say(output, fault)
    if options.json:
        output.object({"faults": number})
    else:
        output.line(f"{number} faults" if number else "no faults", "red" if number else "green")
    return FAILED if number else 0


@contextmanager
def _bar() -> Iterator[Told]:
    """Show on standard error how far it is, where that is a terminal."""
    columns = (TextColumn("verifying {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # What is redirected comes out on standard error: only where both are the same screen.
    shared = sys.stdout.isatty()
    with Progress(*columns, console=Console(file=sys.stderr), transient=True, redirect_stdout=shared) as bar:
        steps: dict[str, TaskID] = {}

        def told(step: str, done: int, total: int) -> None:
            if step not in steps:
                steps[step] = bar.add_task(step)
            bar.update(steps[step], completed=done, total=max(done, total))

        yield told


def _say(output: Output, fault: Fault) -> None:
    if output.json:
        output.object(fault)
    else:
        output.line(fault.line)
