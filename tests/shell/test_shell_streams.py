"""Shared streams are decided anew, owned ones fenced; and a restart begins where the stream ends."""

from functools import partial
from typing import Any

import pytest
from durable import SOON_S, Actor, await_blocked, emptied, in_thread, migrated, row_lock
from shell_stage import SOURCE, a_campaign, actor, admin, ask, house, lock, other, reserve, types
from stage import Stage, context

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.messages import (
    CancelCampaign,
    PauseCampaign,
    ResumeCampaign,
    RetryCampaign,
    StartCampaign,
)
from domainflow.actors.effects import ADMISSION, Tell, Wake
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.pending import Load
from domainflow.actors.ref import Ref
from domainflow.actors.rules import Ack
from domainflow.actors.signals import Answer
from domainflow.errors import (
    ActorStopped,
    Fenced,
    QuotaExceeded,
    SpaceExhausted,
    VersionConflict,
)
from domainflow.store import leases, streams

__all__ = ["actor", "admin", "emptied", "house", "migrated", "other"]  # fixtures


# --- shared streams


def ranges(actor: Actor) -> list[list[int]]:
    return actor.see("select array[base, base + count] from domainflow.campaign order by base")


def test_two_runtimes_share_a_source_without_sharing_a_name(house: Stage, other: Stage, actor: Actor) -> None:
    sources = [each.put_on(pattern.RULES, SOURCE) for each in (house, other)]
    for n in range(10):
        ask(sources[n % 2], reserve(10))  # each finds the stream moved by the other, and decides anew
    assert ranges(actor) == [[10 * n, 10 * n + 10] for n in range(10)]


def reserve_ten_times(ref: Ref[Any]) -> None:
    done = 0
    for _ in range(200):
        try:
            ask(ref, reserve(5, most_active=1000))
        except VersionConflict:
            continue  # the other one was quicker, eight times in a row
        done += 1
        if done == 10:
            return
    raise AssertionError("the other one is always quicker")


def test_runtimes_that_reserve_at_once_do_not_meet(house: Stage, other: Stage, actor: Actor) -> None:
    sources = [each.put_on(pattern.RULES, SOURCE) for each in (house, other)]
    racing = [in_thread(partial(reserve_ten_times, ref)) for ref in sources]
    for each in racing:
        each.result(SOON_S)
    assert ranges(actor) == [[5 * n, 5 * n + 5] for n in range(20)]
    assert streams.load(actor.upkeep, SOURCE, fold_version=0).version == 21  # one opened, twenty reserved


def test_who_decides_anew_may_find_that_nothing_is_left(house: Stage, other: Stage) -> None:
    mine, theirs = (each.put_on(pattern.RULES, SOURCE) for each in (house, other))
    ask(mine, reserve(60))
    with pytest.raises(SpaceExhausted, match="40 of 100 names left, and 60 were asked for"):
        ask(theirs, reserve(60))


def test_a_quota_that_is_reached_creates_nothing(house: Stage, actor: Actor) -> None:
    source = house.put_on(pattern.RULES, SOURCE)
    ask(source, reserve(10, most_active=1))
    with pytest.raises(QuotaExceeded, match="and 1 are allowed; nothing was created"):
        ask(source, reserve(10, most_active=1))
    ask(source, reserve(10))
    assert ranges(actor) == [[0, 10], [10, 20]]


# --- owned streams


def test_a_fenced_owner_writes_nothing_and_stops(house: Stage, other: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    actor.upkeep.execute(
        "update domainflow.runtime set lease_until = now() - interval '1 second' where id = %s", (actor.runtime,)
    )
    successor = other.put_on(campaign.RULES, stream)
    assert ask(successor, StartCampaign()) == Ack(2, "queued")
    with pytest.raises(Fenced, match="owned by another runtime now; nothing was written"):
        ask(ref, CancelCampaign())
    assert types(actor, stream) == ["campaign.created", "campaign.queued"]
    with pytest.raises(ActorStopped):
        ask(ref, CancelCampaign())


@pytest.mark.parametrize("command", [StartCampaign(), RetryCampaign()], ids=["no-op", "refusal"])
def test_a_former_owner_answers_nothing_from_what_it_remembers(
    house: Stage, other: Stage, actor: Actor, command: StartCampaign | RetryCampaign
) -> None:
    ref, stream = a_campaign(house)
    ask(ref, CancelCampaign() if isinstance(command, RetryCampaign) else StartCampaign())
    actor.upkeep.execute(
        "update domainflow.runtime set lease_until = now() - interval '1 second' where id = %s", (actor.runtime,)
    )
    other.put_on(campaign.RULES, stream)
    with pytest.raises(Fenced, match="owned by another runtime now"):
        ask(ref, command)
    assert actor.see("select count(*) from domainflow.event where type like %s", "audit.%") == [0]


def test_a_stream_of_a_living_owner_cannot_be_activated_elsewhere(house: Stage, other: Stage) -> None:
    _, stream = a_campaign(house)
    with pytest.raises(Fenced, match="is owned by runtime"):
        other.put_on(campaign.RULES, stream)


# --- restarts


def crash(ref: Ref[Any]) -> None:
    """Make its behaviour fail at a signal, which it hears even while a commit is under way."""
    ref.signal(Answer(Load(), None, None))


def test_an_actor_that_fails_while_its_commit_is_under_way_starts_from_what_became_of_it(
    house: Stage, actor: Actor, admin: str
) -> None:
    ref, stream = a_campaign(house)
    with row_lock(admin, lock(stream)) as blocker:
        in_flight = ref.ask_reply(StartCampaign(), context())
        await_blocked(admin, 1)
        crash(ref)
        with pytest.raises(ActorStopped, match="whether the message took effect is not known"):
            in_flight.get(SOON_S)
        after = ref.ask_reply(PauseCampaign(), context())
        assert not after.done
        blocker.rollback()
    assert after.get(SOON_S) == Ack(4, "paused")
    assert ref.incarnation == 2
    assert types(actor, stream)[1:] == ["campaign.queued", "campaign.holder_added", "campaign.paused"]


def test_a_restarted_actor_says_again_what_may_have_been_lost(house: Stage) -> None:
    ref, _ = a_campaign(house)
    ask(ref, StartCampaign())
    assert house.told.get(timeout=SOON_S) == Tell(ADMISSION, Wake())
    crash(ref)
    assert house.told.get(timeout=SOON_S) == Tell(ADMISSION, Wake())


def test_a_restart_begins_with_a_snapshot_and_ends_where_the_stream_does(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    ask(ref, StartCampaign())
    for _ in range(35):
        ask(ref, PauseCampaign())
        ask(ref, ResumeCampaign())
    (pictured,) = actor.see("select version from domainflow.snapshot")
    before = streams.load(actor.upkeep, stream, fold_version=campaign.RULES.fold_version)
    assert (before.version, before.snapshot_version, len(before.events)) == (142, pictured, 142 - pictured)
    crash(ref)
    assert ask(ref, PauseCampaign()) == Ack(144, "paused")
    whole = streams.load(actor.upkeep, stream, fold_version=0)  # no snapshot has that one
    latest = streams.load(actor.upkeep, stream, fold_version=campaign.RULES.fold_version)
    assert campaign.RULES.fold(whole) == campaign.RULES.fold(latest)


def test_the_owner_is_who_activated_it(house: Stage, actor: Actor) -> None:
    _, stream = a_campaign(house)
    assert leases.owner(actor.upkeep, stream) == (actor.runtime, "here pid 1", True)
