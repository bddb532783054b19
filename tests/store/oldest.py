"""The oldest Postgres that is served, where the system has it."""

import os
from pathlib import Path
from typing import Final

import pytest

DEBIAN_15: Final = Path("/usr/lib/postgresql/15/bin")

needs_15: Final = pytest.mark.skipif(
    not DEBIAN_15.is_dir() or "DOMAINFLOW_PG_BIN" in os.environ,
    reason=f"no PostgreSQL 15 in {DEBIAN_15}, or the whole session runs on chosen binaries",
)
