"""Who leads: one runtime a term, terms that only rise, and nothing of a term after the next one has begun."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from databases import Database
from durable import SOON_S, Actor, acting, await_blocked, await_gone, emptied, in_thread, migrated

from domainflow.store import leaders
from domainflow.store.leaders import Term

__all__ = ["emptied", "migrated"]  # fixtures

TERM_S: Final = 600.0
OVER: Final = "update domainflow.leader set until = clock_timestamp() - interval '1 second'"


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


def lead(actor: Actor, name: str = "upkeep") -> Term | None:
    return leaders.hold(actor.upkeep, name, actor.runtime, term_s=TERM_S)


def term_of(actor: Actor) -> Term:
    term = lead(actor)
    assert term is not None
    return term


def test_of_two_that_would_lead_at_once_one_does(actor: Actor, other: Actor) -> None:
    with ThreadPoolExecutor(2) as both:
        for number in range(1, 21):
            terms = [term for term in both.map(lead, (actor, other)) if term]
            assert [term.number for term in terms] == [number]
            actor.upkeep.execute(OVER)


def test_who_goes_on_leading_stays_in_its_term_and_others_wait(actor: Actor, other: Actor) -> None:
    first = term_of(actor)
    assert (term_of(actor), lead(other)) == (first, None)
    assert first == Term("upkeep", actor.runtime, 1)


def test_a_term_that_has_run_out_is_followed_by_a_higher_one_whoever_holds_it(actor: Actor, other: Actor) -> None:
    numbers = []
    for who in (actor, actor, other, actor):
        numbers.append(term_of(who).number)
        actor.upkeep.execute(OVER)
    assert numbers == [1, 2, 3, 4]


@pytest.mark.parametrize("death", ["session", "lease", "good-bye"])
def test_a_leader_that_is_not_alive_is_followed_at_once(
    actor: Actor, other: Actor, emptied: Database, death: str
) -> None:
    term_of(other)
    assert lead(actor) is None
    match death:
        case "session":
            pid = other.session.info.backend_pid
            other.die()
            await_gone(emptied.admin_dsn, pid)
        case "lease":
            actor.upkeep.execute("update domainflow.runtime set lease_until = now() where id = %s", (other.runtime,))
        case _:
            actor.upkeep.execute("delete from domainflow.runtime where id = %s", (other.runtime,))
    assert term_of(actor).number == 2
    assert lead(other) is None  # the dead lead nothing


def test_the_dead_do_not_begin_to_lead(actor: Actor) -> None:
    actor.upkeep.execute("update domainflow.runtime set lease_until = now()")
    assert lead(actor) is None
    assert actor.see("select count(*) from domainflow.leader") == [0]


def test_different_things_have_different_leaders(actor: Actor, other: Actor) -> None:
    assert (lead(actor, "upkeep"), lead(other, "monitor")) == (
        Term("upkeep", actor.runtime, 1),
        Term("monitor", other.runtime, 1),
    )


def test_nothing_is_done_under_a_term_that_is_over(actor: Actor, other: Actor) -> None:
    old = term_of(actor)
    assert leaders.holds(actor.upkeep, old)
    actor.upkeep.execute(OVER)
    assert not leaders.holds(actor.upkeep, old)
    new = term_of(other)
    assert (leaders.holds(actor.upkeep, old), leaders.holds(other.upkeep, new)) == (False, True)


def test_the_next_term_waits_for_what_was_begun_under_the_last_one(
    actor: Actor, other: Actor, emptied: Database
) -> None:
    old = term_of(actor)
    with actor.upkeep.transaction():
        assert leaders.holds(actor.upkeep, old)
        other.upkeep.execute("delete from domainflow.runtime where id = %s", (actor.runtime,))
        following = in_thread(lambda: lead(other))
        await_blocked(emptied.admin_dsn, 1)
    assert following.result(SOON_S) == Term("upkeep", other.runtime, 2)
    assert not leaders.holds(actor.upkeep, old)
