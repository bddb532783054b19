"""Who is alive and who owns what: leases, locks that end with their session, epochs that only rise. Both stores."""

import psycopg
import pytest
from both import Both, actor, joined, on_postgres, other
from databases import Database
from durable import acting, emptied, item, migrated, new_uuid
from ledger import claim_one, complete, result

from domainflow.store.leases import HELD
from domainflow.store.port import OpenItem

__all__ = ["actor", "emptied", "joined", "migrated", "other"]  # fixtures

ENDED = """
insert into domainflow.head (stream, tenant, version, hash, epoch, owner, status)
select 'campaign/' || gen_random_uuid(), 'acme', 1, '', 1, %(runtime)s, status
  from generate_series(1, 5000), unnest(array['completed', 'failed', 'paused']) status
"""
PAGES_OF_FEW = 20  # of several hundred


def alive(actor: Both) -> set[str]:
    return {row[0] for row in actor.rows("alive")["alive"]}


def claims(actor: Both, stream: str) -> bool:
    return bool(actor.leases.claim_stream(actor.upkeep, actor.runtime, stream))


def epoch(actor: Both, stream: str) -> int | None:
    head = actor.streams.head(actor.upkeep, stream)
    assert head is not None
    return head.epoch


def test_who_is_registered_holds_lock_and_lease_and_is_alive(actor: Both) -> None:
    assert alive(actor) == {actor.runtime}


def test_a_session_that_ends_frees_at_once_though_the_lease_is_far_from_over(actor: Both, other: Both) -> None:
    other.die()
    assert alive(actor) == {actor.runtime}
    other.reappear()
    assert alive(actor) == {actor.runtime, other.runtime}


def test_a_lease_that_has_run_out_frees_though_the_session_still_stands(actor: Both, other: Both) -> None:
    other.expire()
    assert alive(actor) == {actor.runtime}


def test_a_renewed_lease_lives_again_and_a_forgotten_runtime_is_told_so(actor: Both) -> None:
    assert actor.leases.renew(actor.upkeep, actor.runtime, lease_s=60) is False  # it was not over
    actor.expire()
    assert actor.leases.renew(actor.upkeep, actor.runtime, lease_s=60) is True
    assert alive(actor) == {actor.runtime}
    actor.leases.unregister(actor.upkeep, actor.runtime)
    assert actor.leases.renew(actor.upkeep, actor.runtime, lease_s=60) is None


def test_a_lost_session_is_made_good_by_standing_by_another_lock(actor: Both, other: Both) -> None:
    other.die()
    assert alive(actor) == {actor.runtime}
    other.reappear()
    assert alive(actor) == {actor.runtime, other.runtime}


@on_postgres
def test_a_lock_of_another_database_says_nothing_here(actor: Both, database: Database) -> None:
    with acting(database.dsn) as elsewhere:
        actor.upkeep.execute(
            "insert into domainflow.runtime (id, host, pid, lock_key, lease_until) "
            "values (%s, '', 1, %s, now() + interval '1 hour')",
            (elsewhere.runtime, elsewhere.see("select lock_key from domainflow.runtime")[0]),
        )
        assert alive(actor) == {actor.runtime}


# --- streams


def test_a_stream_that_nobody_owns_is_claimed_and_its_epoch_rises(actor: Both) -> None:
    actor.commit(item("s1", epoch=1))
    assert claims(actor, "s1")
    assert epoch(actor, "s1") == 2
    owner = actor.leases.owner(actor.upkeep, "s1")
    assert owner == (actor.runtime, "here pid 1", True)


def test_a_stream_of_a_living_owner_is_not_to_be_had(actor: Both, other: Both) -> None:
    actor.commit(item("s1", epoch=1))
    assert claims(actor, "s1")
    assert not claims(other, "s1")
    assert epoch(actor, "s1") == 2


def test_its_owner_may_claim_it_again_and_the_epoch_rises_again(actor: Both) -> None:
    actor.commit(item("s1", epoch=1))
    assert claims(actor, "s1")
    assert claims(actor, "s1")
    assert epoch(actor, "s1") == 3


@pytest.mark.parametrize("death", ["session", "lease", "forgotten"])
def test_a_stream_of_a_dead_owner_is_taken_over(actor: Both, other: Both, death: str) -> None:
    actor.commit(item("s1", epoch=1))
    assert claims(other, "s1")
    if death == "session":
        other.die()
    elif death == "lease":
        other.expire()
    else:
        other.forget()
    assert claims(actor, "s1")
    assert epoch(actor, "s1") == 3
    assert not claims(other, "s1")


@pytest.mark.parametrize("stream", ["shared", "missing"])
def test_shared_streams_and_missing_ones_are_nobodys(actor: Both, stream: str) -> None:
    actor.commit(item("shared"))
    assert not claims(actor, stream)
    assert actor.leases.owner(actor.upkeep, stream) is None


def test_a_dead_owner_is_named_as_dead(actor: Both, other: Both) -> None:
    actor.commit(item("s1", epoch=1))
    claims(other, "s1")
    other.expire()
    assert actor.leases.owner(actor.upkeep, "s1") == (other.runtime, "here pid 1", False)


def test_a_released_stream_is_free_and_keeps_its_epoch(actor: Both, other: Both) -> None:
    actor.commit(item("s1", epoch=1), item("s2", epoch=1))
    claims(actor, "s1")
    claims(actor, "s2")
    actor.leases.release_stream(actor.upkeep, actor.runtime, "s1")
    assert actor.leases.owner(actor.upkeep, "s1") is None
    assert actor.leases.owner(actor.upkeep, "s2") is not None
    assert epoch(actor, "s1") == 2
    assert claims(other, "s1")
    actor.leases.release_stream(actor.upkeep, actor.runtime, "s1")  # late: it is another one's by now
    assert actor.leases.owner(actor.upkeep, "s1") is not None


def test_who_leaves_gives_back_everything(actor: Both, other: Both) -> None:
    actor.commit(item("s1", epoch=1))
    claims(other, "s1")
    actor.leases.unregister(other.upkeep, other.runtime)
    assert actor.leases.owner(actor.upkeep, "s1") is None
    assert alive(actor) == {actor.runtime}


# --- who should be executing


def test_held_are_the_streams_of_a_runtime_that_execute_or_are_to(actor: Both) -> None:
    statuses = ("pending", "queued", "running", "pausing", "paused", "failed", "completed", "cancelled")
    actor.commit(*(item(f"campaign/{status}", epoch=1, status=status) for status in (*statuses, "queued too")))
    for status in statuses:
        claims(actor, f"campaign/{status}")
    held = actor.leases.held(actor.upkeep, actor.runtime)
    assert [each.status for each in held] == ["pausing", "queued", "running"]


@pytest.mark.parametrize("status", ["paused", "failed"])
def test_held_are_those_at_rest_while_something_of_theirs_is_to_be_accounted(actor: Both, status: str) -> None:
    campaign = new_uuid()
    opens = (OpenItem(1, 1, 0, 0, 10, parked=False),)
    running = item(f"campaign/{campaign}", epoch=1, status="running", campaign=campaign, opens=opens)
    actor.commit(running)
    claims(actor, running.stream)
    claimed = claim_one(actor)
    actor.commit(item(running.stream, running, epoch=2, status=status))
    assert actor.leases.held(actor.upkeep, actor.runtime) == []
    assert complete(actor, result(claimed))
    assert [each.status for each in actor.leases.held(actor.upkeep, actor.runtime)] == [status]


@on_postgres
def test_what_is_held_is_found_by_as_little_reading_however_much_has_ended(actor: Both, migrated: Database) -> None:
    with psycopg.connect(migrated.admin_dsn, autocommit=True) as admin:
        admin.execute(ENDED, {"runtime": actor.runtime})
        admin.execute("vacuum analyze domainflow.head")
        row = admin.execute(f"explain (analyze, buffers, format json) {HELD}", {"runtime": actor.runtime}).fetchone()
    assert row is not None
    assert row[0][0]["Plan"]["Shared Hit Blocks"] + row[0][0]["Plan"]["Shared Read Blocks"] < PAGES_OF_FEW


@on_postgres
def test_runtimes_that_are_long_dead_and_hold_no_item_are_forgotten(actor: Both) -> None:
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
    actor.leases.forget_dead(actor.upkeep)
    assert set(actor.see("select id::text from domainflow.runtime")) == {actor.runtime, holding, lately}
