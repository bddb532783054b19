"""What is planted for the monitor to find, and mended again, in a real database; shared by its tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, LiteralString

from child import eventually
from databases import Database
from durable import Actor, item, new_uuid
from msgspec import Struct
from msgspec.structs import replace
from reconciler.scenes import ALICE, ask, opened

from domainflow import Principal, Runtime
from domainflow.actors.campaign.events import PhaseCompleted
from domainflow.actors.monitor.messages import AlertKind
from domainflow.actors.rules import AuditContext, encode, tag_of
from domainflow.settings import Settings
from domainflow.store import commands, feed, leases, projections, reconcile_sql, work_items
from domainflow.store.chain import link
from domainflow.store.commands import Boxed
from domainflow.store.port import Item, NewEvent, OpenItem
from domainflow.store.projections import Key
from domainflow.store.transaction import Kind, transaction
from domainflow.views import AlertView
from domainflow.vocabulary import Phase

# What is planted stands still for as long as the test likes; what moves is not to be taken for it, however slow it is.
QUICK: Final = Settings(
    sweep_s=0.05,
    tick_s=0.02,
    lease_s=600.0,
    monitor_s=0.05,
    stall_s=0.1,
    held_s=0.1,
    lag_s=3600.0,
    verify_events_per_s=0,
)
VERIFYING: Final = replace(QUICK, stall_s=3600.0, held_s=3600.0, verify_events_per_s=1_000_000)
RAISED: Final[LiteralString] = "select count(*) from domainflow.event where type = 'monitor.alert_raised'"

WHO: Final = encode(AuditContext(principal="system", roles=(), correlation="", command="planted", decision="planted"))

Mend = Callable[[], object]


def saying(bare: Item, said: Struct) -> Item:
    """The item with a real event of its stream in place of its only one."""
    (event,) = bare.events
    words = {name: getattr(event, name) for name in ("version", "recorded_at_us", "type_version")}
    words["context"] = WHO
    type_, body = tag_of(said), encode(said)
    hash_ = link(stream=bare.stream, previous=bare.previous, tenant=bare.tenant, type_=type_, body=body, **words)
    return replace(bare, events=(NewEvent(type=type_, body=body, hash=hash_, **words),))


class Planted:
    """A campaign of another runtime, which lives, owns it and does nothing."""

    def __init__(self, actor: Actor, *, opens: int = 0) -> None:
        self.actor = actor
        self.id = new_uuid()
        self.stream = f"campaign/{self.id}"
        items = tuple(OpenItem(1, 1, n, 10 * n, 10 * n + 10, parked=False) for n in range(opens))
        self.last = item(self.stream, epoch=1, status="running", campaign=self.id, opens=items)
        actor.commit(self.last)
        epoch = leases.claim_stream(actor.upkeep, actor.runtime, self.stream)
        assert epoch is not None
        self.epoch = epoch

    def move(self, status: str) -> None:
        """Have it move on."""
        self._commit(item(self.stream, self.last, epoch=self.epoch, status=status, campaign=self.id))

    def complete_a_phase(self) -> None:
        """Have its last event say so; nothing follows."""
        completed = PhaseCompleted(phase=Phase.DOMAIN_GENERATION)
        self._commit(saying(item(self.stream, self.last, epoch=self.epoch, status="running"), completed))

    def _commit(self, following: Item) -> None:
        self.actor.commit(following)
        self.last = following


def campaign_still(other: Actor, _: Database) -> tuple[str, Mend]:
    planted = Planted(other)
    return planted.stream, lambda: planted.move("paused")


def phase_not_started(other: Actor, _: Database) -> tuple[str, Mend]:
    planted = Planted(other)
    planted.complete_a_phase()
    return planted.stream, lambda: planted.move("completed")


def work_not_taken(other: Actor, _: Database) -> tuple[str, Mend]:
    planted = Planted(other, opens=2)
    return planted.stream, lambda: planted.move("paused")


def work_held(other: Actor, _: Database) -> tuple[str, Mend]:
    planted = Planted(other, opens=1)
    assert len(work_items.claim(other.upkeep, other.runtime, 1)) == 1

    def mend() -> None:
        planted.move("paused")  # or it is ready, and nobody takes it
        assert work_items.give_back(other.upkeep, other.runtime, but=[]) == 1

    return planted.stream, mend


def command_overdue(other: Actor, _: Database) -> tuple[str, Mend]:
    planted = Planted(other)
    planted.move("paused")
    boxed = Boxed(new_uuid(), planted.stream, "acme", b"c", b"x")
    with transaction(other.app, Kind.TOOL, tenants=["acme"]):
        commands.put(other.app, boxed, deadline_s=-1.0)
    return planted.stream, lambda: commands.withdraw(other.upkeep, boxed.id, b"answered")


def projection_behind(other: Actor, _: Database) -> tuple[str, Mend]:
    key = Key("acme", "totals")
    other.commit(item("s"))  # recorded long ago

    def as_the_host(work: Callable[[], object]) -> None:
        with transaction(other.app, Kind.TOOL, tenants=["acme"]):
            work()

    as_the_host(lambda: projections.begin(other.app, key, 1, version=1))
    as_the_host(lambda: projections.enliven(other.app, key, 1))

    def catch_up() -> None:
        (generation,) = projections.generations(other.app, key)
        assert projections.move(other.app, key, generation, feed.end(other.app))

    return "projection/totals", lambda: as_the_host(catch_up)


def actor_cannot_live(other: Actor, database: Database) -> tuple[str, Mend]:
    planted = Planted(other)
    planted.move("queued")
    leases.release_stream(other.upkeep, other.runtime, planted.stream)  # whoever takes it over cannot read its events

    def mend() -> None:
        ask(database, "update domainflow.head set status = 'paused' where stream = %s", planted.stream)
        reconcile_sql.release(other.upkeep, planted.stream)

    return planted.stream, mend


STALLS: Final[dict[AlertKind, Callable[[Actor, Database], tuple[str, Mend]]]] = {
    AlertKind.CAMPAIGN_STILL: campaign_still,
    AlertKind.PHASE_NOT_STARTED: phase_not_started,
    AlertKind.WORK_NOT_TAKEN: work_not_taken,
    AlertKind.WORK_HELD: work_held,
    AlertKind.COMMAND_OVERDUE: command_overdue,
    AlertKind.ACTOR_CANNOT_LIVE: actor_cannot_live,
    AlertKind.PROJECTION_BEHIND: projection_behind,
}


@contextmanager
def watching(database: Database, home: Path, settings: Settings = QUICK) -> Iterator[Runtime]:
    """A runtime whose monitor looks often."""
    with opened(database, home, settings=settings) as runtime:
        yield runtime


def open_alerts(runtime: Runtime, who: Principal = ALICE) -> list[AlertView]:
    return runtime.as_principal(who).alerts()


def the_alert(runtime: Runtime, kind: AlertKind, who: Principal = ALICE) -> AlertView:
    """Wait for the one of its kind, and for it alone."""
    eventually(lambda: [alert.kind for alert in open_alerts(runtime, who)] == [kind], f"{kind} is raised")
    return open_alerts(runtime, who)[0]


def await_none(runtime: Runtime, who: Principal = ALICE) -> None:
    eventually(lambda: open_alerts(runtime, who) == [], "it is resolved")


def raisings(database: Database) -> int:
    return int(str(ask(database, RAISED)[0][0]))


class Looks:
    """Counts the looks of every monitor of this process."""

    def __init__(self, real: Callable[..., object]) -> None:
        self._real = real
        self.number = 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.number += 1
        return self._real(*args, **kwargs)

    def await_more(self, number: int) -> None:
        """Wait for so many from now on."""
        enough = self.number + number
        eventually(lambda: self.number >= enough, "it looks")
