"""The reconciler's words: what can be done about a difference, and what says so. Recorded as they stand."""

from typing import TypeAlias

from msgspec import Struct

from domainflow.store.observed import Tried, Wanted


class Activate(Struct, frozen=True, tag="reconciler.activate"):
    """Have a campaign's actor alive here."""

    wanted: Wanted

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return self.wanted.tenant


class Rescue(Struct, frozen=True, tag="reconciler.rescue"):
    """Put back the work items that a dead runtime had claimed."""

    tenant: str
    runtime: str
    items: tuple[int, ...]


class Quarantine(Struct, frozen=True, tag="reconciler.quarantine"):
    """Leave a stream alone for a while: what was tried came to nothing each time."""

    tenant: str
    tried: Tried
    for_s: float


Action: TypeAlias = Activate | Rescue | Quarantine


class Planned(Struct, frozen=True):
    """The record of one look, for one tenant."""

    actions: tuple[Action, ...]
