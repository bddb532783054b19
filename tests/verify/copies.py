"""A copy of the filled database, as conftest hands it to a test."""

from dataclasses import dataclass
from pathlib import Path

from stored import Hand

from domainflow.store.postgres import Postgres


@dataclass(frozen=True)
class Copy:
    """One copy, to be falsified and verified."""

    store: Postgres
    hand: Hand
    home: Path
