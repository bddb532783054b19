"""How long a call waits for the store, whatever the store is doing, and what it says is true then."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases import Database
from durable import SOON_S, acting, in_thread

from domainflow import CampaignHandle, CampaignSpec, Operations, Principal, Runtime
from domainflow.actors.rules import Refusal, encode
from domainflow.errors import AskTimeout, InvalidInput, StoreUnavailable
from domainflow.spec import NamesSource, PatternSource
from domainflow.store import commands, leases
from domainflow.store.transaction import Kind
from domainflow.vocabulary import PatternType

ALICE = Principal(id="alice", roles=("operator",), tenant="acme")
SPEC = CampaignSpec(
    name="twelve names",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=2, character_set="abcdef", constant="x", tld="com", count=12
    ),
)
CONNECTIONS = 4  # of each pool
SHORT_S = 0.3
LONG_S = 10.0  # well above what a short wait may come to on a slow machine, well below the 30 s of a pool


@pytest.fixture
def runtime(database: Database, home: Path) -> Iterator[Runtime]:
    """One that executes nothing."""
    with Runtime.open(database.dsn, home=home, campaigns=False, work=False) as opened:
        yield opened


@pytest.fixture
def ops(runtime: Runtime) -> Operations:
    return runtime.as_principal(ALICE)


def busy(open_: Callable[[], AbstractContextManager[Any]]) -> ExitStack:
    """Take every connection of a pool, until the stack is closed."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(open_()).execute("set local idle_in_transaction_session_timeout = 0")
        return stack.pop_all()


COMMANDS_AND_LOOKS: dict[str, Callable[[CampaignHandle], object]] = {
    "start": lambda handle: handle.start(timeout_s=SHORT_S),
    "wait": lambda handle: handle.wait(timeout_s=SHORT_S),
    "watch": lambda handle: next(handle.watch(timeout_s=SHORT_S)),
}


@pytest.mark.parametrize("call", COMMANDS_AND_LOOKS.values(), ids=COMMANDS_AND_LOOKS)
def test_a_call_waits_for_a_busy_store_no_longer_than_its_time_out(
    runtime: Runtime, ops: Operations, call: Callable[[CampaignHandle], object]
) -> None:
    handle = ops.create_campaign(SPEC)
    with busy(lambda: runtime.store.tenants(Kind.TOOL, "acme")):
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"no connection to Postgres within .* s; nothing was done"):
            call(handle)
        assert time.monotonic() - began_s < LONG_S
    assert handle.view().version == 1


def test_a_command_whose_owner_cannot_be_looked_for_in_time_has_done_nothing(runtime: Runtime, ops: Operations) -> None:
    handle = ops.create_campaign(SPEC)
    with busy(lambda: runtime.store.upkeep(Kind.TOOL)):
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"no connection to Postgres within .* s; nothing was done"):
            handle.start(timeout_s=SHORT_S)
        assert time.monotonic() - began_s < LONG_S
    assert handle.view().version == 1


def test_the_creation_of_a_campaign_on_a_list_waits_for_a_busy_store_no_longer_than_its_time_out(
    runtime: Runtime, ops: Operations, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("a.com\nb.com\n")
    with busy(lambda: runtime.store.tenants(Kind.TOOL, "acme")):
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match="nothing was done"):
            ops.create_campaign(CampaignSpec(name="listed", source=NamesSource(file=str(names))), timeout_s=SHORT_S)
        assert time.monotonic() - began_s < LONG_S
    assert ops.campaigns() == []


def test_a_look_that_may_not_wait_is_still_a_look(ops: Operations) -> None:
    handle = ops.create_campaign(SPEC)
    with pytest.raises(AskTimeout, match="is still pending"):
        handle.wait(timeout_s=0.0)
    assert next(handle.watch(timeout_s=0.0)).version == 1


def test_a_boxed_command_that_nobody_answers_in_time_is_taken_back(ops: Operations, database: Database) -> None:
    handle = ops.create_campaign(SPEC)
    with acting(database.dsn) as owner:  # a live runtime that looks into no box
        leases.claim_stream(owner.upkeep, owner.runtime, handle.stream)
        with pytest.raises(AskTimeout, match=r"answered within .* s; nothing was done"):
            handle.start(timeout_s=SHORT_S)
        assert owner.see("select answered_at is not null from domainflow.command") == [True]


def test_a_boxed_command_whose_answer_cannot_be_heard_is_not_said_to_be_undone(
    runtime: Runtime, ops: Operations, database: Database
) -> None:
    handle = ops.create_campaign(SPEC)
    with acting(database.dsn) as owner, ExitStack() as stack:
        leases.claim_stream(owner.upkeep, owner.runtime, handle.stream)
        commanding = in_thread(lambda: handle.start(timeout_s=LONG_S / 2))
        await_boxed(database)
        stack.enter_context(busy(lambda: runtime.store.tenants(Kind.TOOL, "acme", timeout_s=SOON_S)))
        with pytest.raises(StoreUnavailable, match="it is not known whether it was done"):
            commanding.result(2 * SOON_S)


def test_what_the_owner_says_of_a_boxed_command_is_what_its_sender_hears(ops: Operations, database: Database) -> None:
    handle = ops.create_campaign(SPEC)
    with acting(database.dsn) as owner:
        leases.claim_stream(owner.upkeep, owner.runtime, handle.stream)
        commanding = in_thread(lambda: handle.start(timeout_s=SOON_S))
        refusal = Refusal("store_unavailable", "the change could not be stored; nothing was written")
        assert commands.withdraw(owner.upkeep, await_boxed(database), encode(refusal))
        with pytest.raises(StoreUnavailable, match=r"^the change could not be stored; nothing was written$"):
            commanding.result(2 * SOON_S)


def await_boxed(database: Database) -> str:
    """The id of the one command in the box."""
    deadline_s = time.monotonic() + SOON_S
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        while (row := admin.execute("select id::text from domainflow.command").fetchone()) is None:
            assert time.monotonic() < deadline_s, "the command does not come into the box"
            time.sleep(0.005)
    return str(row[0])


@pytest.mark.parametrize("limit", [-1, 0, 10_001])
def test_a_number_of_campaigns_that_no_list_has_is_refused(ops: Operations, limit: int) -> None:
    with pytest.raises(InvalidInput, match=rf"^campaigns: limit: {limit} must be from 1 to 10000$"):
        ops.campaigns(limit=limit)
