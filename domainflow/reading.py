"""What one principal may read of one campaign: where it stands, what it is made of, what has changed.

From Postgres alone, and nothing is decided; of what was folded some is kept (`folds`). Each read waits for a connection
as long as it is told, and a look that has a deadline for what is left until then.
"""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.events import Listed
from domainflow.errors import NotFound
from domainflow.folds import Fold
from domainflow.security import gate
from domainflow.security.context import Principal
from domainflow.store import archives, campaigns, leases, streams
from domainflow.store.campaigns import Summary
from domainflow.store.pool import CONNECTION_S
from domainflow.store.transaction import Kind
from domainflow.tree import Parts
from domainflow.views import Change, View, change, view
from domainflow.vocabulary import CampaignStatus

LOOK_S: Final = 1.0  # what a look may wait for a connection however little time is left: a wait of 0 s is one look
PAGE: Final = 500  # changes
ENDED: Final = frozenset({CampaignStatus.COMPLETED, CampaignStatus.FAILED, CampaignStatus.CANCELLED})
STILL: Final = ENDED | {CampaignStatus.PAUSED}


class Seen(NamedTuple):
    """What a look for changes found."""

    changes: list[Change]
    status: str
    ended: bool  # with these changes; none will follow
    full: bool  # there may be more at once


class Rest(NamedTuple):
    """Whether a campaign has come to rest."""

    status: str
    view: View | None  # None: it has not


class Reading:
    """Reads one campaign in somebody's name."""

    def __init__(self, parts: Parts, principal: Principal, id_: str) -> None:
        """Nothing is read yet."""
        self._parts = parts
        self._principal = principal
        self._id = id_
        self._stream = campaign.stream_of(id_)

    def summary(self, *, deleted: bool = False, timeout_s: float = CONNECTION_S) -> Summary:
        """Return how a list shows it, `deleted` or not. Raises NotFound, also to whoever may not know of it."""
        with self._parts.store.tenants(Kind.VIEW, self._principal.tenant, timeout_s=timeout_s) as connection:
            return self._seen(campaigns.find(connection, self._id, deleted=deleted))

    def view(self, deadline_s: float | None = None) -> View:
        """Return what is durable now. Raises NotFound."""
        summary, fold, held_by = self._fold(_left_s(deadline_s))
        return view(summary, fold.state, fold.points, version=fold.version, held_by=held_by)

    def listed(self) -> Listed | None:
        """Return what its list came to; None: a pattern. Raises NotFound."""
        _, fold, _ = self._fold(CONNECTION_S)
        return fold.state.spec.listed

    def look(self, after: int, deadline_s: float | None) -> Seen:
        """Return up to PAGE changes above version `after` that are there, in order.

        Raises NotFound; Archived: some after it are not. From 0 on an archived campaign begins with its seal.
        """
        tenant, left_s = self._principal.tenant, _left_s(deadline_s)
        # At one instant: a campaign that is set going again in between would have ended with what came after its end.
        with self._parts.store.tenants(Kind.VIEW, tenant, one_instant=True, timeout_s=left_s) as connection:
            summary = self._seen(campaigns.find(connection, self._id))
            page = streams.events(connection, self._stream, after=after, limit=PAGE)
            archive = archives.of(connection, self._stream)
            if archive is not None and after < archive.version - 1:
                if after:
                    raise archive.error("read on from version 0, and the seal comes first")
                page = streams.events(connection, self._stream, after=archive.version - 1, limit=PAGE)
        last = page[-1].version if page else after
        ended = summary.status in ENDED and summary.version <= last
        return Seen([change(recorded) for recorded in page], summary.status, ended, full=len(page) == PAGE)

    def rest(self, deadline_s: float) -> Rest:
        """Return whether it is completed, failed, cancelled or paused. Raises NotFound."""
        status = self.summary(timeout_s=_left_s(deadline_s)).status
        if status not in STILL:
            return Rest(status, None)
        view = self.view(deadline_s)  # it may have been set going again since
        return Rest(view.status, view if view.status in STILL else None)

    def _fold(self, timeout_s: float) -> tuple[Summary, Fold, str | None]:
        with self._parts.store.tenants(Kind.VIEW, self._principal.tenant, timeout_s=timeout_s) as connection:
            summary = self._seen(campaigns.find(connection, self._id))
            standing = leases.standing(connection, self._stream)
            assert standing is not None  # noqa: S101 - the campaign was found by its head
            return summary, self._parts.folds.at(connection, self._stream, standing), standing.held_by

    def _seen(self, found: Sequence[Summary]) -> Summary:
        if not found or not gate.visible(self._principal, tenant=found[0].tenant, owner=found[0].principal):
            raise NotFound(f"there is no campaign {self._id}")
        return found[0]


def _left_s(deadline_s: float | None) -> float:
    return CONNECTION_S if deadline_s is None else max(deadline_s - time.monotonic(), LOOK_S)
