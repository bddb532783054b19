"""`domainflow alerts`: what it shows, what it exits with, and that one can be resolved from another process."""

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from called import Called
from child import SOON_S
from databases import Database
from durable import Actor, acting, emptied, migrated
from msgspec.structs import replace

from domainflow.actors.monitor.messages import AlertKind

from watching import QUICK, await_none, campaign_still, the_alert, watching, work_not_taken  # isort: skip  # beside this file

__all__ = ["emptied", "migrated"]  # fixtures


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn, lane=9) as acts:
        yield acts


def words(database: Database, home: Path, *more: str, tenant: str = "acme") -> list[str]:
    who = ("--principal", "bob", "--tenant", tenant, "--role", "operator")
    return ["alerts", "--dsn", database.dsn, "--home", str(home), *who, *more]


def test_where_nothing_is_the_matter_it_says_so(
    emptied: Database, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called = Called(capsys, *words(emptied, home))
    assert (called.code, called.out) == (0, "nothing needs a person\n")
    called = Called(capsys, *words(emptied, home, "--json"))
    assert (called.code, called.out) == (0, "")
    called = Called(capsys, *words(emptied, home, "--resolved"))
    assert (called.code, called.out) == (0, "none was resolved lately\n")


def test_an_alert_is_shown_with_its_runbook_and_resolved_in_ones_name(
    emptied: Database, home: Path, other: Actor, capsys: pytest.CaptureFixture[str]
) -> None:
    subject, _ = campaign_still(other, emptied)
    with watching(emptied, home) as runtime:
        the_alert(runtime, AlertKind.CAMPAIGN_STILL)
    capsys.readouterr()  # what the runtime logged
    called = Called(capsys, *words(emptied, home))
    assert called.code == 1
    assert f"critical  campaign_still  {subject}" in called.out
    shown = Called(capsys, *words(emptied, home, "--json")).json
    assert (shown["number"], shown["kind"], shown["subject"]) == (1, "campaign_still", subject)
    assert (shown["evidence"]["last_event"], shown["resolved"]) == ("test.moved", None)
    assert Called(capsys, *words(emptied, home, tenant="other")).code == 0
    resolved = Called(capsys, *words(emptied, home, "--resolve", "1", "--how", "seen to"))
    assert (resolved.code, resolved.out) == (0, "nothing needs a person\n")
    ended = Called(capsys, *words(emptied, home, "--resolved", "--json")).json["resolved"]
    assert (ended["by"], ended["how"]) == ("bob", "seen to")
    assert "by bob: seen to" in Called(capsys, *words(emptied, home, "--resolved")).out.replace("\n", " ")


def test_the_next_monitor_takes_up_what_was_open(
    emptied: Database, home: Path, other: Actor, capsys: pytest.CaptureFixture[str]
) -> None:
    _, mend = work_not_taken(other, emptied)
    with watching(emptied, home) as runtime:
        the_alert(runtime, AlertKind.WORK_NOT_TAKEN)
    with watching(emptied, home, replace(QUICK, stall_s=3600.0)) as runtime:
        mend()
        await_none(runtime)
    assert Called(capsys, *words(emptied, home)).code == 0


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        (["--resolve", "7", "--how", "?"], "there is no open alert 7"),
        (["--resolve", "7"], "--resolve and --how: need each other"),
        (["--how", "?"], "--resolve and --how: need each other"),
    ],
)
def test_what_is_not_there_cannot_be_resolved(
    emptied: Database, home: Path, capsys: pytest.CaptureFixture[str], more: list[str], rule: str
) -> None:
    called = Called(capsys, *words(emptied, home, *more))
    assert (called.code, called.out) == (2, "")
    assert called.err == f"error: {rule}\n"


# --- followed


def read(process: subprocess.Popen[bytes]) -> str:
    """The next line; it comes soon, or never."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], SOON_S)[0], "it says nothing"
    line = process.stdout.readline().decode()
    assert line, f"it ended with {process.wait()}"
    return line


@contextmanager
def watched(database: Database, home: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a person has it: a process that goes on until it is told to end."""
    command = [sys.executable, "-m", "domainflow", *words(database, home, "--watch", *more)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:  # noqa: S603 - our own program
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(SOON_S) == 0
        finally:
            process.kill()


def test_who_watches_sees_what_is_open_what_is_raised_and_what_is_resolved(
    emptied: Database, home: Path, other: Actor
) -> None:
    subject, mend = campaign_still(other, emptied)
    with watching(emptied, home) as runtime:
        the_alert(runtime, AlertKind.CAMPAIGN_STILL)
        with watched(emptied, home) as people, watched(emptied, home, "--json") as program:
            assert f"critical  1  campaign_still  {subject}  status running, " in read(people)
            first = json.loads(read(program))
            assert (first["number"], first["subject"], first["resolved"]) == (1, subject, None)
            mend()
            assert f"resolved  1  campaign_still  {subject}  by monitor: its cause is gone" in read(people)
            assert json.loads(read(program))["resolved"]["by"] == "monitor"
            second, _ = work_not_taken(other, emptied)
            assert f"warning  2  work_not_taken  {second}  " in read(people)
            assert json.loads(read(program))["number"] == 2


def test_who_watches_does_nothing_else(emptied: Database, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    called = Called(capsys, *words(emptied, home, "--watch", "--resolved"))
    assert (called.code, called.err) == (2, "error: --watch: stands alone\n")
