"""Archiving by hand: what retention does of itself, in somebody's name, for the campaigns of a tenant.

Waits; for threads of the host.
"""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from domainflow.actors.campaign.messages import SealCampaign
from domainflow.actors.refold import log_fault
from domainflow.delivery import Delivery
from domainflow.errors import CommandRejected, Conflict, Corrupt, Denied, NotFound
from domainflow.ids import new_id
from domainflow.security.context import Context, Principal
from domainflow.store import archives
from domainflow.store.archives import Archive, Due
from domainflow.store.faults import Fault, Kind
from domainflow.store.transaction import Kind as TransactionKind
from domainflow.tree import Parts

SEAL_S: Final = 60.0
DAY_S: Final = 86_400.0
DUE_AT_ONCE: Final = 100


class Archiving:
    """Archives for one principal, who may."""

    def __init__(self, parts: Parts, principal: Principal) -> None:
        """Use `Operations.archive`."""
        self._parts = parts
        self._principal = principal
        self._archiver = parts.archiver

    def archived(self, older_than_days: float) -> Iterator[Archive]:
        """Archive one after the other, and yield each once its events are gone. Raises OSError, Unavailable."""
        self._archiver.clear_left()
        for due in self._due(older_than_days):
            try:
                archive = self._archive(due)
            except Corrupt as error:  # the others are archived all the same
                log_fault(Fault(Kind.SEAL_DIFFERS, due.stream, str(error)))
                continue
            if archive is not None:
                yield archive

    def _archive(self, due: Due) -> Archive | None:
        sealed = due if self._archiver.is_sealed(due) else self._sealed(due)
        return self._archiver.archive(sealed) if sealed else None

    def _due(self, older_than_days: float) -> Iterator[Due]:
        older_than_s, tenant = older_than_days * DAY_S, self._principal.tenant
        look = archives.Look((), after="")
        while True:
            with self._parts.store.upkeep(TransactionKind.SWEEP) as connection:
                look = archives.due(
                    connection, older_than_s=older_than_s, after=look.after, tenant=tenant, most=DUE_AT_ONCE
                )
            yield from look.due
            if not look.after:
                return

    def _sealed(self, due: Due) -> Due | None:
        """Have a campaign sealed where it was seen to stand; None: it may not be, or has moved."""
        context = Context(principal=self._principal, correlation_id=new_id(), expected_version=due.version)
        try:
            sealed = Delivery(self._parts, due.stream).deliver(SealCampaign(), context, timeout_s=SEAL_S)
        except (Conflict, CommandRejected, Denied, NotFound):
            return None
        return replace(due, version=sealed.version, sealed=True)
