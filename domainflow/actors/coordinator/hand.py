"""What a commit lane has in hand: kept in its cell, so that it outlives a crash of the behaviour.

Batching only: which of what waits goes together. No connection, no clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from domainflow.actors.answers import counted
from domainflow.actors.coordinator.messages import Commit, Load, Note
from domainflow.store import chained
from domainflow.store.chain import GENESIS
from domainflow.store.commit import needs_group
from domainflow.store.port import AuditNote, Item, Outcome

MOST_ITEMS: Final = 250  # a larger batch adds latency and no throughput
MOST_BYTES: Final = 1 << 20


class Entry(Struct, eq=False):
    """One commit, or notes that are alike, with who waits for it. A note becomes an item when its turn comes."""

    settled: list[Callable[[Outcome], None]]
    group: tuple[Item, ...] = ()
    note: AuditNote | None = None
    stream: str = ""
    sent: bool = False  # a statement with it has been sent, and its outcome is not known
    size_bytes: int = 0


@dataclass
class AuditHead:
    """Where this lane's audit stream of one tenant stands."""

    version: int = 0
    hash: bytes = GENESIS


@dataclass
class Hand:
    """Everything taken and not yet answered, oldest first."""

    runtime: str
    lane: int
    incarnation: int = 0  # the lane's generation when this hand was made: its audit streams begin with it
    waiting: dict[Entry, None] = field(default_factory=dict)  # a set that keeps their order
    loads: list[Load] = field(default_factory=list)
    audits: dict[str, AuditHead] = field(default_factory=dict)
    alike: dict[tuple[str, str], Entry] = field(default_factory=dict)  # notes that others may still join

    def take(self, message: Commit | Note) -> None:
        """Take one into hand."""
        if isinstance(message, Commit):
            size = sum(map(_size_bytes, message.group))
            entry = Entry([message.settled], group=message.group, stream=message.group[0].stream, size_bytes=size)
        elif alike := self.alike.get((message.note.tenant, message.note.alike)):
            alike.settled.append(message.settled)
            return
        else:
            entry = self._noted(message)
        self.waiting[entry] = None

    @property
    def full(self) -> bool:
        """Whether there is enough for a batch: what comes now is to wait in the mailbox, which is bounded."""
        return len(self.waiting) >= MOST_ITEMS

    def batch(self, now_us: int) -> list[Entry]:
        """Return what goes next, still in hand: one group alone, or items of different streams up to the limits."""
        chosen: list[Entry] = []
        streams: set[str] = set()
        size_bytes = 0
        for entry in self.waiting:
            if entry.group and needs_group(entry.group):
                if not chosen:
                    return [entry]
                break
            if entry.stream in streams:
                continue  # its expected version depends on the one before
            chosen.append(self._ready(entry, now_us))
            streams.add(entry.stream)
            size_bytes += entry.size_bytes
            if len(chosen) == MOST_ITEMS or size_bytes > MOST_BYTES:
                break
        return chosen

    def settled_loads(self) -> list[Load]:
        """Return the loads of streams of which nothing is in hand any more."""
        if not self.loads:
            return []
        unsettled = {item.stream for entry in self.waiting for item in entry.group}
        return [load for load in self.loads if load.stream not in unsettled]

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """Answer one and let go of it."""
        del self.waiting[entry]
        for settled in entry.settled:
            settled(outcome)

    def advance_audit(self, entry: Entry) -> None:
        """The lane's audit stream stands behind this entry now."""
        item = entry.group[0]
        self.audits[item.tenant] = AuditHead(item.version, item.hash)

    def _noted(self, message: Note) -> Entry:
        note = message.note
        stream = f"audit/{note.tenant}/{self.runtime}/{self.lane}/{self.incarnation}"
        entry = Entry([message.settled], note=note, stream=stream, size_bytes=len(note.context) + len(note.body))
        if note.alike:
            self.alike[note.tenant, note.alike] = entry
        return entry

    def _ready(self, entry: Entry, now_us: int) -> Entry:
        note = entry.note
        if note is not None and not entry.sent:
            self.alike.pop((note.tenant, note.alike), None)  # from here on it has its number
            body = counted(note.body, len(entry.settled)) if len(entry.settled) > 1 else note.body
            entry.group = (self._audit_item(replace(note, body=body), entry.stream, now_us),)
        return entry

    def _audit_item(self, note: AuditNote, stream: str, now_us: int) -> Item:
        head = self.audits.setdefault(note.tenant, AuditHead())
        return chained.record(note, stream=stream, after=head.version, previous=head.hash, now_us=now_us)


def _size_bytes(item: Item) -> int:
    """Return what it comes to on its way to the server, but for small change."""
    events = sum(len(event.context) + len(event.body) for event in item.events)
    return events + len(item.snapshot or b"") + (len(item.key.answer) if item.key else 0)
