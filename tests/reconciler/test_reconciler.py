"""The reconciler on a real Postgres: each difference is mended, once, with its record; and by which guards."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from child import eventually
from databases import Database
from durable import Actor, acting, emptied, migrated, new_uuid, row_lock
from msgspec.structs import replace
from stage import context
from structlog.testing import capture_logs

from domainflow.actors.campaign.evolution import FOLD_VERSION
from domainflow.actors.campaign.messages import StartCampaign
from domainflow.actors.reconciler import actor as reconciler
from domainflow.actors.reconciler import core
from domainflow.actors.reconciler.actor import Reconciler
from domainflow.actors.reconciler.messages import Activate, Quarantine, Rescue
from domainflow.actors.rules import encode
from domainflow.errors import Denied, NotFound
from domainflow.store import commands, leases, reconcile_sql, work_items
from domainflow.store.commands import Boxed
from domainflow.store.observed import Wanted, Why
from domainflow.store.transaction import Kind, transaction
from domainflow.verify import verify
from domainflow.vocabulary import CampaignStatus

from scenes import (  # isort: skip  # beside this file
    ALICE,
    SETTINGS,
    SPEC,
    SPOIL,
    STATE,
    CountedLooks,
    activations,
    acts_on_what_is_not_recorded,
    ask,
    claim,
    has_actor,
    in_quarantine,
    is_mended_after_a_failure,
    opened,
    owner,
    plans,
    queued,
    records,
    running,
    stop,
    tries_a_poisoned_stream,
    unreadable,
)
from mutants import NO_QUARANTINE, SeenOnce, act_and_record  # isort: skip  # likewise

__all__ = ["emptied", "migrated"]  # fixtures

MOST_SEEN = 8


@pytest.fixture
def other(emptied: Database) -> Iterator[Actor]:
    """Another runtime, of which nothing lives but its session."""
    with acting(emptied.dsn) as acts:
        yield acts


# --- each difference, mended with its record


def test_a_campaign_that_nobody_owns_is_taken_over(emptied: Database, home: Path) -> None:
    (orphan,) = queued(emptied, home)
    with opened(emptied, home) as runtime:
        eventually(lambda: owner(emptied, orphan) == runtime.id, "it is taken over")
        wanted = Wanted(f"campaign/{orphan}", "acme", 2, "queued", None, 0, Why.ORPHANED)
        assert plans(emptied) == [Activate(wanted)]
        assert [fault.line for fault in verify(runtime.store)] == []


def test_a_campaign_is_taken_over_once_the_lease_of_its_owner_has_run_out(
    emptied: Database, home: Path, other: Actor
) -> None:
    held, orphan = queued(emptied, home, 2)
    assert leases.claim_stream(other.upkeep, other.runtime, f"campaign/{held}")
    with opened(emptied, home) as runtime:
        eventually(lambda: owner(emptied, orphan) == runtime.id, "what nobody owns is taken over")
        assert activations(emptied, held) == 0
        expired = "update domainflow.runtime set lease_until = clock_timestamp() where id = %s"
        other.upkeep.execute(expired, (other.runtime,))
        eventually(lambda: owner(emptied, held) == runtime.id, "it is taken over")
        assert plans(emptied)[1:] == [
            Activate(Wanted(f"campaign/{held}", "acme", 2, "queued", other.runtime, 0, Why.ORPHANED))
        ]


def test_a_campaign_of_ours_without_an_actor_gets_one(emptied: Database, home: Path) -> None:
    with opened(emptied, home) as runtime:
        campaign = running(emptied, runtime)
        stop(runtime, campaign)
        eventually(lambda: has_actor(runtime, campaign), "it has an actor again")
        (action,) = plans(emptied)
        assert isinstance(action, Activate)
        assert (action.wanted.why, action.wanted.owner) == (Why.UNTENDED, runtime.id)


def test_what_a_dead_runtime_had_claimed_is_put_back(emptied: Database, home: Path, other: Actor) -> None:
    with opened(emptied, home) as runtime:
        running(emptied, runtime)
        items = tuple(sorted(claimed.id for claimed in claim(other, 3)))
        other.die()
        eventually(lambda: ask(emptied, "select 1 from domainflow.work_item where state = 1") == [], "all are ready")
        assert plans(emptied) == [Rescue("acme", other.runtime, items)]


def test_what_comes_in_late_for_a_failed_campaign_is_accounted(emptied: Database, home: Path, other: Actor) -> None:
    with opened(emptied, home) as runtime:
        campaign = running(emptied, runtime)
        bad, late = claim(other, 2)
        work_items.fail(other.upkeep, bad.id, bad.fence, work_items.Failure(reason="?", retries=0, delay_s=0.0))
        handle = runtime.as_principal(ALICE).campaign(campaign)
        assert handle.wait(30.0).status is CampaignStatus.FAILED
        eventually(lambda: not has_actor(runtime, campaign), "its actor has ended")
        before = handle.view().version
        counts = (("generated", late.stop - late.start),)
        result = work_items.Result(item=late.id, fence=late.fence, counts=counts, outcomes=b"", hits=())
        assert runtime.store.store_results([result], ["acme"]) == [True]
        eventually(lambda: ask(emptied, "select 1 from domainflow.work_item where state = 2") == [], "it is accounted")
        stream = f"campaign/{campaign}"
        assert plans(emptied) == [Activate(Wanted(stream, "acme", before, "failed", runtime.id, 1, Why.UNACCOUNTED))]
        assert [fault.line for fault in verify(runtime.store)] == []


def test_a_command_whose_owner_has_died_since_is_heard(emptied: Database, home: Path, other: Actor) -> None:
    with opened(emptied, home, campaigns=False) as creating:
        campaign = creating.as_principal(ALICE).create_campaign(SPEC).id
    stream = f"campaign/{campaign}"
    assert leases.claim_stream(other.upkeep, other.runtime, stream)
    boxed = Boxed(new_uuid(), stream, "acme", encode(StartCampaign()), encode(context(ALICE)))
    with transaction(other.app, Kind.TOOL, tenants=["acme"]):
        commands.put(other.app, boxed, deadline_s=600.0)
    other.die()
    with opened(emptied, home) as runtime:
        answered = "select 1 from domainflow.command where answer is not null"
        eventually(lambda: ask(emptied, answered) != [], "it is answered")
        assert plans(emptied) == [Activate(Wanted(stream, "acme", 1, "pending", other.runtime, 1, Why.UNHEARD))]
        assert [fault.line for fault in verify(runtime.store)] == []


def test_where_nothing_is_amiss_nothing_is_recorded(
    emptied: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = CountedLooks()
    monkeypatch.setattr(reconcile_sql, "observe", looks)
    with opened(emptied, home) as runtime:
        campaign = running(emptied, runtime)
        looks.await_more(5)
        assert owner(emptied, campaign) == runtime.id
        assert plans(emptied) == []


def test_more_orphans_than_permits_are_all_taken_over_and_no_more_than_those_at_once(
    emptied: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "MOST_UNDER_WAY", 2)
    orphans = queued(emptied, home, 7)
    with opened(emptied, home) as runtime:
        eventually(lambda: all(owner(emptied, each) == runtime.id for each in orphans), "all are taken over")
        recorded = [record.actions for record in records(emptied)]
    assert sorted(action.wanted.stream for actions in recorded for action in actions) == [
        f"campaign/{each}" for each in orphans
    ]
    assert max(map(len, recorded)) == 2


def test_who_had_to_wait_for_a_permit_need_not_wait_for_the_next_sweep(
    emptied: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (core, reconciler):
        monkeypatch.setattr(module, "MOST_UNDER_WAY", 2)
    orphans = queued(emptied, home, 5)
    with opened(emptied, home, settings=replace(SETTINGS, sweep_s=60.0)) as runtime:
        eventually(lambda: all(owner(emptied, each) == runtime.id for each in orphans), "all are taken over")


def test_each_tenant_has_a_record_of_its_own(emptied: Database, home: Path) -> None:
    queued(emptied, home)
    queued(emptied, home, who=replace(ALICE, tenant="other"))
    with opened(emptied, home):
        eventually(lambda: len(records(emptied)) == 2, "both are recorded")
    assert ask(
        emptied, "select distinct tenant from domainflow.event where type = 'reconciler.planned' order by 1"
    ) == [("acme",), ("other",)]
    assert [len({action.tenant for action in record.actions}) for record in records(emptied)] == [1, 1]


# --- what cannot be mended


def test_a_stream_that_cannot_be_read_is_left_alone_after_three_tries_and_others_go_on(
    emptied: Database, home: Path
) -> None:
    with capture_logs() as said:
        assert tries_a_poisoned_stream(emptied, home, most=MOST_SEEN) == core.MOST_TRIES
    (quarantine,) = [action for action in plans(emptied) if isinstance(action, Quarantine)]
    assert (quarantine.for_s, quarantine.tried.tries) == (60.0, 3)
    assert "Corrupt: the snapshot of " in quarantine.tried.reason
    assert [line["stream"] for line in said if line["event"] == "stream_left_alone"] == [quarantine.tried.stream]


def test_a_stream_that_postgres_refuses_to_read_is_left_alone_likewise(emptied: Database, home: Path) -> None:
    (poisoned,) = queued(emptied, home)
    stream = f"campaign/{poisoned}"
    with unreadable(emptied, stream), opened(emptied, home):
        eventually(lambda: in_quarantine(emptied) == [(stream,)], "it is left alone")
    assert activations(emptied, poisoned) == core.MOST_TRIES
    (quarantine,) = [action for action in plans(emptied) if isinstance(action, Quarantine)]
    assert "SQLSTATE 22012" in quarantine.tried.reason


def test_work_that_cannot_be_put_back_is_tried_ever_more_seldom_until_it_can(
    emptied: Database, home: Path, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = CountedLooks()
    monkeypatch.setattr(reconcile_sql, "observe", looks)
    with opened(emptied, home) as runtime:
        running(emptied, runtime)
        (claimed,) = claim(other)
        with row_lock(emptied.admin_dsn, "select 1 from domainflow.work_item where id = %s for update", claimed.id):
            other.die()
            eventually(lambda: plans(emptied) != [], "its rescue is planned")
            looks.await_more(40)
            assert len(plans(emptied)) < 20
        eventually(lambda: ask(emptied, STATE, claimed.id) == [(0,)], "it is put back")


def test_what_is_released_is_tried_again(emptied: Database, home: Path) -> None:
    (poisoned,) = queued(emptied, home)
    stream = f"campaign/{poisoned}"
    ask(emptied, SPOIL, FOLD_VERSION, stream)
    with opened(emptied, home) as runtime:
        eventually(lambda: in_quarantine(emptied) == [(stream,)], "it is left alone")
        ask(emptied, "delete from domainflow.snapshot where stream = %s", stream)
        operations = runtime.as_principal(ALICE)
        operations.release(poisoned)
        eventually(lambda: owner(emptied, poisoned) == runtime.id, "it is taken over")
        with pytest.raises(NotFound, match="is not in quarantine"):
            operations.release(poisoned)
    who = "select convert_from(context, 'LATIN1') from domainflow.event where type = 'audit.released'"
    ((context_,),) = ask(emptied, who)
    assert "alice" in str(context_)


def test_only_who_may_execute_a_campaign_releases_it(emptied: Database, home: Path) -> None:
    (poisoned,) = queued(emptied, home)
    ask(emptied, SPOIL, FOLD_VERSION, f"campaign/{poisoned}")
    with opened(emptied, home) as runtime:
        eventually(lambda: in_quarantine(emptied) != [], "it is left alone")
        viewer = runtime.as_principal(replace(ALICE, id="eve", roles=("viewer",)))
        with pytest.raises(Denied):
            viewer.release(poisoned)
        with pytest.raises(NotFound):
            runtime.as_principal(replace(ALICE, tenant="other")).release(poisoned)
        assert in_quarantine(emptied) != []
    assert ask(emptied, "select count(*) from domainflow.event where type = 'audit.denied'") == [(1,)]


# --- the guards, and what happens without them


def test_nothing_is_done_before_its_plan_is_recorded(emptied: Database, home: Path, other: Actor) -> None:
    assert acts_on_what_is_not_recorded(emptied, home, other) is False


def test_it_is_the_wait_for_the_record_that_keeps_it_from_it(
    emptied: Database, home: Path, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reconciler, "_record", act_and_record)
    assert acts_on_what_is_not_recorded(emptied, home, other) is True


def test_without_a_quarantine_what_cannot_start_is_started_for_ever(
    emptied: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "MOST_TRIES", NO_QUARANTINE)
    assert tries_a_poisoned_stream(emptied, home, most=MOST_SEEN) >= MOST_SEEN


def test_what_could_not_be_done_at_one_look_is_done_at_another(emptied: Database, home: Path) -> None:
    assert is_mended_after_a_failure(emptied, home) is True


def test_who_looks_for_changes_alone_misses_it(emptied: Database, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_sql, "observe", SeenOnce())
    assert is_mended_after_a_failure(emptied, home) is False
