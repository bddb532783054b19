"""When a stream's snapshot is due: little is left to be replayed at a start, and little is written for it. Pure.

Behind a snapshot stand fewer than MOST_EVENTS events, and fewer bytes of them than FEWEST_BYTES or the snapshot itself.
All snapshots of a stream take at most twice what its events take, and a MOST_EVENTS-th of its state for each of them: a
state is made of what events say, so a snapshot that was due for bytes is no more than twice as many.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from domainflow.store.port import NewEvent, Recorded

MOST_EVENTS: Final = 512  # some 5 ms to decode and evolve
FEWEST_BYTES: Final = 16 << 10  # below, it is not worth a snapshot however small that is: one page or two to read


class Behind(Struct, frozen=True, gc=False):
    """What a stream has behind its last snapshot."""

    events: int = 0
    size_bytes: int = 0  # of these: bodies and contexts
    snapshot_bytes: int = 0  # 0: there is none, and `events` are all

    def then(self, events: Iterable[NewEvent | Recorded]) -> "Behind":
        """Return it with some events more."""
        sizes = [len(event.body) + len(event.context) for event in events]
        return Behind(self.events + len(sizes), self.size_bytes + sum(sizes), self.snapshot_bytes)

    @property
    def is_due(self) -> bool:
        """Whether a snapshot is to be taken now."""
        return self.events >= MOST_EVENTS or self.size_bytes >= max(FEWEST_BYTES, self.snapshot_bytes)


NEW: Final = Behind()
