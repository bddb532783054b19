"""Campaigns as they were folded last, so that whoever looks again folds only what has come since.

Nothing is shown because it is here: whoever asks has read, in the same transaction, at which version the stream stands,
and gets the state at that one. Bounded in bytes: what was not asked for longest goes first.
"""

import threading
from collections import OrderedDict
from typing import Final, NamedTuple

from domainflow.actors.campaign.actor import RULES
from domainflow.actors.campaign.state import Campaign
from domainflow.store import streams
from domainflow.store.leases import Standing
from domainflow.store.projections import Rows
from domainflow.views import RECENT, Point, points

MOST_BYTES: Final = 32 * 1024 * 1024  # as stored; in memory it is some times as much


class Fold(NamedTuple):
    """A campaign at one version."""

    version: int
    hash: bytes  # of the event of this version, which covers all before it
    state: Campaign
    points: tuple[Point, ...]  # of its last RECENT events
    size_bytes: int  # of what it was folded from


class Folds:
    """What this process has folded, by stream. For any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """`most_bytes`: of all together; one that is larger is not kept."""
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Fold] = OrderedDict()
        self.size_bytes = 0

    def at(self, connection: Rows, stream: str, standing: Standing) -> Fold:
        """Return a stream where the open transaction has seen it stand, or later. Raises Corrupt."""
        fold = self._known(connection, stream, standing) or _loaded(connection, stream)
        self._keep(stream, fold)
        return fold

    def _known(self, connection: Rows, stream: str, standing: Standing) -> Fold | None:
        """Go on from what is kept; None: nothing is, a snapshot is nearer, or history is another one (a restore)."""
        with self._lock:
            known = self._kept.get(stream)
        if known is None or not standing.version - RECENT <= known.version <= standing.version:
            return None
        if known.version < standing.version:
            return _advanced(connection, stream, known, standing.version)
        return known if known.hash == standing.hash else None

    def _keep(self, stream: str, fold: Fold) -> None:
        with self._lock:
            if (old := self._kept.pop(stream, None)) is not None:
                self.size_bytes -= old.size_bytes
            if fold.size_bytes > self._most_bytes:
                return
            self._kept[stream] = fold
            self.size_bytes += fold.size_bytes
            while self.size_bytes > self._most_bytes:
                self.size_bytes -= self._kept.popitem(last=False)[1].size_bytes


def _loaded(connection: Rows, stream: str) -> Fold:
    """From the last snapshot on."""
    loaded = streams.load(connection, stream, fold_version=RULES.fold_version)
    recent = streams.events(connection, stream, after=max(0, loaded.version - RECENT), limit=RECENT)
    size_bytes = len(loaded.snapshot or b"") + sum(len(each.body) for each in (*loaded.events, *recent))
    return Fold(loaded.version, loaded.hash, RULES.fold(loaded), points(recent), size_bytes)


def _advanced(connection: Rows, stream: str, known: Fold, version: int) -> Fold | None:
    """From what is known on; None: it is not what the stream has at that version."""
    number = version - known.version + 1
    found = streams.events(connection, stream, after=known.version - 1, limit=number)
    if len(found) != number or found[0].hash != known.hash:
        return None
    state, new = known.state, found[1:]
    for recorded in new:
        state = RULES.evolve(state, RULES.decode_event(recorded))
    recent = tuple(point for point in known.points if point.version > version - RECENT)
    size_bytes = known.size_bytes + sum(len(each.body) for each in new)
    return Fold(version, new[-1].hash, state, recent + points(new), size_bytes)
