"""A stream folded from its first event, or its seal, without any snapshot, and compared with the snapshot on the way.

What an event must fit to is the `Judge`'s; nothing here knows campaigns or patterns.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from domainflow.actors.refold import difference
from domainflow.actors.rules import AuditContext, Rules, tag_of
from domainflow.errors import Corrupt
from domainflow.store import verify_rows
from domainflow.store.faults import Fault, Kind
from domainflow.store.port import Recorded
from domainflow.store.verify_rows import Instant, StreamRow

StateT = TypeVar("StateT", bound=Struct)
CommandT = TypeVar("CommandT", bound=Struct)
EventT = TypeVar("EventT", bound=Struct)

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, Corrupt)


class OutOfPlaceError(Exception):
    """The state before does not allow this event. The message says why."""


Judge: TypeAlias = Callable[[StateT, EventT], Iterator[Fault]]  # raises OutOfPlaceError


def fold(
    instant: Instant,
    row: StreamRow,
    rules: Rules[StateT, CommandT, EventT],
    judge: Judge[StateT, EventT],
) -> Generator[Fault, None, StateT | None]:
    """Yield what is wrong with a stream's events and its snapshot; return its state, None if it cannot be known."""
    state = rules.initial
    for recorded in verify_rows.events(instant, row.stream, begins=row.begins):
        where = f"{row.stream} version {recorded.version}"
        try:
            event = decode(rules, recorded)
        except UNREADABLE as error:
            yield Fault(Kind.EVENT_UNREADABLE, where, f"{recorded.type} cannot be read: {error}")
            return None
        try:
            yield from judge(state, event)
        except OutOfPlaceError as error:
            yield Fault(Kind.EVENT_OUT_OF_PLACE, where, f"{recorded.type}: {error}")
            return None
        state = rules.evolve(state, event)
        pictured = recorded.version == row.snapshot_version and row.fold_version == rules.fold_version
        if pictured and (text := difference(row.snapshot or b"", state, recorded.version)):
            yield Fault(Kind.SNAPSHOT_DIFFERS, row.stream, text)
    return state


def decode(rules: Rules[StateT, CommandT, EventT], recorded: Recorded) -> EventT:
    """Return an event that is what its columns say, with its evidence. Raises one of UNREADABLE."""
    event = rules.decode_event(recorded)
    if tag_of(event) != recorded.type:
        raise Corrupt(f"its body is a {tag_of(event)}")
    msgspec.msgpack.decode(recorded.context, type=AuditContext)
    return event
