"""Both ends of the command box are killed under load: a command is done once or not at all, and its sender is told."""

import random
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from child import Child, eventually
from msgspec.structs import replace

from domainflow import Runtime
from domainflow.settings import Settings
from domainflow.verify import verify
from domainflow.vocabulary import Phase

from boxes import Accounts, Books, answered  # isort: skip  # beside this file
from members import ALICE, NAMES_EACH, Database, spec  # isort: skip  # beside this file

CAMPAIGNS: Final = 4
SEED: Final = 3


class Ends:
    """The two ends, started anew whenever they are killed."""

    def __init__(self, stack: ExitStack, database: Database, home: Path, campaigns: list[str]) -> None:
        self.stack, self.database, self.accounts = stack, database, Accounts()
        self.where = {"dsn": database.dsn, "home": str(home)}
        self.campaigns = ",".join(campaigns)
        self.number = 0
        self.owner = self.new_owner()
        self.commanders = [self.new_commander(), self.new_commander()]

    def new_owner(self) -> Child:
        child = self.stack.enter_context(Child("multi.boxes:owner", **self.where))
        child.wait_line("ready")
        return child

    def new_commander(self) -> Child:
        self.number += 1
        arguments = self.where | {"name": f"c{self.number}", "campaigns": self.campaigns}
        return self.stack.enter_context(Child("multi.boxes:commander", **arguments))

    def await_boxed(self, more: int) -> None:
        before, _ = answered(self.database)
        eventually(lambda: answered(self.database)[0] >= before + more, f"{more} more are answered in the box")

    def kill_owner(self) -> None:
        self.owner.kill9()
        self.owner = self.new_owner()

    def kill_commander(self) -> None:
        killed = self.commanders.pop(0)
        killed.kill9()
        self.accounts.hear_out(killed)
        self.commanders.append(self.new_commander())

    def stop(self) -> None:
        for child in self.commanders:
            child.finish()
            self.accounts.hear_out(child)


def hold(database: Database, home: Path, rounds: int) -> None:
    chance = random.Random(SEED)  # noqa: S311 - which end, and when
    with ExitStack() as stack:
        settings = Settings(most_active=CAMPAIGNS)
        runtime = stack.enter_context(
            Runtime.open(database.dsn, home=home, settings=settings, campaigns=False, work=False)
        )
        # Nobody works on them: they go on running, and their second phase never begins.
        wanted = replace(spec(NAMES_EACH, only=Phase.DOMAIN_GENERATION), skip=())
        handles = [runtime.as_principal(ALICE).create_campaign(wanted) for _ in range(CAMPAIGNS)]
        for handle in handles:
            handle.start()
        ends = Ends(stack, database, home, [handle.id for handle in handles])
        for _ in range(rounds):
            ends.await_boxed(chance.randrange(5, 20))
            ends.kill_owner()
            ends.await_boxed(chance.randrange(5, 20))
            ends.kill_commander()
        ends.await_boxed(20)
        ends.stop()
        eventually(lambda: len(set(answered(database))) == 1, "every command is answered or too late")
        ends.owner.finish()
        faults = [fault.line for fault in verify(runtime.store)]
    accounts, books = ends.accounts, Books(database)
    print(f"{dict(accounts.heard)}, {len(books.boxed)} boxed, {len(books.done_by_box)} done by the box")  # noqa: T201
    assert faults == []
    assert accounts.acked.items() <= books.done.items()  # what was acknowledged is there, with its version
    assert books.done_by_box.items() <= books.done.items()
    assert books.done.keys() <= accounts.sent
    assert not accounts.undone & books.done.keys()
    assert max(books.transactions.values()) == 1  # of no command is there a second record
    assert len(books.done_by_box) > rounds * 5  # or it would not have been the box that was under load


def test_each_command_is_done_once_or_not_at_all_whichever_end_is_killed(database: Database, home: Path) -> None:
    hold(database, home, rounds=3)


@pytest.mark.chaos
def test_so_it_is_after_forty_kills_of_each_end(database: Database, home: Path) -> None:
    hold(database, home, rounds=40)
