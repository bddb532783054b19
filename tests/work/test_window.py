"""The window of requests under way: grows while answers are quick, shrinks while they are not."""

import asyncio

import pytest

from domainflow.work.window import FIRST, Window

TIMEOUT_S = 1.0
QUICK_S, SLOW_S = 0.05, 0.5


def test_it_starts_small_and_grows_to_its_bound_while_answers_are_quick() -> None:
    window = Window(16, TIMEOUT_S)
    assert window.limit == FIRST
    for _ in range(200):
        window.answered(QUICK_S)
    assert window.limit == 16


def test_it_shrinks_while_answers_are_slow_but_not_to_nothing() -> None:
    window = Window(16, TIMEOUT_S)
    for _ in range(200):
        window.answered(QUICK_S)
    for _ in range(200):
        window.answered(SLOW_S)
    assert window.limit == 2


def test_a_time_out_among_quick_answers_is_the_sites_own() -> None:
    window = Window(16, TIMEOUT_S)
    window.answered(QUICK_S)
    assert not window.timed_out()


@pytest.mark.parametrize("before", [[], [SLOW_S]])
def test_a_time_out_among_slow_answers_or_none_deserves_another_try(before: list[float]) -> None:
    window = Window(16, TIMEOUT_S)
    for took_s in before:
        window.answered(took_s)
    assert window.timed_out()


def test_no_more_than_its_limit_are_under_way_and_all_have_their_turn() -> None:
    window, most, under_way, ended = Window(3, TIMEOUT_S), 0, 0, 0

    async def request() -> None:
        nonlocal most, under_way, ended
        async with window:
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            window.answered(QUICK_S)
        ended += 1

    async def all_of_them() -> None:
        await asyncio.gather(*(request() for _ in range(50)))

    asyncio.run(all_of_them())
    assert (most, ended) == (3, 50)


def test_a_waiter_that_is_cancelled_leaves_its_turn_to_the_next() -> None:
    async def scenario() -> bool:
        window = Window(1, TIMEOUT_S)
        done = asyncio.Event()

        async def enter() -> None:
            async with window:
                done.set()

        async with window:
            first, second = asyncio.create_task(enter()), asyncio.create_task(enter())
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.sleep(0)
        await asyncio.wait_for(second, 5)
        return done.is_set()

    assert asyncio.run(scenario())
