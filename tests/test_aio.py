"""The async twin: the loop never waits, nothing that was sent is taken back, and it can do what its twin can."""

import asyncio
import inspect
import itertools
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import psycopg
import pytest
from child import eventually
from databases import Database

from domainflow import AsyncRuntime, CampaignSpec, Operations, Principal, Runtime
from domainflow.aio import LIFE, AsyncCampaignHandle, AsyncOperations
from domainflow.awaiting import THREADS
from domainflow.errors import AskTimeout, CommandRejected, NotFound, Unavailable
from domainflow.operations import CampaignHandle
from domainflow.spec import PatternSource
from domainflow.store import pool
from domainflow.vocabulary import CampaignStatus, PatternType

ALICE = Principal(id="alice", roles=("operator",), tenant="acme")
SPEC = CampaignSpec(
    name="twelve names",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=2, character_set="abcdef", constant="x", tld="com", count=12
    ),
)
SOON_S = 20.0
TICK_S = 0.001
FEW = 5  # ticks; a loop that waits has one or two


@pytest.fixture
def opened(database: Database, home: Path) -> Callable[[], "Coroutine[object, object, AsyncRuntime]"]:
    """Opens a runtime that executes nothing: a campaign stays where its commands put it."""

    async def open_() -> AsyncRuntime:
        return await AsyncRuntime.open(
            database.dsn, admin_dsn=database.admin_dsn, home=home, campaigns=False, work=False
        )

    return open_


async def ticks_during(task: "asyncio.Task[object]") -> int:
    """How often the loop came round until a task was done."""
    ticks = 0
    while not task.done():
        await asyncio.sleep(TICK_S)
        ticks += 1
    await task
    return ticks


Opened = Callable[[], "Coroutine[object, object, AsyncRuntime]"]


def test_the_loop_goes_on_while_a_runtime_opens_and_closes_and_a_long_wait_lasts(opened: Opened) -> None:
    async def wait(runtime: AsyncRuntime) -> None:
        campaign = await runtime.as_principal(ALICE).create_campaign(SPEC)
        with pytest.raises(AskTimeout, match="is still pending after"):
            await campaign.wait(timeout_s=1.0)

    async def story() -> None:
        opening = asyncio.ensure_future(opened())
        ticks = [await ticks_during(opening)]
        ticks.append(await ticks_during(asyncio.ensure_future(wait(opening.result()))))
        ticks.append(await ticks_during(asyncio.ensure_future(opening.result().close())))
        assert min(ticks) > FEW

    asyncio.run(story())


def test_the_loop_goes_on_while_a_command_waits_for_the_store(opened: Opened, database: Database) -> None:
    async def story() -> None:
        async with await opened() as runtime:
            campaign = await runtime.as_principal(ALICE).create_campaign(SPEC)
            with psycopg.connect(database.admin_dsn) as blocker:  # in a transaction until it is left
                blocker.execute(
                    "select from domainflow.head where stream = %s for update", (f"campaign/{campaign.id}",)
                )
                starting = asyncio.ensure_future(campaign.start(timeout_s=SOON_S))
                for _ in range(200):
                    await asyncio.sleep(TICK_S)
                assert not starting.done()
            assert (await starting).status == "queued"

    asyncio.run(story())


def test_waits_and_watches_hold_no_thread_so_any_number_leaves_room_for_a_command(opened: Opened) -> None:
    async def story() -> float:
        async with await opened() as runtime:
            campaign = await runtime.as_principal(ALICE).create_campaign(SPEC)
            waiting = [asyncio.ensure_future(campaign.wait(SOON_S)) for _ in range(2 * THREADS)]
            waiting += [asyncio.ensure_future(drain(campaign)) for _ in range(2 * THREADS)]
            await asyncio.sleep(0)  # they have begun
            began_s = time.monotonic()
            await campaign.cancel(reason="to end the waits")
            took_s = time.monotonic() - began_s
            views = await asyncio.gather(*waiting)
            assert {view.status for view in views[: 2 * THREADS]} == {CampaignStatus.CANCELLED}
            return took_s

    async def drain(campaign: AsyncCampaignHandle) -> object:
        return [change async for change in campaign.watch()]

    assert asyncio.run(story()) < SOON_S / 2


def test_a_cancelled_await_does_not_cancel_the_command(opened: Opened) -> None:
    async def story() -> None:
        async with await opened() as runtime:
            campaign = await runtime.as_principal(ALICE).create_campaign(SPEC)
            before = [asyncio.ensure_future(campaign.view()) for _ in range(8 * THREADS)]
            starting = asyncio.ensure_future(campaign.start())
            await asyncio.sleep(0)  # it stands in line behind those
            starting.cancel()
            await asyncio.gather(*before)
            with pytest.raises(asyncio.CancelledError):
                await starting
            async for change in campaign.watch(after=1, timeout_s=SOON_S):
                assert change.type == "campaign.queued"
                break

    asyncio.run(story())


def test_after_a_cancelled_command_its_key_brings_the_answer(opened: Opened) -> None:
    async def story() -> None:
        async with await opened() as runtime:
            campaign = await runtime.as_principal(ALICE).create_campaign(SPEC)
            starting = asyncio.ensure_future(campaign.start(idempotency_key="once"))
            await asyncio.sleep(0)
            starting.cancel()
            again = await campaign.start(idempotency_key="once")
            assert (again.version, again.status) == (2, "queued")

    asyncio.run(story())


def test_a_runtime_whose_opening_was_cancelled_is_closed_as_soon_as_it_is_open(
    opened: Opened, database: Database
) -> None:
    async def story() -> None:
        opening = asyncio.ensure_future(opened())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(story())
    eventually(lambda: not any(thread.name.startswith(LIFE) for thread in threading.enumerate()), "it has been closed")
    with pool.connect(database.dsn, "upkeep") as connection:
        assert connection.execute("select count(*) from domainflow.runtime").fetchone() == (0,)


def test_an_opening_that_fails_says_why(home: Path) -> None:
    async def story() -> None:
        async with AsyncRuntime.open("host=127.0.0.1 port=1 connect_timeout=1", home=home):
            pass

    with pytest.raises(Unavailable, match="cannot connect to Postgres"):
        asyncio.run(story())


def test_a_watch_tells_every_change_in_order_resumes_by_version_and_ends_with_the_campaign(opened: Opened) -> None:
    async def story() -> None:
        async with await opened() as runtime:
            campaign = await runtime.as_principal(ALICE).create_campaign(SPEC)
            await campaign.start()
            first = [change.version async for change in until(campaign, version=2)]
            await campaign.pause()
            await campaign.cancel()
            rest = [(change.version, change.type) async for change in campaign.watch(after=first[-1])]
            assert first == [1, 2]
            assert [version for version, _ in rest] == list(range(3, 3 + len(rest)))
            assert rest[-1][1] == "campaign.cancelled"

    async def until(campaign: AsyncCampaignHandle, version: int):  # noqa: ANN202 - an async generator of changes
        async for change in campaign.watch():
            yield change
            if change.version == version:
                return

    asyncio.run(story())


def test_a_watch_of_a_campaign_to_which_nothing_happens_ends_with_a_time_out(opened: Opened) -> None:
    async def story() -> None:
        async with await opened() as runtime:
            campaign = await runtime.as_principal(ALICE).create_campaign(SPEC)
            changes = campaign.watch(timeout_s=0.3)
            assert (await anext(changes)).version == 1
            with pytest.raises(AskTimeout, match="nothing happened"):
                await anext(changes)

    asyncio.run(story())


def test_refusals_come_through_as_they_are(opened: Opened) -> None:
    async def story() -> None:
        async with await opened() as runtime:
            operations = runtime.as_principal(ALICE)
            campaign = await operations.create_campaign(SPEC)
            with pytest.raises(CommandRejected):
                await campaign.resume()
            with pytest.raises(NotFound):
                await operations.campaign("00000000")
            assert [one.id for one in await operations.campaigns()] == [campaign.id]
            assert (await (await operations.campaign(campaign.id[:30])).view()).id == campaign.id

    asyncio.run(story())


def test_a_closed_runtime_refuses_and_closing_it_again_does_nothing(opened: Opened) -> None:
    async def story() -> None:
        runtime = await opened()
        campaign = await runtime.as_principal(ALICE).create_campaign(SPEC)
        await runtime.close()
        await runtime.close()
        with pytest.raises(Unavailable, match="closed"):
            await campaign.view()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("twin", "awaited"),
    [(Runtime, AsyncRuntime), (Operations, AsyncOperations), (CampaignHandle, AsyncCampaignHandle)],
)
def test_whatever_the_blocking_twin_can_do_the_other_can_with_the_same_arguments(twin: type, awaited: type) -> None:
    public = [name for name in vars(twin) if not name.startswith("_") and callable(getattr(twin, name))]
    assert public
    for name in public:
        expected, found = (inspect.signature(getattr(cls, name)).parameters for cls in (twin, awaited))
        pairs = itertools.zip_longest(expected.values(), found.values())
        assert all(a and b and (a.name, a.kind, a.default) == (b.name, b.kind, b.default) for a, b in pairs), name
