"""The listener: holds the runtime's lock, renews its lease, hears hints. On a connection of its own.

A hint is only ever a hint: whoever is woken looks for itself, and everybody looks without one too.
"""

from collections.abc import Callable
from typing import ClassVar, Final

import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.effects import Wake
from domainflow.backoff import delay_s
from domainflow.errors import StoreUnavailable
from domainflow.store.presence import Presence

LISTEN_S: Final = 0.5
AGAIN_BASE_S: Final = 0.05
AGAIN_CAP_S: Final = 2.0

_log = structlog.get_logger()


class Listener(Behaviour[object]):
    """One pinned thread that waits for Postgres to say something."""

    blocks: ClassVar[bool] = True

    def __init__(self, presence: Presence, *, hint: Callable[[str], None]) -> None:
        """`hint` is told each payload; it must be short."""
        self._presence = presence
        self._hint = hint
        self._tries = 0  # in vain, since the store was there
        self._lapses = 0  # of the lease, said

    def on_start(self) -> None:
        self._presence.appear()
        self.cell.signal(Wake())

    def on_signal(self, _: object) -> None:
        """Listen for a moment, then again; whatever else is in the mailbox comes in between."""
        try:
            payloads = self._presence.listen(LISTEN_S)
        except StoreUnavailable as error:
            self._wait(error)
            return
        self._tries = 0
        if self._lapses != self._presence.lapses:
            self._lapses = self._presence.lapses
            _log.error("lease_lapsed", lapses=self._lapses)  # too slow to renew it: others may have taken over
        for payload in payloads:
            self._hint(payload)
        self.cell.signal(Wake())

    def on_stop(self) -> None:
        self._presence.disconnect()

    def _wait(self, error: StoreUnavailable) -> None:
        """Try again a little later. No failure: a server that is gone for minutes must not use up a restart budget."""
        self._tries += 1
        _log.warning("listener_waits_for_store", tries=self._tries, error=str(error)[:200])
        again_s = delay_s(self._tries, self.cell.environment.chance(), base_s=AGAIN_BASE_S, cap_s=AGAIN_CAP_S)
        self.cell.start_timer("again", again_s, Wake())
