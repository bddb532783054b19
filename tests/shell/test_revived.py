"""A campaign that is set going again between two statements of whoever looks at it: what is told fits together."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import psycopg
import pytest
from databases import Database
from durable import in_thread

from domainflow import CampaignHandle, CampaignSpec, Principal, Runtime
from domainflow.actors.rules import Ack
from domainflow.spec import PatternSource
from domainflow.store import campaigns
from domainflow.store.campaigns import Summary
from domainflow.store.projections import Rows
from domainflow.vocabulary import CampaignStatus, PatternType

ALICE = Principal(id="alice", roles=("operator",), tenant="acme")
SPEC = CampaignSpec(
    name="twelve names",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=2, character_set="abcdef", constant="x", tld="com", count=12
    ),
)
SOON_S = 20.0
Command: TypeAlias = Callable[[], Ack]
KILL = "update domainflow.work_item set state = 4, reason = 'a test said so'"


@pytest.fixture
def failed(database: Database, home: Path) -> Iterator[CampaignHandle]:
    """One whose batch is dead; nobody does any work."""
    with Runtime.open(database.dsn, home=home, work=False) as runtime:
        campaign = runtime.as_principal(ALICE).create_campaign(SPEC)
        campaign.start()
        next(change for change in campaign.watch(timeout_s=SOON_S) if change.type == "campaign.phase_started")
        with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
            admin.execute(KILL)
        assert campaign.wait(SOON_S).status is CampaignStatus.FAILED
        yield campaign


def before_and_after(
    monkeypatch: pytest.MonkeyPatch, before: Mapping[int, Command], after: Mapping[int, Command]
) -> None:
    """Have commands given before and after the n-th time that this thread looks where a campaign stands."""
    find, looker, times = campaigns.find, threading.current_thread(), 0

    def finding(connection: Rows, prefix: str, *, deleted: bool = False) -> list[Summary]:
        nonlocal times
        if threading.current_thread() is not looker:
            return find(connection, prefix, deleted=deleted)
        times += 1
        give(before, times)
        found = find(connection, prefix, deleted=deleted)
        give(after, times)
        return found

    monkeypatch.setattr(campaigns, "find", finding)


def give(commands: Mapping[int, Command], number: int) -> None:
    """Give the command of this number, if there is one, and wait until it is durable; as another thread."""
    if (command := commands.get(number)) is not None:
        in_thread(command).result(SOON_S)


def test_a_watch_that_ends_has_told_of_the_end_last(failed: CampaignHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    before_and_after(monkeypatch, before={}, after={1: failed.retry})
    changes = list(failed.watch(timeout_s=SOON_S))
    assert changes[-1].type == "campaign.failed"


def test_a_wait_ends_with_a_campaign_at_rest(failed: CampaignHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    before_and_after(monkeypatch, before={3: failed.cancel}, after={1: failed.retry})
    assert failed.wait(SOON_S).status is CampaignStatus.CANCELLED
