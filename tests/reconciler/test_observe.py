"""What the reconciler sees of the store, and what it writes there. Real Postgres."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
import pytest
from databases import Database
from durable import Actor, acting, await_gone, emptied, item, migrated, new_uuid

from domainflow.store import commands, leases, pool, reconcile_sql, work_items
from domainflow.store.commands import Boxed
from domainflow.store.observed import LostClaim, Observed, Tried, Wanted, Why
from domainflow.store.port import OpenItem
from domainflow.store.transaction import Kind, transaction

__all__ = ["emptied", "migrated"]  # fixtures

STATUSES: Final = ("pending", "queued", "running", "pausing", "paused", "completed", "failed", "cancelled")
EXECUTING: Final = ["campaign/pausing", "campaign/queued", "campaign/running"]


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


def nobody(_: str) -> bool:
    return False


def look(actor: Actor, is_live: Callable[[str], bool] = nobody) -> Observed:
    with transaction(actor.upkeep, Kind.TOOL, one_instant=True):
        return reconcile_sql.observe(actor.upkeep, actor.runtime, is_live)


def streams(observed: Observed, why: Why) -> list[str]:
    return [each.stream for each in observed.wanted if each.why is why]


def claims(actor: Actor, *streams_: str) -> None:
    for stream in streams_:
        assert leases.claim_stream(actor.upkeep, actor.runtime, stream)


def expire(actor: Actor) -> None:
    actor.upkeep.execute(
        "update domainflow.runtime set lease_until = clock_timestamp() where id = %s", (actor.runtime,)
    )


def of_each_status(actor: Actor) -> None:
    actor.commit(*(item(f"campaign/{status}", epoch=1, status=status) for status in STATUSES))


def with_work(actor: Actor, status: str = "running") -> str:
    """A campaign with three ready items."""
    campaign = new_uuid()
    opens = tuple(OpenItem(1, 1, n, 10 * n, 10 * n + 10, parked=False) for n in range(3))
    actor.commit(item(f"campaign/{campaign}", epoch=1, status=status, campaign=campaign, opens=opens))
    return campaign


@pytest.fixture
def boxing(emptied: Database) -> Iterator[Callable[..., str]]:
    """Puts commands as the application does, for it alone may."""
    with pool.connect(emptied.dsn, "app") as connection:

        def put(stream: str, *, deadline_s: float = 600.0) -> str:
            id_ = new_uuid()
            boxed = Boxed(id_, stream, "acme", b"c", b"x")
            with transaction(connection, Kind.TOOL, tenants=["acme"]):
                commands.put(connection, boxed, deadline_s=deadline_s)
            return id_

        yield put


# --- what is seen


def test_nothing_is_seen_where_nothing_is_amiss(actor: Actor) -> None:
    of_each_status(actor)
    claims(actor, *EXECUTING)
    assert look(actor, lambda _: True) == Observed()


def test_orphans_are_campaigns_that_should_execute_and_that_nobody_alive_owns(actor: Actor, other: Actor) -> None:
    of_each_status(actor)
    assert streams(look(actor), Why.ORPHANED) == EXECUTING
    claims(other, "campaign/running")
    assert streams(look(actor), Why.ORPHANED) == EXECUTING[:2]
    expire(other)
    assert streams(look(actor), Why.ORPHANED) == EXECUTING


def test_an_orphan_is_shown_with_who_owned_it(actor: Actor, other: Actor) -> None:
    actor.commit(item("campaign/a", epoch=1, status="running"))
    claims(other, "campaign/a")
    expire(other)
    assert look(actor).wanted == (Wanted("campaign/a", "acme", 1, "running", other.runtime, 0, Why.ORPHANED),)


def test_untended_are_those_owned_here_that_should_execute_and_have_no_actor(actor: Actor, other: Actor) -> None:
    of_each_status(actor)
    claims(actor, *(f"campaign/{status}" for status in STATUSES if status != "queued"))
    claims(other, "campaign/queued")
    assert sorted(streams(look(actor), Why.UNTENDED)) == ["campaign/pausing", "campaign/running"]
    assert streams(look(actor, "campaign/running".__eq__), Why.UNTENDED) == ["campaign/pausing"]


@pytest.mark.parametrize(
    ("status", "seen"), [("paused", True), ("failed", True), ("completed", False), ("cancelled", False)]
)
def test_unaccounted_are_those_at_rest_with_batches_done(
    actor: Actor,
    status: str,
    seen: bool,  # noqa: FBT001 - a column of the table
) -> None:
    campaign = with_work(actor, status)
    actor.upkeep.execute("update domainflow.work_item set state = 2 where batch < 2")
    expected = (Wanted(f"campaign/{campaign}", "acme", 1, status, None, 2, Why.UNACCOUNTED),) if seen else ()
    assert look(actor).wanted == expected
    claims(actor, f"campaign/{campaign}")
    assert streams(look(actor), Why.UNACCOUNTED) == [each.stream for each in expected]
    assert look(actor, lambda _: True).wanted == ()  # its actor will hear of them


def test_what_another_live_runtime_has_not_accounted_is_left_to_it(actor: Actor, other: Actor) -> None:
    campaign = with_work(actor, "failed")
    actor.upkeep.execute("update domainflow.work_item set state = 2")
    claims(other, f"campaign/{campaign}")
    assert look(actor).wanted == ()


def test_unheard_are_those_with_open_commands_and_no_live_owner(
    actor: Actor, other: Actor, boxing: Callable[..., str]
) -> None:
    actor.commit(*(item(f"campaign/{name}", epoch=1, status="paused") for name in "abcde"))
    claims(other, "campaign/b")
    claims(actor, "campaign/c")
    for name in "abcd":
        boxing(f"campaign/{name}")
    boxing("campaign/a")
    commands.withdraw(actor.upkeep, boxing("campaign/e"), b"answered")
    boxing("campaign/e", deadline_s=-1.0)
    found = [(each.stream, each.waiting) for each in look(actor).wanted if each.why is Why.UNHEARD]
    assert found == [("campaign/a", 2), ("campaign/d", 1)]
    expire(other)
    assert streams(look(actor), Why.UNHEARD) == ["campaign/a", "campaign/b", "campaign/d"]


def test_lost_are_items_of_dead_runtimes_and_they_are_put_back_if_that_still_holds(
    actor: Actor, other: Actor, emptied: Database
) -> None:
    with_work(actor)
    (mine,), (theirs,) = (work_items.claim(each.upkeep, each.runtime, 1) for each in (actor, other))
    assert look(actor).lost == ()
    assert reconcile_sql.put_back(actor.upkeep, other.runtime, (mine.id, theirs.id)) == 0  # it lives
    pid = other.session.info.backend_pid
    other.die()
    await_gone(emptied.admin_dsn, pid)
    assert look(actor).lost == (LostClaim(theirs.id, "acme", other.runtime),)
    assert reconcile_sql.put_back(actor.upkeep, other.runtime, (mine.id, theirs.id)) == 1
    assert reconcile_sql.put_back(actor.upkeep, other.runtime, (mine.id, theirs.id)) == 0
    assert actor.see("select fence from domainflow.work_item where id = %s", theirs.id) == [theirs.fence + 1]
    assert look(actor).lost == ()


def test_a_look_is_bounded_and_what_has_an_actor_hides_nothing(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_sql, "MOST", 3)
    names = [f"campaign/{n:02}" for n in range(10)]
    actor.commit(*(item(name, epoch=1, status="running") for name in names))
    assert streams(look(actor), Why.ORPHANED) == names[:3]
    claims(actor, *names)
    missing = {*names[6:]}
    seen = streams(look(actor, lambda stream: stream not in missing), Why.UNTENDED)
    assert len(seen) == 3
    assert set(seen) < missing


def test_a_look_can_write_nothing(actor: Actor) -> None:
    with transaction(actor.upkeep, Kind.TOOL, one_instant=True):
        reconcile_sql.observe(actor.upkeep, actor.runtime, nobody)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reconcile_sql.release(actor.upkeep, "campaign/a")


# --- the quarantine


def poison(actor: Actor, tries: int) -> Wanted:
    """An orphan that was tried so often."""
    actor.commit(born := item("campaign/a", epoch=1, status="running"))
    (wanted,) = look(actor).wanted
    for _ in range(tries):
        reconcile_sql.count_try(actor.upkeep, wanted, "Corrupt: ?")
    assert born.version == wanted.version
    return wanted


def confine(actor: Actor, **how: Any) -> None:  # noqa: ANN401 - as `confine` takes it
    (tried,) = look(actor).tried
    reconcile_sql.confine(actor.upkeep, tried, **{"for_s": 600.0, "tries": 2, **how})


def later(actor: Actor, seconds: int) -> None:
    """As if so many seconds had passed since."""
    actor.upkeep.execute(
        "update domainflow.quarantine set last_at = last_at - make_interval(secs => %(s)s), "
        "until = until - make_interval(secs => %(s)s)",
        {"s": seconds},
    )


def test_tries_are_counted_and_shown_with_what_is_wanted(actor: Actor) -> None:
    assert poison(actor, 0)
    assert look(actor).tried == ()
    reconcile_sql.count_try(actor.upkeep, look(actor).wanted[0], "first")
    reconcile_sql.count_try(actor.upkeep, look(actor).wanted[0], "second")
    assert look(actor).tried == (Tried("campaign/a", 1, 2, 0, "second"),)


def test_tries_far_apart_are_not_added_up(actor: Actor) -> None:
    wanted = poison(actor, 2)
    later(actor, 61)
    assert look(actor).tried == ()
    reconcile_sql.count_try(actor.upkeep, wanted, "again")
    assert look(actor).tried == (Tried("campaign/a", 1, 1, 0, "again"),)


def test_what_is_in_quarantine_is_not_wanted_until_it_is_over(actor: Actor) -> None:
    wanted = poison(actor, 3)
    confine(actor)
    assert look(actor).wanted == ()
    (shown,) = reconcile_sql.in_quarantine(actor.upkeep)
    assert (shown.stream, shown.version, shown.rounds, shown.reason) == ("campaign/a", 1, 1, "Corrupt: ?")
    later(actor, 601)
    assert look(actor).wanted == (wanted,)
    assert look(actor).tried == (Tried("campaign/a", 1, 2, 1, "Corrupt: ?"),)  # one more try, and it is back
    assert reconcile_sql.in_quarantine(actor.upkeep) == []


def test_of_two_that_confine_at_once_one_does(actor: Actor) -> None:
    poison(actor, 3)
    (tried,) = look(actor).tried
    for _ in range(2):
        reconcile_sql.confine(actor.upkeep, tried, for_s=600.0, tries=2)
    assert [each.rounds for each in reconcile_sql.in_quarantine(actor.upkeep)] == [1]


def test_a_stream_that_moves_leaves_its_quarantine(actor: Actor) -> None:
    poison(actor, 3)
    confine(actor)
    first = item("campaign/a", epoch=1, status="running")
    actor.commit(item("campaign/a", first, epoch=1, status="running"))
    (wanted,) = look(actor).wanted
    assert wanted.version == 2
    assert reconcile_sql.in_quarantine(actor.upkeep) == []
    reconcile_sql.count_try(actor.upkeep, wanted, "anew")
    assert look(actor).tried == (Tried("campaign/a", 2, 1, 0, "anew"),)


def test_who_is_released_is_wanted_again_and_nothing_is_held_against_it(actor: Actor) -> None:
    wanted = poison(actor, 3)
    confine(actor)
    reconcile_sql.release(actor.upkeep, "campaign/a")
    assert look(actor) == Observed((wanted,))


def test_what_was_tried_long_ago_is_forgotten(actor: Actor) -> None:
    wanted = poison(actor, 1)
    later(actor, 3601)
    reconcile_sql.count_try(actor.upkeep, Wanted("campaign/b", "acme", 1, "running", None, 0, wanted.why), "")
    assert actor.see("select stream from domainflow.quarantine") == ["campaign/b"]


def test_a_tenant_sees_its_own_quarantine_alone(actor: Actor) -> None:
    poison(actor, 3)
    confine(actor)
    for tenant, rows in (("acme", 1), ("other", 0)):
        with transaction(actor.app, Kind.TOOL, tenants=[tenant]):
            assert len(reconcile_sql.in_quarantine(actor.app)) == rows
