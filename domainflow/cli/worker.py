"""`domainflow worker`: a process that executes whatever campaigns are there."""

import os
from typing import Annotated, Final

from cyclopts import Parameter

from domainflow.cli.options import Global, Lab
from domainflow.cli.output import Output
from domainflow.cli.session import lab as lab_beside
from domainflow.cli.session import opened
from domainflow.cli.signals import Signals

IDLE_S: Final = 3600.0  # between two looks at nothing: a signal wakes us


def worker(
    *,
    campaigns: Annotated[bool, Parameter(negative="--no-campaigns")] = True,
    lab: Lab = None,
    options: Global,
) -> int:
    """Execute whatever campaigns are there, until Ctrl-C or SIGTERM; they stay as they are for the next owner.

    Parameters
    ----------
    campaigns
        Take up campaigns that nobody executes. Without, this process only works off batches for the others.
    """
    output = Output(json=options.json)
    with (
        Signals() as signals,
        lab_beside(options, lab),
        opened(options, campaigns=campaigns, work=True) as (runtime, _),
    ):
        if options.json:
            output.object({"runtime": runtime.id, "pid": os.getpid(), "home": str(runtime.home), "store": runtime.kind})
        else:
            output.line(f"worker {runtime.id}, pid {os.getpid()}, store {runtime.kind}, home {runtime.home}")
        while signals.wait(IDLE_S) is None:
            pass
        output.note("leaving; campaigns stay as they are for the next owner")
    return 0
