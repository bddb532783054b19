"""`domainflow campaign export`: what was found, into a file that appears whole, or onto standard output.

What a row holds and how it is written is `domainflow.export`'s.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal, TextIO, TypeAlias

from cyclopts import Parameter

from domainflow.cli.options import CampaignId, Global
from domainflow.cli.output import Output
from domainflow.cli.session import opened
from domainflow.errors import InvalidInput
from domainflow.export import Row, rows, write_csv, write_jsonl
from domainflow.runtime import Runtime

Format: TypeAlias = Literal["csv", "jsonl"]
WRITERS: Final[dict[str, Callable[[Iterable[Row], TextIO], int]]] = {"csv": write_csv, "jsonl": write_jsonl}


def export(
    campaign: CampaignId,
    /,
    *,
    format_: Annotated[Format | None, Parameter(name="--format")] = None,
    output: Path | None = None,
    options: Global,
) -> int:
    """Write what was found, one line a name, in constant memory.

    Parameters
    ----------
    format_
        csv or jsonl; else what the file's name ends in, else csv (with --json: jsonl).
    output
        A file, which appears whole or not at all and replaces one of its name; else standard output.
    """
    chosen = format_ or (format_of(output) if output else None) or ("jsonl" if options.json else "csv")
    with opened(options, campaigns=False, work=False) as (runtime, operations):
        id_ = operations.campaign(campaign).id
        found = rows(runtime.store, id_, tenant=options.tenant, home=runtime.home)
        if output is None:
            # Not sys.stdout: it would translate the line ends that CSV fixes.
            with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as file:
                WRITERS[chosen](found, file)
            return 0
        number = _write_whole(found, output, chosen)
    said = Output(json=options.json)
    if options.json:
        said.object({"id": id_, "rows": number, "output": str(output)})
    else:
        said.line(f"{number} rows in {output}")
    return 0


def checked_target(target: Path | None) -> Path | None:
    """`target` if an export can go there by its name and folder; checked before a campaign runs for an hour.

    Raises InvalidInput.
    """
    if target is None:
        return None
    if format_of(target) is None:
        raise InvalidInput(f"--export: {target} must end in .csv or .jsonl")
    if not target.absolute().parent.is_dir():
        raise InvalidInput(f"--export: there is no folder {target.absolute().parent}")
    return target


def format_of(file: Path) -> Format | None:
    """The format that a file's name promises; None: none that we know."""
    match file.suffix.lower():
        case ".csv":
            return "csv"
        case ".jsonl":
            return "jsonl"
        case _:
            return None


def write_file(runtime: Runtime, campaign: str, tenant: str, target: Path) -> int:
    """Write a campaign's rows to a file that `checked_target` let pass; return how many."""
    found = rows(runtime.store, campaign, tenant=tenant, home=runtime.home)
    return _write_whole(found, target, format_of(target) or "csv")


def _write_whole(found: Iterable[Row], target: Path, chosen: Format) -> int:
    """Write beside the target, then rename: a reader sees the former file or all of this one."""
    handle, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.absolute().parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            number = WRITERS[chosen](found, file)
            file.flush()
            os.fchmod(file.fileno(), _usual_mode())
            os.fsync(file.fileno())
        Path(draft).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(draft).unlink()
        raise
    return number


def _usual_mode() -> int:
    """The mode of a new file of this process; mkstemp's are closed to others."""
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    return 0o666 & ~mask
