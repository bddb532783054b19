"""What the monitor finds in the store that may have come to a stop. Values only: rules read them, and know no SQL."""

from typing import Final

from msgspec import Struct

from domainflow.store.observed import Quarantined

MOST: Final = 200  # rows of a kind: what is left is there when some of them are gone


class Still(Struct, frozen=True):
    """A campaign that is executed, with nothing ready or in hand, to which nothing has happened for a while."""

    stream: str
    tenant: str
    version: int
    status: str
    last: str  # the type of its last event
    still_s: float
    done: int  # batches that nobody has accounted


class Waiting(Struct, frozen=True):
    """A work item that became ready a while ago. Its fence changes whenever it is taken or put back."""

    item: int
    fence: int
    stream: str
    tenant: str
    runtime: str | None  # who has it in hand; None: nobody
    passed_by: bool  # nobody has it, and what became ready later is in hand, or nothing is at all


class Overdue(Struct, frozen=True):
    """Commands whose deadline has passed, unanswered, though the owner of their stream lives."""

    stream: str
    tenant: str
    owner: str
    commands: int
    late_s: float  # the oldest


class Writer(Struct, frozen=True):
    """A transaction that may still write, in any database of the server: what began after it does not show."""

    xid: int
    pid: int  # 0: prepared, so nobody's
    database: str
    user: str
    application: str  # likewise: the name that it was prepared under
    state: str  # "": hidden from us


class Behind(Struct, frozen=True):
    """A projection that is read and has not applied what was recorded long ago."""

    tenant: str
    name: str
    version: int
    generation: int
    behind_s: float  # the oldest


class Silent(Struct, frozen=True):
    """A runtime that has not left, and whose lease is over."""

    runtime: str
    host: str
    pid: int
    late_s: float


class Watched(Struct, frozen=True):
    """All of it, as of one instant."""

    still: tuple[Still, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    overdue: tuple[Overdue, ...] = ()
    alone: tuple[Quarantined, ...] = ()
    on_trial: tuple[str, ...] = ()  # streams that were left alone a moment ago, and are tried again
    writers: tuple[Writer, ...] = ()
    behind: tuple[Behind, ...] = ()
    silent: tuple[Silent, ...] = ()
    alive: tuple[str, ...] = ()  # runtimes
