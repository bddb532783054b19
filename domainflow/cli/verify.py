"""`domainflow verify`: the verifier, one line a fault. What is a fault is `domainflow.verify`'s."""

import sys

from rich.console import Console

from domainflow.cli.errors import FAILED
from domainflow.cli.options import Global
from domainflow.cli.output import Output
from domainflow.cli.session import opened
from domainflow.verify import Fault
from domainflow.verify import verify as faults_of


def verify(*, options: Global) -> int:
    """Prove what is stored: chains, states, ledgers, results. Exit 1 if there are faults."""
    output = Output(json=options.json)
    number = 0
    with (
        opened(options, campaigns=False, work=False) as (runtime, _),
        Console(file=sys.stderr).status("verifying") as status,
    ):
        for fault in faults_of(runtime.store, progress=lambda step, done: status.update(f"verifying: {step} {done}")):
            number += 1
            _say(output, fault)
    if options.json:
        output.object({"faults": number})
    else:
        output.line(f"{number} faults" if number else "no faults", "red" if number else "green")
    return FAILED if number else 0


def _say(output: Output, fault: Fault) -> None:
    if output.json:
        output.object(fault)
    else:
        output.line(fault.line)
