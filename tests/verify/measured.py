"""A process that verifies a store and says what that took: run as a child, so that nothing else lies in its memory."""

import time
from pathlib import Path

from child import Talk

from domainflow.store.postgres import Postgres
from domainflow.verify import verify

KIB = 1024


def verify_all(talk: Talk, dsn: str) -> None:
    """Say how many faults there are, by how many bytes memory grew at its highest, and the seconds."""
    store = Postgres(lambda: dsn, revive=lambda: None, connections=1)
    before, began_s = _memory("VmRSS"), time.monotonic()
    faults = sum(1 for _ in verify(store))
    talk.say("faults", faults)
    talk.say("grew", _memory("VmHWM") - before)
    talk.say("took", time.monotonic() - began_s)


def _memory(line: str) -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(row.split()[1]) * KIB for row in status.splitlines() if row.startswith(line))
