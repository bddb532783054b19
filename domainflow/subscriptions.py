"""Subscriptions: whatever happens to the campaigns that a principal may see, as it becomes durable, from a bookmark on.

Read from the feed, in Postgres, whoever made it happen; hints only say when to look. `aio` has the twin.
"""

import threading
import time
from collections.abc import Generator
from typing import Final, Self

from msgspec.structs import replace

from domainflow.actors.campaign.actor import PREFIX, campaign_of
from domainflow.actors.hub import EVERY, LOOK_AGAIN_S
from domainflow.errors import AskTimeout
from domainflow.security import gate
from domainflow.security.context import Principal
from domainflow.store import archives, campaigns, feed
from domainflow.store.feed import Page, Position
from domainflow.store.pool import CONNECTION_S
from domainflow.store.transaction import Kind
from domainflow.tree import Parts
from domainflow.views import FeedChange, feed_change

HELD_BACK_S: Final = 0.004  # doubled with each look in vain: nobody says when a transaction of others has ended
MOST_DOUBLED: Final = 10
MOST_OWNERS: Final = 10_000
LOOK_S: Final = 1.0  # what a look may wait for a connection however little time is left


class Following:
    """Reads on in somebody's name, a page at a time, and says when to look again."""

    def __init__(self, parts: Parts, principal: Principal, position: Position) -> None:
        """Nothing is read yet."""
        self._parts = parts
        self._principal = principal
        self.position = position  # behind everything that was looked at
        self._owners: dict[str, str] = {}  # of campaigns; they never change
        self._full = False
        self._held_back = 0  # looks in a row that found something held back, and nothing new

    def look(self, deadline_s: float | None) -> list[FeedChange]:
        """Return what there is next, in order; what the principal may not see is passed over.

        Of an archived campaign the seal is the first. Raises Archived: only some of what is archived was before this.
        """
        left_s = CONNECTION_S if deadline_s is None else max(deadline_s - time.monotonic(), LOOK_S)
        tenant = self._principal.tenant
        with self._parts.store.upkeep(Kind.FEED, timeout_s=left_s) as connection:
            page = feed.page(connection, self.position, tenant=tenant, prefix=PREFIX)
            # Afterwards: what went meanwhile is known by then.
            torn = archives.torn(connection, tenant, self.position)
            streams = {placed.recorded.stream for placed in page.events}
            begins = archives.beginnings(connection, streams) if streams else {}
            ids = {campaign_of(stream) for stream in streams}
            if unknown := ids - self._owners.keys():
                self._owners |= campaigns.owners(connection, unknown)
        if torn is not None:
            raise torn.error("a subscription would leave some out; begin at 0.0.0, where the seal comes first")
        self._move(page)
        # Of a campaign whose row is gone nobody is the owner.
        owner = self._owners.get
        visible = {id_ for id_ in ids if gate.visible(self._principal, tenant=tenant, owner=owner(id_, ""))}
        if len(self._owners) > MOST_OWNERS:
            self._owners.clear()
        changes = [
            feed_change(placed)
            for placed in page.events
            if campaign_of(placed.recorded.stream) in visible
            and placed.recorded.version >= begins.get(placed.recorded.stream, 1)
        ]
        if changes:  # behind the last one nothing of what was looked at is left
            changes[-1] = replace(changes[-1], bookmark=str(page.position))
        return changes

    def rest_s(self) -> float:
        """How long to wait for a hint before the next look."""
        if self._full:
            return 0.0
        return min(HELD_BACK_S * 2**self._held_back, LOOK_AGAIN_S) if self._held_back else LOOK_AGAIN_S

    def is_behind(self, end: Position) -> bool:
        """Whether anything before `end` may still come, by what the last look found."""
        return self.position < end and (self._full or self._held_back > 0)

    def _move(self, page: Page) -> None:
        so_far = self._held_back if page.position == self.position else 0
        self._held_back = min(so_far + 1, MOST_DOUBLED) if page.held_back else 0
        self._full = page.full
        self.position = page.position


class Quiet:
    """For how long nothing has come."""

    def __init__(self, timeout_s: float | None) -> None:
        """None: it may be quiet for ever."""
        self._timeout_s = timeout_s
        self._since_s = time.monotonic()

    @property
    def deadline_s(self) -> float | None:
        """When it has been quiet for too long; None: never."""
        return None if self._timeout_s is None else self._since_s + self._timeout_s

    def over(self) -> None:
        """Something has come."""
        self._since_s = time.monotonic()

    def check(self, where: str) -> None:
        """Raise AskTimeout once it has been too long."""
        if self.deadline_s is not None and time.monotonic() > self.deadline_s:
            raise AskTimeout(f"nothing happened to {where} for {self._timeout_s} s")

    def left_s(self, most_s: float) -> float:
        """How long to wait, at most."""
        return most_s if self.deadline_s is None else max(min(most_s, self.deadline_s - time.monotonic()), 0.0)


class Subscription:
    """Yields changes, in each campaign's order; waits for the next one. For one thread."""

    def __init__(self, parts: Parts, following: Following, timeout_s: float | None) -> None:
        """Use `Operations.subscribe`."""
        self.following = following
        self.hub = parts.waking.hub
        self.quiet = Quiet(timeout_s)
        self.bookmark = str(following.position)  # where another one goes on behind what this one has given
        self._changes = self._follow()

    def __iter__(self) -> Self:
        """It is its own iterator."""
        return self

    def __next__(self) -> FeedChange:
        """Wait for the next change. Raises AskTimeout after `timeout_s` of quiet, StoreUnavailable, BookmarkLost.

        With either of the first two it has ended: another one goes on from its `bookmark`.
        """
        return next(self._changes)

    def close(self) -> None:
        """End it; going out of scope does the same."""
        self._changes.close()

    def _follow(self) -> Generator[FeedChange, None, None]:
        self.quiet.over()
        ear = threading.Event()
        with self.hub.listening(EVERY, ear):
            while True:
                changes = self.following.look(self.quiet.deadline_s)
                for change in changes:
                    self.bookmark = change.bookmark
                    yield change
                    self.quiet.over()
                if not changes:
                    self.bookmark = str(self.following.position)
                    self.quiet.check("any campaign")
                ear.wait(self.quiet.left_s(self.following.rest_s()))
                ear.clear()  # what is said during a look counts
