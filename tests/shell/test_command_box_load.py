"""The command box under load: each stream in its order, none waits for another's, each command once and in time."""

from functools import partial
from typing import Any

import pytest
from child import eventually
from databases import Database
from durable import SOON_S, Actor, await_blocked, emptied, migrated, row_lock
from shell_stage import a_campaign, actor, ask, audits, house, lock, reserve, types
from stage import Stage, context
from test_command_box import answer, open_box, put

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.messages import CancelCampaign, PauseCampaign, StartCampaign
from domainflow.actors.children import ChildSpec
from domainflow.actors.command_box import CommandBox
from domainflow.actors.dynamic import StartChild, StopChild
from domainflow.actors.ref import Ref
from domainflow.actors.rules import Ack, Refusal, encode
from domainflow.security.context import system

__all__ = ["actor", "emptied", "house", "migrated"]  # fixtures

MANY = """
insert into domainflow.command (id, stream, tenant, body, context, deadline, created_at)
select gen_random_uuid(), %s, 'acme', %s, %s, now() + interval '1 hour', now() - interval '1 minute'
  from generate_series(1, 600)
"""


def a_second_campaign(house: Stage) -> tuple[Ref[Any], str]:
    command = reserve(20)
    ask(house.find("actors/source"), command)
    stream = campaign.stream_of(command.campaign)
    return house.put_on(campaign.RULES, stream), stream


class Finds:
    """These actors by their streams; counts how often each was asked for."""

    def __init__(self, refs: dict[str, Ref[Any] | None]) -> None:
        self.refs = refs
        self.asked = dict.fromkeys(refs, 0)

    def __call__(self, stream: str) -> Ref[Any] | None:
        self.asked[stream] += 1
        return self.refs[stream]


def open_box_on(house: Stage, finds: Finds) -> None:
    box = partial(CommandBox, house.store, finds, runtime=house.actor.runtime, tick_s=0.01)
    house.find("actors").ask(StartChild(ChildSpec(name="box", factory=box, dispatcher="pinned")), context(system("")))


def close_box(house: Stage) -> None:
    house.find("actors").ask(StopChild("box"), context(system("")), timeout_s=SOON_S)


def test_a_command_does_not_overtake_an_older_one_whose_actor_was_only_just_being_started(house: Stage) -> None:
    ref, stream = a_campaign(house)
    started, paused = put(house, stream, StartCampaign()), put(house, stream, PauseCampaign())
    open_box(house, None, ref)  # it is there when the box asks for the second time
    assert answer(house, started) == Ack(2, "queued")
    assert answer(house, paused) == Ack(4, "paused")


@pytest.mark.parametrize("full", [False, True])
def test_hundreds_of_commands_that_cannot_be_delivered_hold_up_no_other_stream(
    house: Stage,
    actor: Actor,
    full: bool,  # noqa: FBT001 - a column of the table
) -> None:
    (_, stuck), (ref, stream) = a_campaign(house), a_second_campaign(house)
    actor.app.execute("select set_config('domainflow.tenants', 'acme', false)")
    actor.app.execute(MANY, (stuck, encode(StartCampaign()), encode(context())))
    nobody = ChildSpec(name="full", factory=Behaviour, capacity=0)
    house.find("actors").ask(StartChild(nobody), context(system("")), timeout_s=SOON_S)
    open_box_on(house, Finds({stuck: house.find("actors/full") if full else None, stream: ref}))
    assert answer(house, put(house, stream, StartCampaign())) == Ack(2, "queued")
    assert actor.see("select count(*) from domainflow.command where answered_at is null") == [600]


def test_an_actor_has_one_boxed_command_at_a_time(house: Stage, emptied: Database) -> None:
    (ref, stream), (_, nobodys) = a_campaign(house), a_second_campaign(house)
    finds = Finds({stream: ref, nobodys: None})
    with row_lock(emptied.admin_dsn, lock(stream)) as blocker:
        waiting = [put(house, stream, command) for command in (StartCampaign(), PauseCampaign(), CancelCampaign())]
        put(house, nobodys, StartCampaign())
        open_box_on(house, finds)
        await_blocked(emptied.admin_dsn, 1)
        looks = finds.asked[nobodys]
        eventually(lambda: finds.asked[nobodys] >= looks + 5, "the box looks again and again")
        assert (ref.waiting(), finds.asked[stream]) == (0, 1)
        blocker.rollback()
    assert [answer(house, id_) for id_ in waiting] == [Ack(2, "queued"), Ack(4, "paused"), Ack(5, "cancelled")]


def test_a_command_that_a_restarted_box_delivers_again_is_done_once(
    house: Stage, actor: Actor, emptied: Database
) -> None:
    ref, stream = a_campaign(house)
    with row_lock(emptied.admin_dsn, lock(stream)) as blocker:
        id_ = put(house, stream, StartCampaign())
        open_box(house, ref)
        await_blocked(emptied.admin_dsn, 1)
        close_box(house)
        open_box(house, ref)
        eventually(lambda: ref.waiting() == 1, "it is delivered again")
        blocker.rollback()
    assert answer(house, id_) == Ack(2, "queued")
    assert ask(ref, CancelCampaign()) == Ack(3, "cancelled")  # behind the second delivery
    assert (types(actor, stream), audits(actor)) == (["campaign.created", "campaign.queued", "campaign.cancelled"], [])


def test_a_command_whose_deadline_passes_while_its_commit_waits_is_not_done(
    house: Stage, actor: Actor, emptied: Database
) -> None:
    ref, stream = a_campaign(house)
    with row_lock(emptied.admin_dsn, lock(stream)) as blocker:
        id_ = put(house, stream, StartCampaign(), deadline_s=2.0)
        open_box(house, ref)
        await_blocked(emptied.admin_dsn, 1)
        late = answer(house, id_)
        blocker.rollback()
    assert isinstance(late, Refusal)
    assert "deadline had passed; nothing was done" in late.message
    assert ask(ref, CancelCampaign()) == Ack(2, "cancelled")
    assert types(actor, stream) == ["campaign.created", "campaign.cancelled"]
