"""A recorder of the package `eventsourcing` over our store, so that the cases which that package brings can judge it.

What had to be adapted, and why:

* An originator is the stream `es/{id}`. Its versions begin where its first event says (0 or 1 in these cases), ours
  with 1: an event carries its originator's version as its context, and the first one's is the offset.
* `insert_events` is one item a stream, several streams one group. Versions that do not follow each other cannot be said
  in an item: that is refused here. All else is left to the compare-and-set: `IntegrityError` is a refused item.
* The chain is linked here, as an actor's shell does it.
* A notification's id must be a dense number from 1: it is the place of an event in the feed. That every reader who
  counts from the beginning counts alike, for ever, is what the feed promises; so the count is kept in memory and needs
  no table. Ids are known once the feed shows the event: `insert_events` of an application waits for that.
* Tracking is a shared stream an application of theirs, `tracking/{name}`, whose last event says the id. It is decided
  on its state, and commits in one group with the events that it goes with.
* A subscription follows the feed by asking for what is new.

Left out: `InfrastructureFactoryTestCase` and `TranscoderTestCase` try mappers, ciphers and environment variables of
that package, and say nothing of a store.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, groupby
from typing import Any, Final
from uuid import UUID

from databases import Database
from durable import NOW_US, SOON_S, Actor
from eventsourcing.persistence import (
    AggregateRecorder,
    IntegrityError,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Subscription,
    Tracking,
)

from domainflow.store import commit, feed, pool, streams
from domainflow.store.chain import GENESIS, link
from domainflow.store.feed import BEGINNING
from domainflow.store.port import Committed, Item, NewEvent, Recorded

TENANT: Final = "acme"
PREFIX: Final = "es/"
AGAIN_S: Final = 0.002


@dataclass
class Connections:
    """Of one thread: a lane to commit on, and a connection to read."""

    app: Any
    upkeep: Any
    lane: commit.Lane


class Recorder(ProcessRecorder):
    """Events and tracking of one database."""

    def __init__(self, database: Database) -> None:
        self._stack = ExitStack()
        self._actor = Actor(database.dsn)
        self._stack.callback(self._actor.close)
        self._own = threading.local()
        self._lanes = count(1)
        self._lock = threading.Lock()  # guards what was counted
        self._counted: list[Recorded] = []
        self._position = BEGINNING

    def close(self) -> None:
        self._stack.close()

    # --- events

    def insert_events(
        self, stored_events: Sequence[StoredEvent], *, tracking: Tracking | None = None, **_: object
    ) -> Sequence[int] | None:
        by_stream = groupby(stored_events, key=lambda each: _stream(each.originator_id))
        items = [self._item(stream, list(events)) for stream, events in by_stream]
        if tracking is not None:
            items.append(self._tracked(tracking))
        self._commit(items)
        return self._ids_of(items)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        recorded = streams.events(self._mine.upkeep, _stream(originator_id), after=0)
        found = [StoredEvent(originator_id, int(each.context), each.type, each.body) for each in recorded]
        asked = [
            each
            for each in found
            if (gt is None or each.originator_version > gt) and (lte is None or each.originator_version <= lte)
        ]
        return (asked[::-1] if desc else asked)[:limit]

    # --- notifications

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        counted = self._count()
        first = max(1, (start or 1) if inclusive_of_start or start is None else start + 1)
        numbered = enumerate(counted[first - 1 : stop], first)
        return [_notification(id_, each) for id_, each in numbered if not topics or each.type in topics][:limit]

    def max_notification_id(self) -> int | None:
        return len(self._count()) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[Any]:
        return Following(self, gt, topics)

    # --- tracking

    def insert_tracking(self, tracking: Tracking) -> None:
        self._commit([self._tracked(tracking)])

    def max_tracking_id(self, application_name: str) -> int | None:
        stream = f"tracking/{application_name}"
        head = streams.head(self._mine.upkeep, stream)
        return int(self._at(stream, head.version).body) if head else None

    def _tracked(self, tracking: Tracking) -> Item:
        stream = f"tracking/{tracking.application_name}"
        head = streams.head(self._mine.upkeep, stream)
        if head and int(self._at(stream, head.version).body) >= tracking.notification_id:
            raise IntegrityError(f"{tracking} is not ahead of what was tracked")
        body = str(tracking.notification_id).encode()
        return _chained(stream, head.version if head else 0, head.hash if head else GENESIS, [("tracked", 0, body)])

    # --- the store

    @property
    def _mine(self) -> Connections:
        if not hasattr(self._own, "connections"):
            app, upkeep = (pool.connect(self._actor.dsn, role) for role in ("app", "upkeep"))
            lane = commit.Lane(self._actor.runtime, next(self._lanes))
            lane.raise_generation(app)
            self._stack.callback(app.close)
            self._stack.callback(upkeep.close)
            self._own.connections = Connections(app, upkeep, lane)
        return self._own.connections  # type: ignore[no-any-return]  # a thread's own

    def _at(self, stream: str, version: int) -> Recorded:
        (found,) = streams.events(self._mine.upkeep, stream, after=version - 1, limit=1)
        return found

    def _item(self, stream: str, events: list[StoredEvent]) -> Item:
        versions = [each.originator_version for each in events]
        if versions != list(range(versions[0], versions[0] + len(versions))):
            raise IntegrityError(f"versions of {stream} do not follow each other: {versions}")
        known = streams.events(self._mine.upkeep, stream, after=0, limit=1)
        expected = versions[0] - int(known[0].context) if known else 0
        before = streams.events(self._mine.upkeep, stream, after=expected - 1, limit=1) if expected > 0 else []
        news = [(each.topic, each.originator_version, each.state) for each in events]
        return _chained(stream, max(expected, 0), before[0].hash if before else GENESIS, news)

    def _commit(self, items: Sequence[Item]) -> None:
        if items:
            mine = self._mine
            alone = len(items) == 1
            outcome = (
                commit.commit_batch(mine.app, mine.lane, items)[0]
                if alone
                else commit.commit_group(mine.app, mine.lane, items)
            )
            if not isinstance(outcome, Committed):
                raise IntegrityError(str(outcome))

    def _ids_of(self, items: Sequence[Item]) -> list[int]:
        wanted = {
            (item.stream, each.version) for item in items for each in item.events if item.stream.startswith(PREFIX)
        }
        deadline_s = time.monotonic() + SOON_S
        while True:
            ids = [id_ for id_, each in enumerate(self._count(), 1) if (each.stream, each.version) in wanted]
            if len(ids) == len(wanted):
                return ids
            assert time.monotonic() < deadline_s, "somebody's transaction holds back the feed"
            time.sleep(AGAIN_S)

    def _count(self) -> list[Recorded]:
        """Everything that the feed shows by now, in its order."""
        with self._lock:
            while True:
                page = feed.page(self._mine.upkeep, self._position, tenant=TENANT, prefix=PREFIX)
                self._counted += [placed.recorded for placed in page.events]
                self._position = page.position
                if not page.full:
                    return self._counted[:]


class Aggregates(Recorder, AggregateRecorder):
    """One that counts nothing."""

    def _ids_of(self, items: Sequence[Item]) -> None:  # type: ignore[override]  # theirs has no ids here
        del items


class Following(Subscription[Recorder]):
    """Yields what is there and what comes, until it is stopped."""

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            last = self._last_notification_id
            found = self._recorder.select_notifications(last, 1, topics=self._topics, inclusive_of_start=False)
            if found:
                self._last_notification_id = found[0].id
                return found[0]
            time.sleep(AGAIN_S)
        raise StopIteration


def _stream(originator_id: UUID | str) -> str:
    return f"{PREFIX}{originator_id}"


def _notification(id_: int, recorded: Recorded) -> Notification:
    originator = UUID(recorded.stream.removeprefix(PREFIX))
    return Notification(originator, int(recorded.context), recorded.type, recorded.body, id_)


def _chained(stream: str, expected: int, previous: bytes, news: Sequence[tuple[str, int, bytes]]) -> Item:
    events: deque[NewEvent] = deque()
    for version, (type_, originators, body) in enumerate(news, expected + 1):
        context = str(originators).encode()
        digest = link(
            stream=stream,
            version=version,
            previous=events[-1].hash if events else previous,
            tenant=TENANT,
            recorded_at_us=NOW_US,
            type_=type_,
            type_version=1,
            context=context,
            body=body,
        )
        events.append(
            NewEvent(
                version=version,
                type=type_,
                type_version=1,
                recorded_at_us=NOW_US,
                context=context,
                body=body,
                hash=digest,
            )
        )
    return Item(stream=stream, tenant=TENANT, expected=expected, previous=previous, events=tuple(events))
