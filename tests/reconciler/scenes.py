"""Differences planted in a real database, and what a runtime made of them: shared by the tests that mend and mutate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, LiteralString

import msgspec
import psycopg
from child import SOON_S, eventually
from databases import Database
from durable import Actor, await_blocked, await_gone, row_lock
from psycopg import Connection, sql
from psycopg.rows import TupleRow
from stage import context

from domainflow import CampaignSpec, Principal, Runtime
from domainflow.actors.campaign.evolution import FOLD_VERSION
from domainflow.actors.dynamic import StopChild
from domainflow.actors.reconciler.messages import Action, Activate, Planned
from domainflow.operations import CampaignHandle
from domainflow.settings import Settings
from domainflow.spec import PatternSource
from domainflow.store import reconcile_sql, work_items
from domainflow.store.observed import Observed
from domainflow.store.work_items import Claim
from domainflow.vocabulary import PatternType, Phase

ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")
SETTINGS: Final = Settings(sweep_s=0.05, tick_s=0.02, lease_s=600.0)  # nobody waits for a lease
SPEC: Final = CampaignSpec(
    name="shops",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=3, character_set="0123456789", constant="x", tld="com",
        count=100,
    ),
    batch_size=1,
    skip=tuple(phase for phase in Phase if phase is not Phase.DOMAIN_GENERATION),
    retries=0,
)  # fmt: skip

PLANNED: Final[LiteralString] = """
select body from domainflow.event where type = 'reconciler.planned' order by recorded_at, stream, version
"""
OWNER: Final[LiteralString] = "select owner::text from domainflow.head where stream = %s"
STATE: Final[LiteralString] = "select state from domainflow.work_item where id = %s"
# A row that Postgres raises over, to whoever reads it.
UNREADABLE: Final[LiteralString] = """
create policy poison on domainflow.event as restrictive for select to domainflow_upkeep
  using (stream <> {stream} or 1 / (version - version) = 0)
"""
READABLE: Final[LiteralString] = "drop policy poison on domainflow.event"
LANES: Final[LiteralString] = "select 1 from domainflow.lane for update"
HEAD: Final[LiteralString] = "select 1 from domainflow.head where stream = %s for update"
LOSE_BLOCKED: Final[LiteralString] = """
with blocked as materialized (
  select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
)
select pid from blocked where pg_terminate_backend(pid)
"""
# A byte that msgpack never uses: who starts from it cannot. It stands before the first event, where none is mended.
SPOIL: Final[LiteralString] = """
insert into domainflow.snapshot (stream, tenant, version, fold_version, state)
select stream, tenant, 0, %s, '\\xc1' from domainflow.head where stream = %s
"""


@contextmanager
def opened(
    database: Database, home: Path, *, campaigns: bool = True, settings: Settings = SETTINGS
) -> Iterator[Runtime]:
    """A runtime without workers: what is claimed is claimed by the test."""
    with Runtime.open(database.dsn, home=home, settings=settings, campaigns=campaigns, work=False) as runtime:
        yield runtime


def queued(database: Database, home: Path, number: int = 1, *, who: Principal = ALICE) -> list[str]:
    """So many campaigns that are to be executed, and that nobody owns; their ids, in their order."""
    with opened(database, home, campaigns=False) as runtime:
        return sorted(started(runtime, who).id for _ in range(number))


def started(runtime: Runtime, who: Principal = ALICE) -> CampaignHandle:
    handle = runtime.as_principal(who).create_campaign(SPEC)
    handle.start()
    return handle


def running(database: Database, runtime: Runtime) -> str:
    """A campaign that this runtime executes; its id."""
    handle = started(runtime)
    eventually(lambda: len(ask(database, "select 1 from domainflow.work_item")) > 0, "it has begun")
    return handle.id


def ask(database: Database, query: LiteralString, *values: object) -> list[tuple[object, ...]]:
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        cursor = connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


def owner(database: Database, campaign: str) -> object:
    return ask(database, OWNER, f"campaign/{campaign}")[0][0]


def records(database: Database) -> list[Planned]:
    """Every plan that was recorded, in order."""
    return [msgspec.msgpack.decode(body, type=Planned) for (body,) in ask(database, PLANNED) if isinstance(body, bytes)]


def plans(database: Database) -> list[Action]:
    """Every action of them."""
    return [action for record in records(database) for action in record.actions]


def in_quarantine(database: Database) -> list[tuple[object, ...]]:
    return ask(database, "select stream from domainflow.quarantine where until > clock_timestamp()")


def activations(database: Database, campaign: str) -> int:
    """How often it was recorded that its actor is to be started."""
    stream = f"campaign/{campaign}"
    return sum(isinstance(action, Activate) and action.wanted.stream == stream for action in plans(database))


def claim(actor: Actor, number: int = 1) -> list[Claim]:
    return work_items.claim(actor.upkeep, actor.runtime, number)


def happens(condition: Callable[[], bool], *, within_s: float) -> bool:
    """Whether it does. For what must not: what it waits for is no race, and a slow machine only makes it harder."""
    try:
        eventually(condition, "", within_s=within_s)
    except AssertionError:
        return False
    return True


@contextmanager
def unreadable(database: Database, stream: str) -> Iterator[None]:
    """Postgres raises whenever somebody reads the events of a stream."""
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(UNREADABLE).format(stream=sql.Literal(stream)))
        try:
            yield
        finally:
            connection.execute(READABLE)


class CountedLooks:
    """Looks as the reconciler does, and counts."""

    def __init__(self) -> None:
        self._observe = reconcile_sql.observe
        self._number = 0

    def __call__(self, connection: Connection[TupleRow], runtime: str, is_live: Callable[[str], bool]) -> Observed:
        self._number += 1
        return self._observe(connection, runtime, is_live)

    def await_more(self, number: int) -> None:
        """Wait for so many looks from now on."""
        enough = self._number + number
        eventually(lambda: self._number >= enough, "it looks")


# --- scenes with a guard, for the mutations


def acts_on_what_is_not_recorded(database: Database, home: Path, other: Actor) -> bool:
    """Whether an item of a dead runtime is put back while the record of that plan cannot be committed."""
    with opened(database, home) as runtime:
        running(database, runtime)
        (claimed,) = claim(other)
        with row_lock(database.admin_dsn, LANES) as blocker:
            other.die()
            await_blocked(database.admin_dsn, 1)
            early = happens(lambda: ask(database, STATE, claimed.id) == [(0,)], within_s=1.0)
            assert plans(database) == []
            blocker.rollback()
        eventually(lambda: ask(database, STATE, claimed.id) == [(0,)], "it is put back")
        assert plans(database) != []
    return early


def tries_a_poisoned_stream(database: Database, home: Path, *, most: int) -> int:
    """How often the actor of a stream that cannot be read is started before it is left alone; `most`: enough seen."""
    poisoned, good = queued(database, home, 2)
    ask(database, SPOIL, FOLD_VERSION, f"campaign/{poisoned}")
    with opened(database, home) as runtime:
        eventually(
            lambda: in_quarantine(database) != [] or activations(database, poisoned) >= most,
            "it is left alone, or started for ever",
        )
        tried = activations(database, poisoned)
        eventually(lambda: owner(database, good) == runtime.id, "others go on")
        again = started(
            runtime
        )  # by the time that this one has lost its actor and has it again, the other was passed by
        stop(runtime, again.id)
        eventually(lambda: runtime._parts.find_campaign(again.id) is not None, "others are revived")  # noqa: SLF001 - as its reconciler looks
        assert activations(database, poisoned) == tried or tried >= most
    return tried


def has_actor(runtime: Runtime, campaign: str) -> bool:
    return runtime._parts.find_campaign(campaign) is not None  # noqa: SLF001 - as its reconciler sees it


def stop(runtime: Runtime, campaign: str) -> None:
    """End a campaign's actor, behind everybody's back."""
    supervisor = runtime._parts.find("campaigns")  # noqa: SLF001 - nobody stops an actor by public words
    assert supervisor is not None
    assert supervisor.ask(StopChild(campaign), context(), timeout_s=SOON_S) is True


def is_mended_after_a_failure(database: Database, home: Path) -> bool:
    """Whether an orphan that could not be claimed at first is taken over later."""
    (orphan,) = queued(database, home)
    with row_lock(database.admin_dsn, HEAD, f"campaign/{orphan}") as blocker, opened(database, home) as runtime:
        await_blocked(database.admin_dsn, 1)
        ((lost,),) = ask(database, LOSE_BLOCKED)
        assert isinstance(lost, int)
        await_gone(database.admin_dsn, lost)  # its claim has failed, and may be tried again
        blocker.rollback()
        return happens(lambda: owner(database, orphan) == runtime.id, within_s=10.0)
