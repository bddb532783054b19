"""The rows, the lock over them, the clock, and what makes a change whole or none. No rule of any family.

Rows are frozen, so that a copy of the tables is what there was.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from typing import TypeAlias

from msgspec import Struct

from domainflow.store.commands import Boxed
from domainflow.store.leases import Host
from domainflow.store.port import CampaignRow, Key, Recorded
from domainflow.store.results import StoredBatch
from domainflow.store.streams import Head

Batch: TypeAlias = tuple[str, int, int, int]  # campaign, phase, run, batch


class State(IntEnum):
    """Of a work item."""

    READY = 0
    CLAIMED = 1
    DONE = 2
    PARKED = 3
    DEAD = 4


class Presence(Struct, frozen=True, kw_only=True):
    """One runtime."""

    host: Host
    lease_until_us: int
    in_session: bool  # whether it holds its lock


class Picture(Struct, frozen=True):
    """A snapshot."""

    version: int
    fold_version: int
    state: bytes


class Remembered(Struct, frozen=True):
    """An idempotency record."""

    key: Key
    created_at_us: int


class InBox(Struct, frozen=True, kw_only=True):
    """A command of the box."""

    command: Boxed
    created_at_us: int
    deadline_us: int
    answer: bytes | None = None
    answered: bool = False


class Campaign(Struct, frozen=True, kw_only=True):
    """A campaign's row of the read model."""

    row: CampaignRow
    tenant: str
    created_at_us: int
    business_status: str | None = None
    deleted: bool = False


class WorkItem(Struct, frozen=True, kw_only=True):
    """One open batch."""

    id: int
    campaign: str
    tenant: str
    phase: int
    run: int
    batch: int
    start: int
    stop: int
    state: State
    run_at_us: int
    fence: int = 0
    failures: int = 0
    losses: int = 0
    lost_alone: int = 0
    runtime: str | None = None
    reason: str | None = None

    @property
    def place(self) -> Batch:
        """What no other open item has."""
        return (self.campaign, self.phase, self.run, self.batch)


@dataclass
class Tables:
    """All rows, by their keys."""

    heads: dict[str, Head] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)  # runtimes by stream
    events: dict[tuple[str, int], Recorded] = field(default_factory=dict)
    snapshots: dict[str, Picture] = field(default_factory=dict)
    keys: dict[tuple[str, str, str], Remembered] = field(default_factory=dict)
    commands: dict[str, InBox] = field(default_factory=dict)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    work_items: dict[int, WorkItem] = field(default_factory=dict)
    batches: dict[Batch, StoredBatch] = field(default_factory=dict)
    hits: dict[Batch, bytes] = field(default_factory=dict)  # the last of the key is a position
    runtimes: dict[str, Presence] = field(default_factory=dict)
    lanes: dict[tuple[str, int], int] = field(default_factory=dict)  # generations


class MemoryStore:
    """What a database is to the families."""

    def __init__(self, *, now_us: int = 1_700_000_000_000_000) -> None:
        self.lock = threading.RLock()
        self.tables = Tables()
        self.item_ids = count(1)
        self._now_us = now_us

    def now_us(self) -> int:
        """The clock. It never says the same twice, so that what was written earlier is known by that."""
        with self.lock:
            self._now_us += 1
            return self._now_us

    def pass_time(self, by_s: float) -> None:
        """Move the clock on."""
        with self.lock:
            self._now_us += round(by_s * 1_000_000)

    @contextmanager
    def transaction(self) -> Iterator[Tables]:
        """Change the tables, or leave them as they were if the block raises."""
        with self.lock:
            before = {name: dict(rows) for name, rows in vars(self.tables).items()}
            try:
                yield self.tables
            except BaseException:
                self.tables = Tables(**before)
                raise

    def is_alive(self, runtime: str) -> bool:
        """Whether a runtime has both its lease and its lock."""
        presence = self.tables.runtimes.get(runtime)
        return presence is not None and presence.in_session and presence.lease_until_us > self.now_us()
