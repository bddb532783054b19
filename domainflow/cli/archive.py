"""`domainflow archive`: the events of campaigns that ended long ago leave the database (docs/operations.md)."""

from typing import Annotated

from cyclopts import Parameter

from domainflow.cli.options import Global
from domainflow.cli.output import Output
from domainflow.cli.session import opened
from domainflow.store.archives import Archive


def archive(
    *,
    days: Annotated[float, Parameter(help="For how long nothing must have happened to an ended campaign.")],
    options: Global,
) -> int:
    """Move the events of campaigns that ended long ago into files of this machine, and say where each one's are."""
    output, number = Output(json=options.json), 0
    with opened(options, campaigns=False, work=False) as (_, operations):
        while page := operations.archive(days):
            number += len(page)
            for archive_ in page:
                _say(output, archive_)
    if not options.json:
        output.line(f"{number} archived")
    return 0


def _say(output: Output, archived: Archive) -> None:
    if output.json:
        output.object(
            {
                "stream": archived.stream,
                "versions": archived.version - 1,
                "file": archived.file,
                "sha256": archived.sha256.hex(),
            }
        )
    else:
        output.line(f"{archived.stream}: versions 1 to {archived.version - 1} are in {archived.file}")
