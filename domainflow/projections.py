"""Projections: tables of a host's own, kept by a function of its own from what happens to the campaigns of a tenant.

What the function writes and how far it has come in the feed are committed together, so each change is applied exactly
once, whoever is killed when, and however many run it. Another version of the function is built beside the one that is
read, and takes its place once it is as far. `aio` has the twin.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from domainflow.actors.hub import EVERY, LOOK_AGAIN_S
from domainflow.errors import Archived, AskTimeout, InvalidInput, Unavailable, VersionConflict
from domainflow.security.context import Principal
from domainflow.security.input import check_identifier
from domainflow.store import feed, projections
from domainflow.store.feed import Position
from domainflow.store.pool import CONNECTION_S
from domainflow.store.projections import Generation, Key, Rows
from domainflow.store.transaction import Kind
from domainflow.subscriptions import Following
from domainflow.tree import Parts
from domainflow.views import FeedChange


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What is kept, and how.

    Both functions get a connection in an open transaction of role `domainflow_app` that sees the tenant, and the number
    of a generation, which every row they write must carry: two may be there at once. They must neither commit nor wait
    for anything but Postgres, and take less than a second.
    """

    name: str  # the tenant's
    version: int  # 1 or higher; a higher one is built anew
    apply: Callable[[Rows, int, Sequence[FeedChange]], None]  # write what comes of up to 500 changes, in order
    # Delete a slice of a generation that nobody reads, of this version or a lower one; whether more may be left.
    clear: Callable[[Rows, int], bool]


class Projector:
    """Applies one projection in somebody's name. For one thread, but for `close`; any number may run at once."""

    def __init__(self, parts: Parts, principal: Principal, projection: Projection) -> None:
        """Use `Operations.projector`."""
        check_identifier(projection.name, "projection: name")
        if projection.version < 1:
            raise InvalidInput(f"projection: version: {projection.version} must be 1 or higher")
        self._parts = parts
        self._principal = principal
        self._projection = projection
        self._key = Key(principal.tenant, projection.name)
        self._followings: dict[int, Following] = {}
        self._ear = threading.Event()
        self._closed = False
        self.hub = parts.waking.hub

    def step(self) -> float:
        """Apply the next page to each generation of this version; return how long to wait before the next step, s.

        Raises VersionConflict: a higher version has taken its place; Archived: events that it had not applied have left
        the database, and it must be built anew; StoreUnavailable: the next step knows what was done. What `apply` and
        `clear` raise is raised, an error of Postgres as one of ours, and nothing is done.
        """
        found = self._generations()
        live = next((each for each in found if each.live), None)
        first = live.number if live else 0
        mine = [each for each in found if each.version == self._projection.version and each.number >= first]
        if all(each.version < self._projection.version for each in found):
            return 0.0  # another version took the number that this one would have had
        if not mine:
            raise VersionConflict(f"projection {self._key.name} is at a higher version than {self._projection.version}")
        self._followings = {each.number: self._following(each) for each in mine}
        rests = [self._advance_unless_torn(each) for each in mine[:-1]] + [self._advance(mine[-1])]
        rests += [self._clear(each) for each in found if each.number < first]
        return min(rests)

    def catch_up(self, timeout_s: float = 60.0) -> None:
        """Apply everything that was committed before this call. Raises AskTimeout, and whatever `step` does."""
        deadline_s = time.monotonic() + timeout_s
        with self._parts.store.upkeep(Kind.FEED, timeout_s=timeout_s) as connection:
            end = feed.end(connection)
        while (rest_s := self.step()) == 0.0 or any(each.is_behind(end) for each in self._followings.values()):
            if time.monotonic() > deadline_s:
                raise AskTimeout(f"projection {self._key.name} is not as far after {timeout_s} s")
            self._ear.wait(rest_s)

    def follow(self) -> None:
        """Apply whatever happens, until it is closed. Raises whatever `step` does; then it may be called again."""
        with self.hub.listening(EVERY, self._ear):
            while not self._closed:
                self._ear.wait(self.step())
                self._ear.clear()  # what is said during a step counts

    def close(self) -> None:
        """End `follow`, for good; from any thread."""
        self._closed = True
        self._ear.set()

    def rebuild(self) -> None:
        """Begin to build it anew, unless that has begun; what is there is read and kept until the new one is as far."""
        with self._transaction() as connection:
            found = projections.generations(connection, self._key)
            if found and found[-1].live and found[-1].version == self._projection.version:
                projections.begin(connection, self._key, found[-1].number + 1, self._projection.version)

    @contextmanager
    def reading(self, timeout_s: float = CONNECTION_S) -> Iterator[tuple[Rows, int]]:
        """Open a transaction that sees one instant; yield its connection and the generation to read.

        Raises Unavailable: the first one is still being built.
        """
        tenant = self._principal.tenant
        with self._parts.store.tenants(Kind.VIEW, tenant, one_instant=True, timeout_s=timeout_s) as connection:
            found = projections.generations(connection, self._key)
            live = next((each for each in found if each.live), None)
            if live is None:
                raise Unavailable(f"projection {self._key.name} is being built; nothing was done")
            yield connection, live.number

    # --- within the house

    @contextmanager
    def _transaction(self) -> Iterator[Rows]:
        with self._parts.store.tenants(Kind.PROJECT, self._principal.tenant) as connection:
            yield connection

    def _generations(self) -> list[Generation]:
        """Return them, after beginning one of this version if all there are of lower ones."""
        with self._transaction() as connection:
            found = projections.generations(connection, self._key)
            if any(each.version >= self._projection.version for each in found):
                return found
            number = found[-1].number + 1 if found else 1
            projections.begin(connection, self._key, number, self._projection.version)
            return projections.generations(connection, self._key)

    def _following(self, generation: Generation) -> Following:
        known = self._followings.get(generation.number)
        return known or Following(self._parts, self._principal, generation.position)

    def _advance_unless_torn(self, generation: Generation) -> float:
        """Leave one where it is that what is archived was before: the one that is built beside it takes its place."""
        try:
            return self._advance(generation)
        except Archived:
            return LOOK_AGAIN_S

    def _advance(self, generation: Generation) -> float:
        following = self._followings[generation.number]
        following.position = generation.position  # as it is kept: others move it too
        changes = following.look(None)
        if following.position != generation.position and not self._apply(generation, following.position, changes):
            return 0.0
        rest_s = following.rest_s()
        if rest_s > 0.0 and not generation.live and not self._enliven(generation):
            return 0.0
        return rest_s

    def _apply(self, generation: Generation, to: Position, changes: Sequence[FeedChange]) -> bool:
        """Apply them and move the place, in one transaction; False: somebody else did."""
        with self._transaction() as connection:
            if not projections.move(connection, self._key, generation, to):
                return False
            if changes:
                self._projection.apply(connection, generation.number, changes)
        return True

    def _enliven(self, generation: Generation) -> bool:
        with self._transaction() as connection:
            return projections.enliven(connection, self._key, generation.number)

    def _clear(self, generation: Generation) -> float:
        """Delete a slice of what nobody reads any more, and with the last one its generation."""
        with self._transaction() as connection:
            if not projections.hold(connection, self._key, generation.number):
                return LOOK_AGAIN_S
            if self._projection.clear(connection, generation.number):
                return 0.0
            projections.forget(connection, self._key, generation.number)
            return LOOK_AGAIN_S
