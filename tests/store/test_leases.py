"""Who is alive and who owns what: leases, locks that end with their session, epochs that only rise."""

from collections.abc import Iterator

import pytest
from databases import Database
from durable import Actor, acting, await_gone, emptied, item, migrated, new_uuid

from domainflow.store import leases, streams

__all__ = ["emptied", "migrated"]  # fixtures


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn) as acts:
        yield acts


def kill(actor: Actor, admin_dsn: str) -> None:
    """Its session ends as with its process; the lease is far from over."""
    pid = actor.session.info.backend_pid
    actor.die()
    await_gone(admin_dsn, pid)


def expire(actor: Actor) -> None:
    actor.upkeep.execute(
        "update domainflow.runtime set lease_until = clock_timestamp() - interval '1 second' where id = %s",
        (actor.runtime,),
    )


def claims(actor: Actor, stream: str) -> bool:
    return bool(leases.claim_stream(actor.upkeep, actor.runtime, stream))


def epoch(actor: Actor, stream: str) -> int | None:
    head = streams.head(actor.upkeep, stream)
    assert head is not None
    return head.epoch


def test_who_is_registered_holds_lock_and_lease_and_is_alive(actor: Actor) -> None:
    assert actor.see("select id::text from domainflow.live_runtime") == [actor.runtime]


def test_a_session_that_ends_frees_at_once_though_the_lease_is_far_from_over(
    actor: Actor, other: Actor, emptied: Database
) -> None:
    kill(other, emptied.admin_dsn)
    assert actor.see("select id::text from domainflow.live_runtime") == [actor.runtime]
    assert actor.see("select count(*) from domainflow.runtime where lease_until > now() + interval '9 minutes'") == [2]


def test_a_lease_that_has_run_out_frees_though_the_session_still_stands(actor: Actor, other: Actor) -> None:
    expire(other)
    assert actor.see("select id::text from domainflow.live_runtime") == [actor.runtime]


def test_a_renewed_lease_lives_again_and_a_forgotten_runtime_is_told_so(actor: Actor) -> None:
    expire(actor)
    assert leases.renew(actor.upkeep, actor.runtime, lease_s=60)
    assert actor.see("select id::text from domainflow.live_runtime") == [actor.runtime]
    actor.upkeep.execute("delete from domainflow.runtime")
    assert not leases.renew(actor.upkeep, actor.runtime, lease_s=60)


def test_a_lost_session_is_made_good_by_standing_by_another_lock(actor: Actor, other: Actor, emptied: Database) -> None:
    kill(other, emptied.admin_dsn)
    leases.move_lock(other.upkeep, other.runtime, 4711)
    assert len(actor.see("select id from domainflow.live_runtime")) == 2


def test_a_lock_of_another_database_says_nothing_here(actor: Actor, database: Database) -> None:
    with acting(database.dsn) as elsewhere:
        actor.upkeep.execute(
            "insert into domainflow.runtime (id, host, pid, lock_key, lease_until) "
            "values (%s, '', 1, %s, now() + interval '1 hour')",
            (elsewhere.runtime, elsewhere.see("select lock_key from domainflow.runtime")[0]),
        )
        assert actor.see("select id::text from domainflow.live_runtime") == [actor.runtime]


# --- streams


def test_a_stream_that_nobody_owns_is_claimed_and_its_epoch_rises(actor: Actor) -> None:
    actor.commit(item("s1", epoch=1))
    assert claims(actor, "s1")
    assert epoch(actor, "s1") == 2
    owner = leases.owner(actor.upkeep, "s1")
    assert owner == (actor.runtime, "here pid 1", True)


def test_a_stream_of_a_living_owner_is_not_to_be_had(actor: Actor, other: Actor) -> None:
    actor.commit(item("s1", epoch=1))
    assert claims(actor, "s1")
    assert not claims(other, "s1")
    assert epoch(actor, "s1") == 2


def test_its_owner_may_claim_it_again_and_the_epoch_rises_again(actor: Actor) -> None:
    actor.commit(item("s1", epoch=1))
    assert claims(actor, "s1")
    assert claims(actor, "s1")
    assert epoch(actor, "s1") == 3


@pytest.mark.parametrize("death", ["session", "lease", "forgotten"])
def test_a_stream_of_a_dead_owner_is_taken_over(actor: Actor, other: Actor, emptied: Database, death: str) -> None:
    actor.commit(item("s1", epoch=1))
    assert claims(other, "s1")
    if death == "session":
        kill(other, emptied.admin_dsn)
    elif death == "lease":
        expire(other)
    else:
        actor.upkeep.execute("delete from domainflow.runtime where id = %s", (other.runtime,))
    assert claims(actor, "s1")
    assert epoch(actor, "s1") == 3
    assert not claims(other, "s1")


@pytest.mark.parametrize("stream", ["shared", "missing"])
def test_shared_streams_and_missing_ones_are_nobodys(actor: Actor, stream: str) -> None:
    actor.commit(item("shared"))
    assert not claims(actor, stream)
    assert leases.owner(actor.upkeep, stream) is None


def test_a_dead_owner_is_named_as_dead(actor: Actor, other: Actor) -> None:
    actor.commit(item("s1", epoch=1))
    claims(other, "s1")
    expire(other)
    assert leases.owner(actor.upkeep, "s1") == (other.runtime, "here pid 1", False)


def test_a_released_stream_is_free_and_keeps_its_epoch(actor: Actor, other: Actor) -> None:
    actor.commit(item("s1", epoch=1), item("s2", epoch=1))
    claims(actor, "s1")
    claims(actor, "s2")
    leases.release_stream(actor.upkeep, actor.runtime, "s1")
    assert leases.owner(actor.upkeep, "s1") is None
    assert leases.owner(actor.upkeep, "s2") is not None
    assert epoch(actor, "s1") == 2
    assert claims(other, "s1")
    leases.release_stream(actor.upkeep, actor.runtime, "s1")  # late: it is another one's by now
    assert leases.owner(actor.upkeep, "s1") is not None


def test_who_leaves_gives_back_everything(actor: Actor, other: Actor) -> None:
    actor.commit(item("s1", epoch=1))
    claims(other, "s1")
    leases.unregister(other.upkeep, other.runtime)
    assert leases.owner(actor.upkeep, "s1") is None
    assert actor.see("select id::text from domainflow.runtime") == [actor.runtime]


# --- who should be executing


def test_orphans_are_campaigns_that_should_execute_and_that_nobody_alive_owns(actor: Actor, other: Actor) -> None:
    statuses = ("pending", "queued", "running", "pausing", "paused", "completed", "failed", "cancelled")
    actor.commit(*(item(f"campaign/{status}", epoch=1, status=status) for status in statuses))
    should = ["campaign/pausing", "campaign/queued", "campaign/running"]
    assert leases.orphans(actor.upkeep, limit=10) == should
    assert leases.orphans(actor.upkeep, limit=2) == should[:2]
    assert claims(other, "campaign/running")
    assert leases.orphans(actor.upkeep, limit=10) == should[:2]
    expire(other)
    assert leases.orphans(actor.upkeep, limit=10) == should


def test_held_are_the_streams_of_a_runtime_that_may_have_something_to_account(actor: Actor) -> None:
    statuses = ("pending", "queued", "failed", "completed", "cancelled")
    actor.commit(*(item(f"campaign/{status}", epoch=1, status=status) for status in statuses))
    for status in statuses[:-1]:
        claims(actor, f"campaign/{status}")
    assert [(each.stream, each.status) for each in leases.held(actor.upkeep, actor.runtime)] == [
        ("campaign/failed", "failed"),
        ("campaign/queued", "queued"),
    ]


def test_runtimes_that_are_long_dead_and_hold_no_item_are_forgotten(actor: Actor) -> None:
    long, holding, lately = new_uuid(), new_uuid(), new_uuid()
    for runtime, ago in ((long, "2 hours"), (holding, "2 hours"), (lately, "10 minutes")):
        actor.upkeep.execute(
            "insert into domainflow.runtime (id, host, pid, lock_key, lease_until) "
            "values (%s, '', 1, 1, now() - %s::interval)",
            (runtime, ago),
        )
    actor.upkeep.execute(
        "insert into domainflow.work_item (campaign, tenant, phase, run, batch, start, stop, state, runtime) "
        "values (%s, 'acme', 0, 1, 0, 0, 1, 1, %s)",
        (new_uuid(), holding),
    )
    leases.forget_dead(actor.upkeep)
    assert set(actor.see("select id::text from domainflow.runtime")) == {actor.runtime, holding, lately}
