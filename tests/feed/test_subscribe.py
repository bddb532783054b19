"""Subscriptions and their kin through the public API, in this process and from another one: woken, resumed, bounded."""

import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psycopg
import pytest
from child import Child
from databases import Database
from durable import in_thread
from reading_on import NEVER_S, no_poll, told, write_as
from speaker import ALICE, MANY, SPEC

from domainflow import Operations, Principal, Runtime
from domainflow.errors import AskTimeout, Denied, InvalidInput, StoreUnavailable
from domainflow.store.feed import Position
from domainflow.subscriptions import Following
from domainflow.views import FeedChange

__all__ = ["no_poll"]  # fixtures

BEGINNING = "0.0.0"
SOON_S = 20.0  # for what happens at once


@pytest.fixture
def runtime(database: Database, home: Path) -> Iterator[Runtime]:
    """One that executes nothing: a campaign stays where its commands put it."""
    with Runtime.open(database.dsn, home=home, settings=MANY, campaigns=False, work=False) as opened:
        yield opened


@pytest.fixture
def ops(runtime: Runtime) -> Operations:
    return runtime.as_principal(ALICE)


@pytest.fixture
def other(database: Database, home: Path) -> Iterator[Child]:
    """The second process."""
    with Child("feed.speaker:speaker", dsn=database.dsn, home=str(home)) as child:
        child.wait_line("ready")
        yield child
        child.finish()


def signalling(following: Following) -> threading.Event:
    """Have a signal given when it has looked and found nothing."""
    found_nothing, look = threading.Event(), following.look

    def looking(deadline_s: float | None) -> list[FeedChange]:
        if not (changes := look(deadline_s)):
            found_nothing.set()
        return changes

    following.look = looking  # type: ignore[method-assign]  # it does what it did
    return found_nothing


# --- what comes


def test_what_happens_from_now_on_comes_in_each_campaigns_order_whoever_made_it(ops: Operations, other: Child) -> None:
    ops.create_campaign(SPEC)
    subscription = ops.subscribe(timeout_s=SOON_S)
    other.tell("create")
    theirs = other.wait_line("created")
    mine = ops.create_campaign(SPEC)
    mine.start()
    other.tell(f"start {theirs}")
    other.wait_line("started")
    changes = list(islice(subscription, 4))
    assert sorted(told(changes)) == sorted([(theirs, 1), (theirs, 2), (mine.id, 1), (mine.id, 2)])
    for id_ in (theirs, mine.id):
        assert [change.type for change in changes if change.campaign == id_] == ["campaign.created", "campaign.queued"]


def test_from_any_bookmark_it_goes_on_right_behind_it(ops: Operations) -> None:
    for _ in range(3):
        ops.create_campaign(SPEC).start()
    everything = list(islice(ops.subscribe(BEGINNING, timeout_s=SOON_S), 6))
    assert len(set(told(everything))) == 6
    for number, change in enumerate(everything, 1):
        rest = islice(ops.subscribe(change.bookmark, timeout_s=SOON_S), 6 - number)
        assert told(list(rest)) == told(everything[number:])


def test_the_next_life_of_a_runtime_goes_on_from_the_bookmark_of_the_last(database: Database, home: Path) -> None:
    with Runtime.open(database.dsn, home=home, campaigns=False, work=False) as first:
        subscription = first.as_principal(ALICE).subscribe(timeout_s=SOON_S)
        campaign = first.as_principal(ALICE).create_campaign(SPEC)
        assert told([next(subscription)]) == [(campaign.id, 1)]
        campaign.start()
    with Runtime.open(database.dsn, home=home, campaigns=False, work=False) as second:
        changes = second.as_principal(ALICE).subscribe(subscription.bookmark, timeout_s=SOON_S)
        assert told([next(changes)]) == [(campaign.id, 2)]


def test_the_bookmark_moves_past_what_is_not_for_the_subscriber(runtime: Runtime, ops: Operations) -> None:
    elsewhere = runtime.as_principal(Principal(id="bob", roles=("operator",), tenant="umbrella"))
    mine = elsewhere.create_campaign(SPEC)
    ops.create_campaign(SPEC)
    changes = elsewhere.subscribe(BEGINNING, timeout_s=0.05)
    change = next(changes)
    assert told([change]) == [(mine.id, 1)]
    passed_over = next(ops.subscribe(BEGINNING, timeout_s=SOON_S))
    assert Position.parse(change.bookmark) >= Position.parse(passed_over.bookmark)
    ops.create_campaign(SPEC)
    with pytest.raises(AskTimeout):
        next(changes)
    assert Position.parse(changes.bookmark) > Position.parse(change.bookmark)


# --- when it comes


@pytest.mark.usefixtures("no_poll")
def test_a_watch_is_woken_by_a_commit_of_its_own_process(ops: Operations) -> None:
    campaign = ops.create_campaign(SPEC)
    changes = campaign.watch()
    assert next(changes).version == 1
    waiting = in_thread(lambda: next(changes).version)
    campaign.start()
    assert waiting.result(SOON_S) == 2


@pytest.mark.usefixtures("no_poll")
def test_a_watch_is_woken_by_a_commit_of_another_process(ops: Operations, other: Child) -> None:
    campaign = ops.create_campaign(SPEC)
    changes = campaign.watch()
    assert next(changes).version == 1
    waiting = in_thread(lambda: next(changes).version)
    other.tell(f"start {campaign.id}")
    assert waiting.result(SOON_S) == 2


@pytest.mark.usefixtures("no_poll")
def test_a_subscription_is_woken_by_commits_of_both(ops: Operations, other: Child) -> None:
    subscription = ops.subscribe()
    waiting = in_thread(lambda: next(subscription).campaign)
    mine = ops.create_campaign(SPEC)
    assert waiting.result(SOON_S) == mine.id
    waiting = in_thread(lambda: next(subscription).campaign)
    other.tell("create")
    assert waiting.result(SOON_S) == other.wait_line("created")


@pytest.mark.usefixtures("no_poll")
def test_what_a_stranger_holds_back_comes_when_he_has_ended_though_nobody_says_so(
    ops: Operations, empty_database: Database
) -> None:
    subscription = ops.subscribe()
    looked = signalling(subscription.following)
    with psycopg.connect(empty_database.admin_dsn) as elsewhere:
        elsewhere.execute("select pg_current_xact_id()")
        mine = ops.create_campaign(SPEC)
        waiting = in_thread(lambda: next(subscription).campaign)
        assert looked.wait(SOON_S)
    assert waiting.result(SOON_S) == mine.id


def test_without_any_hint_it_is_found_all_the_same(ops: Operations, database: Database) -> None:
    """Written past every lane: nobody says a word."""
    campaign = ops.create_campaign(SPEC)
    subscription = ops.subscribe(timeout_s=SOON_S)
    write_as(database.admin_dsn, campaign.stream, 2)
    assert told([next(subscription)]) == [(campaign.id, 2)]


def test_when_nothing_happens_for_too_long_it_says_so_and_the_next_one_goes_on(ops: Operations) -> None:
    subscription = ops.subscribe(timeout_s=0.05)
    with pytest.raises(AskTimeout, match=r"nothing happened to any campaign for 0.05 s"):
        next(subscription)
    campaign = ops.create_campaign(SPEC)
    again = ops.subscribe(subscription.bookmark, timeout_s=SOON_S)
    assert told([next(again)]) == [(campaign.id, 1)]


def test_it_ends_with_its_runtime(database: Database, home: Path) -> None:
    with Runtime.open(database.dsn, home=home, campaigns=False, work=False) as runtime:
        subscription = runtime.as_principal(ALICE).subscribe()
        waiting = in_thread(lambda: next(subscription))
    with pytest.raises(StoreUnavailable, match="closed"):
        waiting.result(SOON_S)


# --- for whom


def test_nothing_of_another_tenant_comes(runtime: Runtime, ops: Operations) -> None:
    elsewhere = runtime.as_principal(Principal(id="alice", roles=("super_admin",), tenant="umbrella"))
    ops.create_campaign(SPEC)
    theirs = elsewhere.create_campaign(SPEC)
    assert told([next(elsewhere.subscribe(BEGINNING, timeout_s=SOON_S))]) == [(theirs.id, 1)]


def test_who_may_not_read_campaigns_may_not_subscribe_and_that_is_recorded(
    runtime: Runtime, database: Database
) -> None:
    nobody = runtime.as_principal(Principal(id="mallory", tenant="acme"))
    with pytest.raises(Denied, match="mallory may not campaigns:read"):
        nobody.subscribe()
    with psycopg.connect(database.admin_dsn) as admin:
        assert admin.execute("select count(*) from domainflow.event where type = 'audit.denied'").fetchone() == (1,)


@pytest.mark.parametrize("roles", [("viewer",), ("operator",), ("admin",), ()])
def test_a_subscription_shows_what_a_list_shows(runtime: Runtime, ops: Operations, roles: tuple[str, ...]) -> None:
    """Past the first gate, too: each campaign is looked at for itself."""
    ops.create_campaign(SPEC)
    bob = runtime.as_principal(Principal(id="bob", roles=roles, tenant="acme"))
    following = Following(runtime._parts, bob.principal, Position())  # noqa: SLF001 - past the first gate
    assert {change.campaign for change in following.look(None)} == {summary.id for summary in bob.campaigns()}
    assert following.position > Position()


@pytest.mark.parametrize("bookmark", ["yesterday", "1", "1.2.3.4"])
def test_what_is_no_bookmark_is_refused(ops: Operations, bookmark: str) -> None:
    with pytest.raises(InvalidInput, match="bookmark"):
        ops.subscribe(bookmark)


# --- reading one's own writes


def test_what_another_process_was_answered_is_in_the_view(ops: Operations, other: Child) -> None:
    campaign = ops.create_campaign(SPEC)
    other.tell(f"start {campaign.id}")
    version = int(other.wait_line("started"))
    view = campaign.view(at_least=version, timeout_s=SOON_S)
    assert (view.version, view.status) == (2, "queued")


@pytest.mark.usefixtures("no_poll")
def test_a_view_waits_for_its_version(ops: Operations) -> None:
    campaign = ops.create_campaign(SPEC)
    waiting = in_thread(lambda: campaign.view(at_least=2, timeout_s=NEVER_S).version)
    campaign.start()
    assert waiting.result(SOON_S) == 2


def test_a_view_of_a_version_that_does_not_come_says_how_far_it_is(ops: Operations) -> None:
    campaign = ops.create_campaign(SPEC)
    with pytest.raises(AskTimeout, match=r"is at version 1 after 0.05 s, not yet at 9"):
        campaign.view(at_least=9, timeout_s=0.05)
