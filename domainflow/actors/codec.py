"""Stored events as today's program knows them: the version of each type's shape, and the steps up from older ones.

Pure. Stored bytes are never rewritten: an older body is lifted each time that it is read. Who writes events, and what
they mean, stands above.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeAlias, TypeVar, get_args

import msgspec
from msgspec import Struct

from domainflow.errors import Corrupt, WrittenByNewer
from domainflow.store.port import Recorded

EventT = TypeVar("EventT", bound=Struct)

Body: TypeAlias = dict[str, Any]  # as it was stored, tag and all; of a shape that no type stands for any more
Step: TypeAlias = Callable[[Body], Body]  # the body of one version -> that of the next; pure
Upcasts: TypeAlias = Mapping[tuple[str, int], Step]  # (tag, from which version)

FIRST: Final = 1
# What decoding raises, and a step of a body that is none of its version's. Bad UTF-8 is a ValueError only.
UNREADABLE: Final = (msgspec.MsgspecError, ValueError, LookupError, TypeError)


def version_of(event: Struct | type[Struct]) -> int:
    """Return the version of an event's shape: its type's VERSION, where it has had another shape before."""
    version: int = getattr(event, "VERSION", FIRST)
    return version


class Codec(Generic[EventT]):
    """Reads the events of one union, whichever version of its program wrote them."""

    def __init__(self, events: type[EventT], upcasts: Upcasts | None = None) -> None:
        """Take the union and a step for each version that was left behind.

        Raises TypeError where a step is missing or is one too many: nobody is to find that out from a stored event.
        """
        self._versions = {str(kind.__struct_config__.tag): version_of(kind) for kind in get_args(events) or (events,)}
        self._upcasts = dict(upcasts or {})
        steps = {(tag, version) for tag, now in self._versions.items() for version in range(FIRST, now)}
        if odd := steps ^ self._upcasts.keys():
            raise TypeError(f"steps that are missing, or lead nowhere: {sorted(odd)}")
        self._events = events
        self._decoder = msgspec.msgpack.Decoder(events)

    def decode(self, recorded: Recorded) -> EventT:
        """Return a stored event. Raises Corrupt."""
        now = self._versions.get(recorded.type, recorded.type_version)  # a tag that is not known is refused as such
        try:
            if recorded.type_version == now:
                return self._decoder.decode(recorded.body)
            return self._lift(recorded, now)
        except UNREADABLE as error:
            raise Corrupt(f"event {recorded.version} of {recorded.stream} cannot be read: {error}") from error

    def _lift(self, recorded: Recorded, now: int) -> EventT:
        if recorded.type_version > now:
            raise WrittenByNewer(
                f"event {recorded.version} of {recorded.stream} was written by a newer version of this program "
                f"({recorded.type} {recorded.type_version}, {now} is known): upgrade this one"
            )
        body = msgspec.msgpack.decode(recorded.body, type=Body)
        for version in range(recorded.type_version, now):
            body = self._upcasts[recorded.type, version](body)
        return msgspec.convert(body, type=self._events)
