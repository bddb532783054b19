"""The claimer: it starts though the store is away, and what a host lacks costs a batch time and nothing else."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import psycopg
import pytest
from child import eventually
from databases import Database
from durable import SOON_S, Actor, emptied, migrated
from msgspec.structs import replace
from shell_stage import SOURCE, actor, ask, house, reserve
from stage import Stage, context, nothing_to_revive

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.messages import BeginCampaign, StartCampaign
from domainflow.actors.children import ChildSpec
from domainflow.actors.claimer.actor import Claimer
from domainflow.actors.dynamic import StartChild, StopChild
from domainflow.actors.pattern import actor as pattern
from domainflow.engines.local import LocalEngine
from domainflow.security.context import system
from domainflow.spec import Words
from domainflow.store import pool, sources
from domainflow.store.postgres import Postgres

__all__ = ["actor", "emptied", "house", "migrated"]  # fixtures
NEWER: Final = """
with last as (
  select * from domainflow.event where stream like 'campaign/%' order by version desc limit 1
), written as (
  insert into domainflow.event (stream, version, tenant, recorded_at, type, type_version, context, body, hash)
  select stream, version + 1, tenant, recorded_at, type, 99, context, body, hash from last returning stream, version
)
update domainflow.head h set version = w.version from written w where h.stream = w.stream
"""


def engine(tell: Callable[[object], None]) -> LocalEngine:
    return LocalEngine(workers=1, on_result=tell, on_lost=tell)


def claim(house: Stage, store: Postgres, home: Path) -> None:
    """Have a claimer."""
    made = partial(
        Claimer,
        store,
        engine,
        runtime=house.actor.runtime,
        holds_lease=house.ask_lease,
        home=home,
        tick_s=0.05,
    )
    spec = ChildSpec(name="claimer", factory=made, dispatcher="pinned")
    house.find("actors").ask(StartChild(spec), context(system("")), timeout_s=SOON_S)


def test_it_starts_while_the_store_is_away(house: Stage, actor: Actor, home: Path) -> None:
    away = Postgres(lambda: actor.dsn, revive=nothing_to_revive, connections=1)
    away.close()
    claim(house, away, home)  # or its worker processes would be left behind
    assert house.find("actors").ask(StopChild("claimer"), context(system("")), timeout_s=SOON_S) is True


def a_campaign_on_words(house: Stage) -> None:
    """One that runs, and whose list is not stored."""
    command = reserve(20)
    words = Words(sha256="0" * 64, words=20, constant="", tlds=(".com",))
    command = replace(command, draft=replace(command.draft, source=words))
    ask(house.put_on(pattern.RULES, SOURCE, "source"), command)
    stream = campaign.stream_of(command.campaign)
    ref = house.put_on(campaign.RULES, stream)
    ask(ref, StartCampaign())
    ask(ref, BeginCampaign(), context(system("acme")))


def await_reason(actor: Actor) -> str:
    for _ in range(2000):
        if reasons := actor.see("select reason from domainflow.work_item where reason is not null"):
            return str(reasons[0])
        actor.upkeep.execute("select pg_sleep(0.005)")
    raise AssertionError("nothing is said of any item")


def test_a_batch_whose_source_cannot_be_written_here_is_put_off(house: Stage, actor: Actor, home: Path) -> None:
    a_campaign_on_words(house)
    (home / "sources").write_text("where a folder should be")
    claim(house, house.store, home)
    assert "File exists" in await_reason(actor)
    assert actor.see("select max(failures) from domainflow.work_item where state <> 4") == [0]


def test_a_batch_whose_source_is_nowhere_is_dead(house: Stage, actor: Actor, home: Path) -> None:
    a_campaign_on_words(house)
    claim(house, house.store, home)
    assert "there is no source 000000000000" in await_reason(actor)
    assert actor.see("select state from domainflow.work_item where reason is not null") == [4]


def test_a_batch_of_a_campaign_that_a_newer_program_wrote_to_is_put_off(
    house: Stage, actor: Actor, emptied: Database, home: Path
) -> None:
    a_campaign_on_words(house)
    with psycopg.connect(emptied.admin_dsn, autocommit=True) as admin:
        assert admin.execute(NEWER).rowcount == 1
    claim(house, house.store, home)
    assert "upgrade this one" in await_reason(actor)
    assert actor.see("select max(failures) from domainflow.work_item where state <> 4") == [0]
    assert actor.see("select count(*) from domainflow.work_item where state = 4") == [0]


def test_a_source_that_cannot_be_fetched_leaves_no_file(actor: Actor, home: Path) -> None:
    lost = pool.connect(actor.dsn, "app")
    lost.close()
    with pytest.raises(psycopg.OperationalError):
        sources.fetch(lambda n: sources.chunk(lost, "acme", "0" * 64, n), "acme", "0" * 64, home / "sources")
    assert list((home / "sources").iterdir()) == []


def test_a_runtime_whose_lease_may_be_over_takes_no_work(house: Stage, actor: Actor, home: Path) -> None:
    a_campaign_on_words(house)
    house.holds_lease, house.leases_asked = False, 0
    claim(house, house.store, home)
    eventually(lambda: house.leases_asked >= 3, "it asks again and again")
    assert actor.see("select max(fence) from domainflow.work_item") == [0]
    house.holds_lease = True
    eventually(lambda: actor.see("select max(fence) from domainflow.work_item") > [0], "it takes work")
