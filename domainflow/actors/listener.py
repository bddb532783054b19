"""The listener: holds the runtime's lock, renews its lease, hears hints. On a connection of its own.

A hint is only ever a hint: whoever is woken looks for itself, and everybody looks without one too.
"""

from collections.abc import Callable
from typing import Final

import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.effects import Wake
from domainflow.store.presence import Presence

LISTEN_S: Final = 0.5

_log = structlog.get_logger()


class Listener(Behaviour[object]):
    """One pinned thread that waits for Postgres to say something."""

    def __init__(self, presence: Presence, *, hint: Callable[[str], None]) -> None:
        """`hint` is told each payload; it must be short."""
        self._presence = presence
        self._hint = hint

    def on_start(self) -> None:
        self._presence.appear()
        self.cell.signal(Wake())

    def on_signal(self, _: object) -> None:
        """Listen for a moment, then again; whatever else is in the mailbox comes in between."""
        for payload in self._presence.listen(LISTEN_S):
            self._hint(payload)
        self.cell.signal(Wake())

    def on_stop(self) -> None:
        self._presence.disconnect()
