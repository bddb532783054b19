"""A campaign that is set going again between two statements of whoever looks at it: what is told fits together."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from databases import Database
from durable import in_thread

from domainflow import CampaignHandle, CampaignSpec, Principal, Runtime, reading
from domainflow.spec import PatternSource
from domainflow.store.campaigns import Summary
from domainflow.vocabulary import CampaignStatus, PatternType

ALICE = Principal(id="alice", roles=("operator",), tenant="acme")
SPEC = CampaignSpec(
    name="twelve names",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=2, character_set="abcdef", constant="x", tld="com", count=12
    ),
)
SOON_S = 20.0
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
    monkeypatch: pytest.MonkeyPatch, *, before: dict[int, Callable[[], object]], after: dict[int, Callable[[], object]]
) -> None:
    """Have things done around the n-th time that somebody has looked where a campaign stands, by another thread."""
    find, looker, times = reading.campaigns.find, threading.current_thread(), 0

    def finding(*args: object, **kwargs: object) -> list[Summary]:
        nonlocal times
        if threading.current_thread() is not looker:
            return find(*args, **kwargs)  # type: ignore[arg-type]  # as it is called
        times += 1
        in_thread(before.get(times, int)).result(SOON_S)
        found = find(*args, **kwargs)  # type: ignore[arg-type]  # likewise
        in_thread(after.get(times, int)).result(SOON_S)
        return found

    monkeypatch.setattr(reading.campaigns, "find", finding)


def test_a_watch_that_ends_has_told_of_the_end_last(failed: CampaignHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    before_and_after(monkeypatch, before={}, after={1: failed.retry})
    changes = list(failed.watch(timeout_s=SOON_S))
    assert changes[-1].type == "campaign.failed"


def test_a_wait_ends_with_a_campaign_at_rest(failed: CampaignHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    before_and_after(monkeypatch, before={3: failed.cancel}, after={1: failed.retry})
    assert failed.wait(SOON_S).status is CampaignStatus.CANCELLED
