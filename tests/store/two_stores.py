"""Two stores side by side: the same is done to both, and what they answer and hold is compared.

A pair is one runtime on each store, under one id. What a story needs to know of the state (where a stream stands, which
items are in hand) it reads from the memory store: that is the model.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

import psycopg
from both import Both, OnMemory, OnPostgres
from databases import Database
from durable import EMPTY, item
from hypothesis.stateful import RuleBasedStateMachine, invariant
from msgspec.structs import replace

from domainflow.errors import StoreRefused
from domainflow.store.commit import BarredError
from domainflow.store.memory.tables import MemoryStore, State
from domainflow.store.port import BoxAnswer, Item, Key, OpenItem, Owned
from domainflow.store.streams import Head

CAMPAIGNS: Final = tuple(str(UUID(int=0xC0 + n)) for n in range(3))
REFUSED: Final = "the store refused it for what it says"
BARRED: Final = "its generation is over"


class UnlikeError(AssertionError):
    """The stores did not behave alike."""


class Pair(NamedTuple):
    """One runtime on each store."""

    postgres: OnPostgres
    memory: OnMemory


class TwoStores(RuleBasedStateMachine):
    """Both stores, empty at first, and two runtimes on each."""

    database: ClassVar[Database]

    def __init__(self) -> None:
        super().__init__()
        with psycopg.connect(self.database.admin_dsn, autocommit=True) as admin:
            admin.execute(EMPTY)
        self.store = MemoryStore()
        self.pairs = [self.join(), self.join()]
        self.gone: list[Pair] = []
        self.commands = [str(UUID(int=0xB0))]  # the first is never put in
        self.steps = 0

    def join(self) -> Pair:
        postgres = OnPostgres(self.database)
        return Pair(postgres, OnMemory(self.store, postgres.runtime))

    def teardown(self) -> None:
        for pair in self.pairs + self.gone:
            pair.postgres.close()

    def alike(self, who: int, act: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - whatever the act answers
        """Do it on both stores, the model last; return what both answered."""
        found, expected = (_answer(side, act) for side in self.pairs[who])
        if found != expected:
            raise UnlikeError(f"Postgres: {found}; memory: {expected}")
        return expected

    # --- what items are made of

    def head(self, stream: str) -> Head | None:
        return self.store.tables.heads.get(stream)

    def next(self, stream: str, **rest: Any) -> Item:  # noqa: ANN401 - the other fields of an Item
        self.steps += 1
        return item(stream, self.head(stream), body=b"%d" % self.steps, **rest)  # type: ignore[arg-type]  # it is one's end

    def move(self, campaign: str, status: str, *, twist: str | None = None) -> Item:
        stream = f"campaign/{campaign}"
        head = self.head(stream)
        epoch = head.epoch if head else 1
        tenant = "other" if twist == "tenant" else "acme"
        made = self.next(stream, tenant=tenant, epoch=epoch, status=status, campaign=campaign)
        match twist:
            case "version":
                return replace(made, expected=made.expected + 1)
            case "hash":
                return replace(made, previous=b"\1" * 32)
            case "epoch":
                return replace(made, epoch=(epoch or 0) + 1)
            case "no epoch":
                return replace(made, epoch=None)
        return made

    def ride(self, made: Item, what: str | None, n: int) -> Item:
        """Put something of a commit's other cargo into an item."""
        match what:
            case "key":
                key = Key(principal="alice", key=f"k{n}", command_hash=b"c%d" % (self.steps % 2), answer=made.hash)
                return replace(made, key=key)
            case "box":
                return replace(made, box=BoxAnswer(self.commands[n % len(self.commands)], made.hash))
            case "snapshot":
                return replace(made, snapshot=made.hash, fold_version=n)
            case "opens":
                batches = range(2 * n, 2 * n + 3)
                return replace(
                    made, opens=tuple(OpenItem(1, 1, b, 10 * b, 10 * b + 10, parked=b % 5 == 4) for b in batches)
                )
            case "about":
                about = self.head(f"campaign/{CAMPAIGNS[n % 3]}")
                epoch = (about.epoch if about and about.epoch else 0) + (n == 3)
                return replace(made, about=Owned(f"campaign/{CAMPAIGNS[n % 3]}", epoch))
        return made

    def accounted(self, made: Item, n: int) -> Callable[[Both], Item]:
        """The item with up to `n` of its campaign's work to account: what is done, or else what is not."""
        mine = [each for each in self.store.tables.work_items.values() if each.campaign == made.campaign]
        batches = [each.batch for each in sorted(mine, key=lambda each: (each.state is not State.DONE, each.id))][:n]
        return lambda side: replace(made, accounts=tuple(side.item_id(str(made.campaign), b) for b in batches))

    @invariant()
    def same_rows(self) -> None:
        found, expected = (side.rows() for side in self.pairs[0])
        for table, rows in expected.items():
            if found[table] != rows:
                raise UnlikeError(f"{table}: Postgres has {found[table]}; memory has {rows}")


def _answer(side: Both, act: Callable[[Any], Any]) -> object:
    try:
        return act(side)
    except (psycopg.errors.IntegrityError, StoreRefused):
        return REFUSED
    except BarredError:
        return BARRED
