"""`domainflow reconcile`: shows what would be mended and mends nothing; shows the quarantine, and lifts it."""

from pathlib import Path

import pytest
from called import Called
from child import eventually
from databases import Database
from durable import emptied, migrated
from msgspec.structs import replace

from domainflow.actors.campaign.evolution import FOLD_VERSION

from scenes import ALICE, SPOIL, ask, in_quarantine, opened, owner, plans, queued  # isort: skip  # beside this file

__all__ = ["emptied", "migrated"]  # fixtures


def words(database: Database, home: Path, *more: str) -> list[str]:
    """The command line of a call in this database."""
    who = ("--principal", "alice", "--tenant", "acme", "--role", "operator")
    return ["reconcile", "--dsn", database.dsn, "--home", str(home), *who, *more]


def test_where_all_is_well_it_says_so(emptied: Database, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    called = Called(capsys, *words(emptied, home))
    assert (called.code, called.out) == (0, "all is as it should be\n")
    assert Called(capsys, *words(emptied, home, "--json")).json == {"plan": [], "quarantine": []}


def test_the_plan_is_shown_and_not_carried_out(
    emptied: Database, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (orphan,) = queued(emptied, home)
    called = Called(capsys, *words(emptied, home))
    assert called.code == 0
    assert f"start  campaign/{orphan}  orphaned, queued" in called.out
    (action,) = Called(capsys, *words(emptied, home, "--json")).json["plan"]
    assert (action["type"], action["wanted"]["why"]) == ("reconciler.activate", "orphaned")
    assert owner(emptied, orphan) is None
    assert plans(emptied) == []


def test_the_quarantine_is_shown_and_lifted(emptied: Database, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    poisoned, good = queued(emptied, home, 2)
    ask(emptied, SPOIL, FOLD_VERSION, f"campaign/{poisoned}")
    with opened(emptied, home) as runtime:
        eventually(lambda: in_quarantine(emptied) != [], "it is left alone")
        eventually(lambda: owner(emptied, good) == runtime.id, "the other is not")
    shown = Called(capsys, *words(emptied, home))
    assert shown.code == 1
    assert f"campaign/{poisoned}" in shown.out
    (alone,) = Called(capsys, *words(emptied, home, "--json")).json["quarantine"]
    assert (alone["stream"], alone["rounds"]) == (f"campaign/{poisoned}", 1)
    released = Called(capsys, *words(emptied, home, "--json", "--release", f"campaign/{poisoned}"))
    assert (released.code, released.json["quarantine"]) == (0, [])
    assert [action["wanted"]["stream"] for action in released.json["plan"]] == sorted(
        [f"campaign/{poisoned}", f"campaign/{good}"]
    )


def test_what_is_not_in_quarantine_cannot_be_released(
    emptied: Database, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fine,) = queued(emptied, home)
    queued(emptied, home, who=replace(ALICE, tenant="other"))
    called = Called(capsys, *words(emptied, home, "--release", fine))
    assert (called.code, called.out) == (2, "")
    assert called.err == f"error: campaign {fine} is not in quarantine; nothing was done\n"
