"""What tests name of the stage that conftest sets: a module of its own, since every folder may have a conftest."""

import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Database:
    """A database of its own, migrated."""

    dsn: str  # as the application
    admin_dsn: str


def reachable_folder() -> Path:
    """A new folder that another account can enter; pytest's own are closed to all but their owner."""
    folder = Path(tempfile.mkdtemp(prefix="domainflow-", dir="/var/tmp"))
    folder.chmod(0o755)
    return folder
