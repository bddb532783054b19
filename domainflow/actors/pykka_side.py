"""Where pykka's ways end and ours begin: what of pykka's own protocol a cell answers, and what it goes without.

pykka's loop is not used (an exception in an ask leaves its actor alive and half changed, SystemExit in one actor stops
all); its base class, future and inbox protocol are.
"""

import threading
from collections.abc import Callable

from pykka import messages
from pykka._envelope import Envelope as PykkaEnvelope


class EndFlag(threading.Event):
    """pykka's stop flag without the condition inside an Event, which takes 600 bytes an actor; nobody waits for it."""

    def __init__(self) -> None:
        self._flag = False

    def set(self) -> None:
        self._flag = True


def answer_pykka(envelope: PykkaEnvelope[object], stop: Callable[[], None]) -> None:
    """Answer what came by pykka's own ref: it can stop an actor, but has no context, without which nothing is heard."""
    if isinstance(envelope.message, messages._ActorStop):  # noqa: SLF001  # what pykka's own stop() sends
        stop()
        if envelope.reply_to is not None:
            envelope.reply_to.set(None)
    elif envelope.reply_to is not None:
        error = TypeError("a message needs a context: use Cell.ref instead of a reference of pykka's")
        envelope.reply_to.set_exception((TypeError, error, None))
