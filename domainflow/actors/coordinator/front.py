"""The front of the coordinator: which lane a stream belongs to, and the database clock.

It takes no decision and holds nothing that could be lost.
"""

import threading
import time
import zlib
from collections.abc import Callable

from domainflow.actors.coordinator.messages import Commit, LaneMessage, Load, Note
from domainflow.actors.ref import Ref
from domainflow.errors import Unavailable
from domainflow.security.context import Context, Principal
from domainflow.store.port import Answer, AuditNote, Item, Outcome

_CONTEXT = Context(principal=Principal(id="coordinator"), correlation_id="")


class DatabaseClock:
    """The database's clock, carried forward by this process's monotonic one; never goes back."""

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._offset_us = 0
        self._last_us = 0

    def set(self, now_us: int) -> None:
        """Set it by what the database said just now."""
        with self._lock:
            self._offset_us = now_us - self._monotonic_ns() // 1000

    def now_us(self) -> int:
        """Microseconds since 1970."""
        with self._lock:
            self._last_us = max(self._last_us, self._offset_us + self._monotonic_ns() // 1000)
            return self._last_us


class Coordinator:
    """A `Committer` over commit lanes. A stream always goes through the same lane, so its items stay in order."""

    def __init__(
        self,
        find: Callable[[int], Ref[LaneMessage] | None],
        clock: DatabaseClock,
        *,
        lanes: int,
        holds_lease: Callable[[], bool],
    ) -> None:
        """`find` is asked for a lane at each call: they are actors that start after this, and may be restarted.

        `holds_lease`: whether this runtime still counts as alive; nothing to be written is taken from one that may not.
        """
        self._find = find
        self._clock = clock
        self._count = lanes
        self._holds_lease = holds_lease

    def commit(self, group: tuple[Item, ...], settled: Callable[[Outcome], None]) -> None:
        self._check_lease()
        self._lane(group[0].stream).tell(Commit(group, settled), _CONTEXT)

    def note(self, note: AuditNote, settled: Callable[[Outcome], None]) -> None:
        self._check_lease()
        self._lane(note.tenant).tell(Note(note, settled), _CONTEXT)

    def load(self, stream: str, *, owned: bool, fold_version: int, settled: Callable[[Answer], None]) -> None:
        self._lane(stream).tell(Load(stream, owned, fold_version, settled), _CONTEXT)

    def now_us(self) -> int:
        return self._clock.now_us()

    def _check_lease(self) -> None:
        if not self._holds_lease():
            raise Unavailable("this runtime's lease has run out, and others may own its streams; nothing was done")

    def _lane(self, stream: str) -> Ref[LaneMessage]:
        number = zlib.crc32(stream.encode()) % self._count
        lane = self._find(number)
        if lane is None:
            raise Unavailable(f"commit lane {number} is being restarted; nothing was taken in hand")
        return lane
