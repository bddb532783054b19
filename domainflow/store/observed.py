"""What the reconciler finds in the store that should be otherwise. Values only: rules read them, and know no SQL."""

from enum import StrEnum

from msgspec import Struct


class Why(StrEnum):
    """Why a campaign's actor should be started here."""

    ORPHANED = "orphaned"  # it should be executed, and no live runtime owns it
    UNTENDED = "untended"  # it should be executed, this runtime owns it, and no actor of it lives here
    UNACCOUNTED = "unaccounted"  # it is held or failed with batches done, and no actor of it lives to account them
    UNHEARD = "unheard"  # commands for it wait in the box, and no live runtime owns it


class Wanted(Struct, frozen=True):
    """A campaign whose actor should live and does not, with what says so."""

    stream: str
    tenant: str
    version: int
    status: str
    owner: str | None  # the runtime that owned it last
    waiting: int  # batches that are done, or commands in the box; 0 where neither is the reason
    why: Why


class LostClaim(Struct, frozen=True):
    """A work item that a runtime claimed which lives no more."""

    item: int
    tenant: str
    runtime: str


class Tried(Struct, frozen=True):
    """How often starting an actor has come to nothing of late, with its stream at one version."""

    stream: str
    version: int
    tries: int
    rounds: int  # of quarantine that it has been through
    reason: str


class Quarantined(Struct, frozen=True):
    """A stream that is left alone for a while."""

    stream: str
    tenant: str
    version: int
    rounds: int
    reason: str
    first_at: str  # ISO 8601, UTC
    until: str


class Observed(Struct, frozen=True):
    """All of it, as of one instant."""

    wanted: tuple[Wanted, ...] = ()
    lost: tuple[LostClaim, ...] = ()
    tried: tuple[Tried, ...] = ()
