"""`domainflow campaign export`: what was found, to a file that appears whole, or to standard output.

What a row holds and how it is written is `domainflow.export`'s.
"""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Literal, TypeAlias

from domainflow import export as rows_of
from domainflow.cli.options import CampaignId, Global
from domainflow.cli.session import opened
from domainflow.errors import InvalidInput
from domainflow.operations import CampaignHandle
from domainflow.runtime import Runtime

Format: TypeAlias = Literal["csv", "jsonl"]
SUFFIXES: Final[dict[str, Format]] = {".csv": "csv", ".jsonl": "jsonl"}
READABLE: Final = 0o666  # less the umask, as any other program's new file


def export(
    campaign: CampaignId, /, *, format_: Format | None = None, output: Path | None = None, options: Global
) -> int:
    """Write what was found, one line a name: to standard output unless told otherwise."""
    return 0
