"""What a command would make of a stream: the candidate state and everything that rides in its commit.

Pure but for hashing; the shell commits it or drops it.
"""

from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from domainflow.actors.codec import version_of
from domainflow.actors.effects import Account, Effect, Mark, Open, Picture, Shift, Tell
from domainflow.actors.rules import AuditContext, Birth, Rules, encode, tag_of
from domainflow.actors.snapshots import NEW, Behind
from domainflow.errors import Corrupt
from domainflow.store import chained
from domainflow.store.chain import GENESIS
from domainflow.store.port import (
    BoxAnswer,
    CampaignMark,
    Item,
    Key,
    Ledger,
    Loaded,
    NewEvent,
    OpenItem,
    Owned,
)

FIRST_EPOCH: Final = 1


@dataclass
class Stream:
    """Where an actor's stream stands, as far as it is durable and known."""

    name: str
    tenant: str = ""  # empty: not born yet
    version: int = 0
    hash: bytes = GENESIS
    epoch: int | None = None
    behind: Behind = NEW

    def owned_by(self, tenant: str) -> Owned | None:
        """Return under which epoch what is said of this stream to its tenant is true; None: it has no owner to be."""
        return Owned(self.name, self.epoch) if self.epoch is not None and self.tenant == tenant else None

    def load(self, loaded: Loaded) -> None:
        """Stand where the store says."""
        self.tenant, self.version, self.hash = loaded.tenant, loaded.version, loaded.hash
        self.epoch = loaded.epoch
        self.behind = Behind(snapshot_bytes=len(loaded.snapshot or b"")).then(loaded.events)

    def advance(self, draft: "Draft") -> None:
        """Stand where a committed draft left it."""
        self.tenant = draft.tenant
        self.version += len(draft.events)
        self.hash = draft.hash
        self.behind = draft.behind


class Draft(Struct):
    """A candidate."""

    tenant: str
    state: Struct
    status: str | None
    fold_version: int
    campaign: str | None
    events: tuple[Struct, ...] = ()
    moves: tuple[tuple[str, str], ...] = ()
    opens: tuple[OpenItem, ...] = ()
    accounts: tuple[int, ...] = ()
    ledger: Ledger | None = None
    mark: CampaignMark | None = None
    pictured: bool = False
    outside: tuple[Tell, ...] = ()
    hash: bytes = GENESIS
    behind: Behind = NEW

    @classmethod
    def of(
        cls,
        rules: Rules[Any, Any, Any],  # any kind of actor's
        state: Struct,
        events: tuple[Struct, ...],
        *,
        stream: Stream,
        tenant: str,
    ) -> "Draft":
        """Evolve a candidate through `events` and sort what its core wants to happen."""
        draft = cls(
            tenant=tenant,
            state=state,
            status=rules.status(state),
            fold_version=rules.fold_version,
            campaign=rules.campaign(stream.name),
            events=events,
        )
        for event in events:
            draft.state = rules.evolve(draft.state, event)
            draft.move(rules.status(draft.state))
            for effect in rules.react(draft.state, event):
                draft.take(effect)
        return draft

    def move(self, status: str | None) -> None:
        """Note a change of status."""
        if status is not None and self.status is not None and status != self.status:
            self.moves += ((self.status, status),)
        self.status = status

    def take(self, effect: Effect) -> None:
        """Sort one effect."""
        match effect:
            case Open(items=items):
                self.opens += items
            case Account(items=items):
                self.accounts += items
            case Shift(ledger=ledger):
                if self.ledger not in {None, ledger}:
                    raise Corrupt(f"one command both {self.ledger}s and {ledger}s the ledger")
                self.ledger = ledger
            case Mark(mark=mark):
                self.mark = mark
            case Picture():
                self.pictured = True
            case Tell():
                if effect not in self.outside:
                    self.outside += (effect,)


def to_item(  # noqa: PLR0913 - everything that rides in one commit
    draft: Draft,
    stream: Stream,
    *,
    audit: AuditContext,
    now_us: int,
    key: Key | None,
    box: BoxAnswer | None,
) -> Item:
    """Return the draft as a commit item, chained to where the stream stands."""
    events = _chain(draft.events, stream.name, draft.tenant, (stream.version, stream.hash), encode(audit), now_us)
    draft.behind, snapshot = stream.behind.then(events), None
    if draft.pictured or draft.behind.is_due:
        snapshot = encode(draft.state)
        draft.behind = Behind(snapshot_bytes=len(snapshot))
    return Item(
        stream=stream.name,
        tenant=draft.tenant,
        expected=stream.version,
        previous=stream.hash,
        epoch=stream.epoch,
        status=draft.status,
        moves=draft.moves,
        events=events,
        fold_version=draft.fold_version,
        snapshot=snapshot,
        campaign=draft.campaign,
        opens=draft.opens,
        accounts=draft.accounts,
        ledger=draft.ledger,
        mark=draft.mark,
        key=key,
        box=box,
    )


def chain_birth(birth: Birth, *, tenant: str, audit: AuditContext, now_us: int) -> Item:
    """Return the commit item of a stream that comes to be."""
    return Item(
        stream=birth.stream,
        tenant=tenant,
        expected=0,
        previous=GENESIS,
        epoch=FIRST_EPOCH,
        status=birth.status,
        events=_chain((birth.event,), birth.stream, tenant, (0, GENESIS), encode(audit), now_us),
        campaign=birth.row.id,
        birth=birth.row,
    )


def _chain(  # noqa: PLR0913, PLR0917 - what the chain covers
    events: tuple[Struct, ...], stream: str, tenant: str, start: tuple[int, bytes], context: bytes, now_us: int
) -> tuple[NewEvent, ...]:
    version, previous = start
    chain: list[NewEvent] = []
    for event in events:
        version += 1
        chain.append(
            chained.event(
                stream=stream,
                version=version,
                previous=previous,
                tenant=tenant,
                recorded_at_us=now_us,
                type_=tag_of(event),
                type_version=version_of(event),
                context=context,
                body=encode(event),
            )
        )
        previous = chain[-1].hash
    return tuple(chain)
