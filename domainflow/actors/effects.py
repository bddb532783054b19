"""What a core wants to happen besides its events: durable effects ride in the commit, outside ones follow it.

Values only; the shell splits and performs them.
"""

from typing import Final, TypeAlias

from msgspec import Struct

from domainflow.store.port import CampaignMark, Ledger, OpenItem

ADMISSION: Final = "upkeep/admission"
CLAIMER: Final = "work/claimer"


class Wake(Struct, frozen=True, gc=False):
    """There may be something to do: a hint, since everybody looks by themselves too."""


class Open(Struct, frozen=True, gc=False):
    """Durable: insert work items of the deciding campaign."""

    items: tuple[OpenItem, ...]


class Account(Struct, frozen=True, gc=False):
    """Durable: delete these done work items; all of them or the commit is refused."""

    items: tuple[int, ...]


class Shift(Struct, frozen=True, gc=False):
    """Durable: change the state of the campaign's open work items."""

    ledger: Ledger


class Mark(Struct, frozen=True, gc=False):
    """Durable: change the campaign's read model row."""

    mark: CampaignMark


class Picture(Struct, frozen=True, gc=False):
    """Durable: take a snapshot, whether one is due or not."""


class Tell(Struct, frozen=True, gc=False):
    """Outside: signal another actor, if it is there; whoever needs to be sure says it again in `resume`."""

    to: str
    message: Wake


Durable: TypeAlias = Open | Account | Shift | Mark | Picture
Outside: TypeAlias = Tell
Effect: TypeAlias = Durable | Outside
