"""How a command is given to a campaign: for which version, within which time, under which key."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from called import Called
from databases import Database
from durable import emptied, migrated, row_lock
from reconciler.scenes import HEAD, queued

from domainflow.cli import CAMPAIGN_VERBS, PHASE_VERBS

__all__ = ["emptied", "migrated"]  # fixtures

READ_ONLY = {"list", "show", "export"}
COMMANDS = [("campaign", verb) for verb in CAMPAIGN_VERBS if verb not in READ_ONLY] + [
    ("phase", verb) for verb in PHASE_VERBS
]


class Person:
    """Calls the command line in a database's home."""

    def __init__(self, database: Database, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        who = ("--principal", "alice", "--tenant", "acme", "--role", "admin")
        self._where = ("--dsn", database.dsn, "--home", str(home), *who, "--json")
        self._capsys = capsys

    def __call__(self, *words: str) -> Called:
        self._capsys.readouterr()
        return Called(self._capsys, *words, *self._where)

    def version(self, campaign: str) -> int:
        return int(self("campaign", "show", campaign).json["version"])


def why(called: Called) -> tuple[str, str]:
    said = json.loads(called.err)["error"]
    return said["code"], said["message"]


@pytest.fixture
def person(emptied: Database, home: Path, capsys: pytest.CaptureFixture[str]) -> Person:
    return Person(emptied, home, capsys)


@pytest.fixture
def campaign(emptied: Database, home: Path) -> str:
    return queued(emptied, home)[0]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_says_how_it_may_be_given(capsys: pytest.CaptureFixture[str], command: Sequence[str]) -> None:
    told = Called(capsys, *command, "--help").out
    assert all(option in told for option in ("--expected-version", "--timeout", "--idempotency-key"))


def test_a_command_for_another_version_is_a_conflict_that_says_the_current_one_and_changes_nothing(
    person: Person, campaign: str
) -> None:
    version = person.version(campaign)
    refused = person("campaign", "pause", campaign, "--expected-version", str(version - 1))
    assert (refused.code, refused.out) == (4, "")
    assert why(refused) == (
        "version_conflict",
        f"campaign/{campaign} is at version {version}, not at {version - 1}; nothing was written",
    )
    assert person.version(campaign) == version
    done = person("campaign", "pause", campaign, "--expected-version", str(version))
    assert done.code == 0
    assert done.json["version"] == person.version(campaign) > version


def test_asked_again_with_its_key_it_is_answered_as_it_was(person: Person, campaign: str) -> None:
    words = ("campaign", "pause", campaign, "--idempotency-key", "k")
    first = person(*words)
    assert (first.code, first.json["status"]) == (0, "paused")
    assert person("campaign", "resume", campaign).code == 0
    assert person(*words).json["version"] == first.json["version"]
    assert person("campaign", "show", campaign).json["status"] == "queued"
    reused = person("campaign", "cancel", campaign, "--idempotency-key", "k")
    assert (reused.code, why(reused)[0]) == (4, "key_reused")


def test_a_deletion_asked_again_with_its_key_is_answered_as_it_was(person: Person, campaign: str) -> None:
    assert person("campaign", "cancel", campaign).code == 0
    words = ("campaign", "delete", campaign, "--idempotency-key", "k")
    first = person(*words)
    assert person(*words).json["version"] == first.json["version"]
    assert person("campaign", "delete", campaign).code == 2


def test_what_does_not_become_durable_in_time_is_given_up(emptied: Database, person: Person, campaign: str) -> None:
    with row_lock(emptied.admin_dsn, HEAD, f"campaign/{campaign}"):
        late = person("campaign", "pause", campaign, "--timeout", "0.5")
    assert (late.code, why(late)[0]) == (3, "ask_timeout")
    assert why(late)[1].endswith(" s; nothing was done")


@pytest.mark.parametrize("given", [("--timeout", "0"), ("--timeout", "nan"), ("--expected-version", "0")])
def test_what_cannot_be_meant_is_refused(person: Person, campaign: str, given: tuple[str, str]) -> None:
    refused = person("campaign", "pause", campaign, *given)
    assert (refused.code, why(refused)[0]) == (2, "invalid_input")
