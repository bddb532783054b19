"""A pause takes hold at once where no process executes the campaign: whoever commands it accounts what is done."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, LiteralString

import psycopg
import pytest
from child import TESTS, Child, eventually

from domainflow import Runtime
from domainflow.store import work_items
from domainflow.store.transaction import Kind
from domainflow.store.work_items import Claim, Result
from domainflow.verify import verify
from domainflow.vocabulary import CampaignStatus, Phase

from members import ALICE, NAMES_EACH, Database, history, is_gapless, owner, spec  # isort: skip  # beside this file

FOREVER_S: Final = 600.0
COMMAND_S: Final = 60.0
LIVE: Final[LiteralString] = "select count(*) from domainflow.live_runtime"
NOT_PARKED: Final[LiteralString] = "select count(*) from domainflow.work_item where state <> 3"


@pytest.fixture
def left(database: Database, home: Path) -> str:
    """A running campaign whose host has left: nothing of it is in hand."""
    with Runtime.open(database.dsn, home=home, work=False) as host:
        handle = host.as_principal(ALICE).create_campaign(spec(NAMES_EACH, only=Phase.DOMAIN_GENERATION))
        handle.start()
        eventually(lambda: handle.view().status is CampaignStatus.RUNNING, "it has begun")
    return handle.id


@pytest.fixture
def runtime(database: Database, home: Path) -> Iterator[Runtime]:
    """One that executes nothing."""
    with Runtime.open(database.dsn, home=home, campaigns=False, work=False) as opened:
        yield opened


def test_a_campaign_whose_host_was_killed_is_paused_by_whoever_asks_for_it(
    database: Database, home: Path, runtime: Runtime
) -> None:
    with Child("multi.members:host", dsn=database.dsn, home=str(home), lease_s=FOREVER_S) as host:
        campaign = host.wait_line("campaign")
        handle = runtime.as_principal(ALICE).campaign(campaign)
        next(change for change in handle.watch(timeout_s=30.0) if change.type == "campaign.batches_accounted")
        host.kill9()
    eventually(lambda: _number(database, LIVE) == 1, "its host is known to be dead")
    ack = handle.pause(reason="nobody is there")

    assert ack.status == CampaignStatus.PAUSED
    assert handle.view().status is CampaignStatus.PAUSED
    assert owner(database, campaign)[0] is None
    assert history(database, campaign)[-1] == (ack.version, "campaign.paused")
    assert is_gapless(history(database, campaign))
    assert [fault.line for fault in verify(runtime.store)] == []


def test_what_was_done_and_not_accounted_counts_before_the_pause_takes_hold(
    database: Database, left: str, runtime: Runtime
) -> None:
    claim = _claim(runtime)
    names = claim.stop - claim.start
    result = Result(item=claim.id, fence=claim.fence, counts=(("generated", names),), outcomes=b"", hits=())
    with runtime.store.tenants(Kind.TOOL, ALICE.tenant) as connection:
        assert work_items.complete(connection, result)
    handle = runtime.as_principal(ALICE).campaign(left)

    assert handle.pause().status == CampaignStatus.PAUSED
    assert [phase.done for phase in handle.view().phases if phase.done] == [names]
    assert _number(database, NOT_PARKED) == 0
    assert [fault.line for fault in verify(runtime.store)] == []


def test_what_a_live_process_has_in_hand_keeps_a_campaign_pausing(
    database: Database, home: Path, left: str, runtime: Runtime
) -> None:
    with Runtime.open(database.dsn, home=home, campaigns=False, work=False) as working:
        claim = _claim(working)
        handle = runtime.as_principal(ALICE).campaign(left)
        assert handle.pause().status == CampaignStatus.PAUSING
        with working.store.upkeep(Kind.TOOL) as connection:
            work_items.unclaim(connection, claim.id, claim.fence)
        assert handle.pause().status == CampaignStatus.PAUSED  # asked again, with nothing in hand any more


def test_the_key_of_a_pause_brings_its_first_answer_however_the_campaign_stands(left: str, runtime: Runtime) -> None:
    handle = runtime.as_principal(ALICE).campaign(left)
    first = handle.pause(idempotency_key="once")
    assert handle.view().status is CampaignStatus.PAUSED
    assert handle.pause(idempotency_key="once") == first
    handle.resume()
    assert handle.pause(idempotency_key="once") == first


def test_the_command_line_says_that_it_is_paused(database: Database, home: Path, left: str) -> None:
    who = ["--dsn", database.dsn, "--home", str(home), "--principal", ALICE.id, "--tenant", ALICE.tenant]
    said = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "domainflow", *who, "--json", "campaign", "pause", left],
        capture_output=True,
        text=True,
        check=True,
        cwd=home,  # so that no `.env` of a checkout is read
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
        timeout=COMMAND_S,
    )
    assert json.loads(said.stdout)["status"] == "paused"


def _claim(runtime: Runtime) -> Claim:
    with runtime.store.upkeep(Kind.TOOL) as connection:
        (claim,) = work_items.claim(connection, runtime.id, 1)
    return claim


def _number(database: Database, query: LiteralString) -> int:
    with psycopg.connect(database.admin_dsn) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
