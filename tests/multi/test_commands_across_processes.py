"""A campaign that one process executes is commanded from others."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from child import TESTS, Child

from domainflow import Runtime
from domainflow.verify import verify
from domainflow.vocabulary import CampaignStatus

from members import ALICE, Database, history, is_gapless  # isort: skip  # beside this file

COMMANDS_S: Final = 60.0  # ten processes import and connect at once
REFUSED: Final = 2
AFTER_PAUSES_AND_RESUMES: Final = {
    CampaignStatus.QUEUED,
    CampaignStatus.RUNNING,
    CampaignStatus.PAUSING,
    CampaignStatus.PAUSED,
}


@pytest.fixture
def host(database: Database, home: Path) -> Iterator[Child]:
    """A process that executes a campaign which lasts."""
    with Child("multi.members:host", dsn=database.dsn, home=str(home), lease_s=600.0) as child:
        yield child
        child.finish()


@pytest.fixture
def runtime(database: Database, home: Path) -> Iterator[Runtime]:
    """The second process: this one."""
    with Runtime.open(database.dsn, home=home, campaigns=False, work=False) as opened:
        yield opened


def test_a_running_campaign_is_paused_resumed_and_cancelled_from_a_second_process(
    database: Database, host: Child, runtime: Runtime
) -> None:
    owner, campaign = host.wait_line("runtime"), host.wait_line("campaign")
    handle = runtime.as_principal(ALICE).campaign(campaign)
    _wait_for_work(runtime, campaign)

    assert handle.pause(reason="maintenance").status == CampaignStatus.PAUSING
    assert handle.wait(30.0).status is CampaignStatus.PAUSED
    assert handle.resume().status == CampaignStatus.QUEUED
    _wait_for_work(runtime, campaign)
    cancelled = handle.cancel(reason="enough")
    assert cancelled.status == CampaignStatus.CANCELLED

    assert owner != runtime.id
    events = history(database, campaign)
    assert events[-1] == (cancelled.version, "campaign.cancelled")
    assert is_gapless(events)
    assert [fault.line for fault in verify(runtime.store)] == []


def test_ten_processes_that_pause_and_resume_at_once_end_in_a_legal_state(
    database: Database, host: Child, runtime: Runtime, home: Path
) -> None:
    campaign = host.wait_line("campaign")
    _wait_for_work(runtime, campaign)

    started = [_command(database, home, verb, campaign) for verb in ("pause", "resume") * 5]
    answers = [_answer(process) for process in started]

    refused = [text for code, text in answers if code == REFUSED]
    assert all("user does not hold" in text for text in refused), refused  # of a pause that had not come yet
    versions = [msgspec.json.decode(text)["version"] for code, text in answers if code == 0]
    assert len(versions) + len(refused) == len(started), answers
    events = history(database, campaign)
    assert is_gapless(events)
    assert max(versions) <= len(events)
    view = runtime.as_principal(ALICE).campaign(campaign).view()
    assert view.status in AFTER_PAUSES_AND_RESUMES
    assert (view.status in {CampaignStatus.PAUSING, CampaignStatus.PAUSED}) == (view.holders == ("user",))
    assert [fault.line for fault in verify(runtime.store)] == []


def _wait_for_work(runtime: Runtime, campaign: str) -> None:
    """Wait until results are accounted in the state that the campaign is in now."""
    handle = runtime.as_principal(ALICE).campaign(campaign)
    for change in handle.watch(after=handle.view().version, timeout_s=30.0):
        if change.type == "campaign.batches_accounted":
            return


def _command(database: Database, home: Path, verb: str, campaign: str) -> subprocess.Popen[str]:
    who = ["--dsn", database.dsn, "--home", str(home), "--principal", ALICE.id, "--tenant", ALICE.tenant]
    return subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", "domainflow", *who, "--json", "campaign", verb, campaign],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,  # so that no `.env` of a checkout is read
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
    )


def _answer(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and what it said: an answer on standard output or an error on the other one."""
    out, err = process.communicate(timeout=COMMANDS_S)
    return process.returncode, out if process.returncode == 0 else err
