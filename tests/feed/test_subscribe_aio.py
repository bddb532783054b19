"""Subscriptions and their kin in an event loop: woken as their twins are, and no thread is held meanwhile."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from databases import Database
from reading_on import NEVER_S, no_poll, told
from speaker import ALICE, MANY, SPEC

from domainflow import AsyncRuntime, awaiting
from domainflow.errors import AskTimeout

__all__ = ["no_poll"]  # fixtures

BEGINNING = "0.0.0"
SOON_S = 20.0  # for what happens at once


@pytest.fixture
def opened(database: Database, home: Path) -> Callable[[], AsyncRuntime]:
    return lambda: AsyncRuntime.open(database.dsn, home=home, settings=MANY, campaigns=False, work=False)


@pytest.mark.usefixtures("no_poll")
def test_the_twins_are_woken_and_hold_no_thread(opened: Callable[[], AsyncRuntime]) -> None:
    async def story() -> None:
        async with opened() as runtime:
            operations = runtime.as_principal(ALICE)
            subscriptions_ = [await operations.subscribe() for _ in range(2 * awaiting.THREADS)]
            waiting = [asyncio.ensure_future(anext(each)) for each in subscriptions_]
            await asyncio.sleep(0)
            campaign = await operations.create_campaign(SPEC)
            views = [asyncio.ensure_future(campaign.view(at_least=2, timeout_s=NEVER_S)) for _ in range(20)]
            async with asyncio.timeout(SOON_S):
                assert {change.campaign for change in await asyncio.gather(*waiting)} == {campaign.id}
                changes = campaign.watch(after=1)
                watching = asyncio.ensure_future(anext(changes))
                await campaign.start()
                assert (await watching).version == 2
                assert {view.version for view in await asyncio.gather(*views)} == {2}
                (again,) = [await operations.subscribe(subscriptions_[0].bookmark)]
                assert (await anext(again)).version == 2

    asyncio.run(story())


def test_in_a_loop_too_long_a_quiet_is_said_so(opened: Callable[[], AsyncRuntime]) -> None:
    async def story() -> None:
        async with opened() as runtime:
            operations = runtime.as_principal(ALICE)
            with pytest.raises(AskTimeout, match="nothing happened"):
                await anext(await operations.subscribe(timeout_s=0.05))
            campaign = await operations.create_campaign(SPEC)
            with pytest.raises(AskTimeout, match="not yet at 9"):
                await campaign.view(at_least=9, timeout_s=0.05)

    asyncio.run(story())


def test_in_a_loop_it_goes_on_behind_what_was_given_when_it_was_cancelled_or_closed(
    opened: Callable[[], AsyncRuntime],
) -> None:
    async def story() -> None:
        async with opened() as runtime:
            operations = runtime.as_principal(ALICE)
            hub = runtime.blocking._parts.waking.hub  # noqa: SLF001 - who listens
            campaign = await operations.create_campaign(SPEC)
            subscription = await operations.subscribe(BEGINNING)
            assert told([await anext(subscription)]) == [(campaign.id, 1)]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(subscription), 0.05)
            await campaign.start()
            again = await operations.subscribe(subscription.bookmark, SOON_S)
            assert told([await anext(again)]) == [(campaign.id, 2)]
            assert hub._ears  # noqa: SLF001 - likewise
            await again.close()
            assert not hub._ears  # noqa: SLF001 - likewise

    asyncio.run(story())
