"""What a commit lane hears. Values with the callback of whoever waits; they never leave the process."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from domainflow.store.port import Answer, AuditNote, Item, Outcome


class Commit(Struct, frozen=True):
    """Commit these whole or not at all."""

    group: tuple[Item, ...]
    settled: Callable[[Outcome], None]


class Note(Struct, frozen=True):
    """Record this on the lane's audit stream of its tenant."""

    note: AuditNote
    settled: Callable[[Outcome], None]


class Load(Struct, frozen=True):
    """Read a stream, once nothing of it is in hand."""

    stream: str
    owned: bool
    fold_version: int
    settled: Callable[[Answer], None]


LaneMessage: TypeAlias = Commit | Note | Load
