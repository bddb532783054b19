"""The port between actors and the store: what a commit consists of, and what can come of it.

Values and protocols only. Nothing here knows Postgres, actors or a codec; bytes are opaque. `gc=False`, here and of all
values that a command goes through: they can be in no cycle, and looking for some was a fifth of what a command costs.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from msgspec import Struct


class NewEvent(Struct, frozen=True, kw_only=True, gc=False):
    """One event, encoded and chained; immutable from here on."""

    version: int
    type: str
    type_version: int
    recorded_at_us: int  # database clock, microseconds since 1970
    context: bytes
    body: bytes
    hash: bytes


class OpenItem(Struct, frozen=True, gc=False):
    """A work item to insert with the commit."""

    phase: int
    run: int
    batch: int
    start: int
    stop: int
    parked: bool


class Ledger(StrEnum):
    """What a commit does to all open work items of its campaign."""

    PARK = "park"  # ready -> parked
    UNPARK = "unpark"  # parked -> ready
    REVIVE = "revive"  # dead and parked -> ready, attempts counted anew
    DROP = "drop"  # all are deleted, and the results of those done but not accounted


NO_ANSWER: Final = b""  # of a key: it is looked for, and not kept


class Key(Struct, frozen=True, kw_only=True, gc=False):
    """An idempotency record: refused as data when it exists."""

    principal: str
    key: str
    command_hash: bytes
    answer: bytes


class BoxAnswer(Struct, frozen=True, gc=False):
    """The answer to a command of the command box; refused as data when it has one already."""

    command: str
    answer: bytes


class CampaignRow(Struct, frozen=True, kw_only=True, gc=False):
    """The read model row of a new campaign, with the limits that its principal is held to."""

    id: str
    principal: str
    name: str
    source_stream: str
    base: int
    count: int
    most_active: int
    most_created_a_day: int


class CampaignMark(Struct, frozen=True, kw_only=True, gc=False):
    """What a commit changes in the read model row of its campaign."""

    business_status: str | None = None
    deleted: bool = False


class Owned(Struct, frozen=True, gc=False):
    """An owned stream under the epoch of whoever speaks for it."""

    stream: str
    epoch: int


class Item(Struct, frozen=True, kw_only=True, gc=False):
    """One command's events on one stream, with everything that commits or fails with them."""

    stream: str
    tenant: str
    expected: int  # version before; 0: the stream is born
    previous: bytes
    epoch: int | None = None  # owned streams
    status: str | None = None  # after the last event
    moves: tuple[tuple[str, str], ...] = ()  # status changes on the way, for the check of legal transitions
    events: tuple[NewEvent, ...]
    fold_version: int = 0
    snapshot: bytes | None = None
    campaign: str | None = None  # uuid, where the next four apply
    opens: tuple[OpenItem, ...] = ()
    accounts: tuple[int, ...] = ()  # done work items; all are deleted or the item is refused
    ledger: Ledger | None = None
    mark: CampaignMark | None = None
    birth: CampaignRow | None = None
    about: Owned | None = None  # must still be so, or the item is refused
    key: Key | None = None
    box: BoxAnswer | None = None

    @property
    def version(self) -> int:
        """The stream's version after this item."""
        return self.expected + len(self.events)

    @property
    def hash(self) -> bytes:
        """The stream's hash after this item."""
        return self.events[-1].hash if self.events else self.previous


class AuditNote(Struct, frozen=True, kw_only=True, gc=False):
    """Something that changed nothing and is recorded all the same; the coordinator owns its stream."""

    tenant: str
    type: str
    context: bytes
    body: bytes
    alike: str = ""  # such notes of one tenant may become one record, with their number; empty: none
    about: Owned | None = None  # whose state the answer was read from; must still be so, or the note is refused
    key: Key | None = None
    box: BoxAnswer | None = None


class Committed(Struct, frozen=True, gc=False):
    """It is durable."""

    version: int


class Stale(Struct, frozen=True, gc=False):
    """The stream is at another version or hash than was expected; nothing was written."""

    version: int | None  # None: there is no such stream


class Foreign(Struct, frozen=True, gc=False):
    """The stream has another owner epoch: this writer is fenced. Nothing was written."""

    epoch: int | None


class KeyTaken(Struct, frozen=True, gc=False):
    """The idempotency key or the box command has its answer already; nothing was written."""

    command_hash: bytes
    answer: bytes


class OutOfStep(Struct, frozen=True, gc=False):
    """Items to be accounted are not (all) done; nothing was written."""


class OverQuota(Struct, frozen=True, gc=False):
    """The principal's limit is reached; nothing was written."""

    reason: str


class Failed(Struct, frozen=True, gc=False):
    """The commit raised; nothing was written. The reason is for logs, not for users."""

    reason: str


Outcome: TypeAlias = Committed | Stale | Foreign | KeyTaken | OutOfStep | OverQuota | Failed


class Recorded(Struct, frozen=True, kw_only=True, gc=False):
    """One event as it was read back."""

    stream: str
    version: int
    tenant: str
    recorded_at_us: int
    type: str
    type_version: int
    context: bytes
    body: bytes
    hash: bytes


class Loaded(Struct, frozen=True, kw_only=True, gc=False):
    """A stream as an actor starts from it: a snapshot (if its fold version fits) and the events after it."""

    stream: str
    tenant: str
    version: int  # 0: there is no such stream
    hash: bytes
    epoch: int | None
    snapshot: bytes | None
    snapshot_version: int
    events: tuple[Recorded, ...]


class HeldElsewhere(Struct, frozen=True, gc=False):
    """Another live runtime owns the stream."""

    runtime: str


class Unreadable(Struct, frozen=True, gc=False):
    """The stream cannot be read, and another try will not help."""

    reason: str


class Committer(Protocol):
    """The one door through which actors' state reaches the store."""

    def commit(self, group: tuple[Item, ...], settled: Callable[[Outcome], None]) -> None:
        """Commit `group` whole or not at all: one item, or one stream's item and streams born with it.

        `settled` is called exactly once, from another thread, when the outcome is known.
        Raises MailboxFull: nothing was taken in hand.
        """
        ...

    def note(self, note: AuditNote, settled: Callable[[Outcome], None]) -> None:
        """Record `note` on the audit stream; otherwise as `commit`."""
        ...

    def load(self, stream: str, *, owned: bool, fold_version: int, settled: Callable[["Answer"], None]) -> None:
        """Read a stream once it is settled; `owned` claims it for this runtime first, epoch first."""
        ...

    def now_us(self) -> int:
        """The database clock, microseconds since 1970; never goes back within this process."""
        ...


Answer: TypeAlias = Loaded | HeldElsewhere | Failed | Unreadable
