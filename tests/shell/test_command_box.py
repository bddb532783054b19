"""The command box: a command that came by the database is done once by the owner, and answered once."""

from collections import deque
from functools import partial
from typing import Any

import msgspec
import pytest
from durable import SOON_S, Actor, emptied, migrated, new_uuid
from shell_stage import BOB, a_campaign, actor, ask, audits, house, types
from stage import Stage, context

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.messages import PauseCampaign, StartCampaign
from domainflow.actors.children import ChildSpec
from domainflow.actors.command_box import CommandBox
from domainflow.actors.dynamic import StartChild, StopChild
from domainflow.actors.ref import Ref
from domainflow.actors.rules import Ack, Refusal, decode_answer, encode
from domainflow.security.context import Context, system
from domainflow.store import commands
from domainflow.store.commands import Boxed
from domainflow.store.transaction import Kind

__all__ = ["actor", "emptied", "house", "migrated"]  # fixtures


def open_box(house: Stage, *refs: Ref[Any] | None) -> None:
    """A box that finds one after the other of these, and the last one from then on."""
    left = deque(refs)
    box = partial(
        CommandBox,
        house.store,
        lambda _: left.popleft() if len(left) > 1 else left[0],
        runtime=house.actor.runtime,
        tick_s=0.01,
    )
    house.find("actors").ask(StartChild(ChildSpec(name="box", factory=box, dispatcher="pinned")), context(system("")))


def put(house: Stage, stream: str, command: object, who: Context | None = None, *, deadline_s: float = 60) -> str:
    id_, body = new_uuid(), command if isinstance(command, bytes) else encode(command)
    boxed = Boxed(id_, stream, "acme", body, encode(who or context()))
    with house.store.tenants(Kind.TOOL, "acme") as connection:
        commands.put(connection, boxed, deadline_s=deadline_s)
    return id_


def answer(house: Stage, id_: str) -> Ack | Refusal:
    for _ in range(2000):
        with house.store.tenants(Kind.TOOL, "acme") as connection:
            body = commands.answer(connection, id_)
            if body is not None:
                return decode_answer(body)
            connection.execute("select pg_sleep(0.005)")
    raise AssertionError("nobody answers")


def test_a_boxed_command_is_done_and_answered_in_its_commit(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    open_box(house, ref)
    id_ = put(house, stream, StartCampaign())
    assert answer(house, id_) == Ack(2, "queued")
    assert types(actor, stream) == ["campaign.created", "campaign.queued"]
    # Command and event were last written by the same transaction.
    same = "select c.xmin = e.xmin from domainflow.command c, domainflow.event e where e.type = 'campaign.queued'"
    assert actor.see(same) == [True]


def test_denials_and_refusals_are_answers_and_are_recorded(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    open_box(house, ref)
    denied = answer(house, put(house, stream, StartCampaign(), context(BOB)))
    assert isinstance(denied, Refusal)
    assert denied.code == "denied"
    refused = answer(house, put(house, stream, PauseCampaign()))
    assert isinstance(refused, Refusal)
    assert refused.code == "command_rejected"
    assert [type_ for type_, _ in audits(actor)] == ["audit.denied", "audit.refused"]
    assert types(actor, stream) == ["campaign.created"]


def test_a_command_whose_key_was_used_before_gets_the_answer_of_that_time(house: Stage) -> None:
    ref, stream = a_campaign(house)
    once = context(idempotency_key="k")
    first = ask(ref, StartCampaign(), once)
    open_box(house, ref)
    assert answer(house, put(house, stream, StartCampaign(), once)) == first
    reused = answer(house, put(house, stream, PauseCampaign(), once))
    assert isinstance(reused, Refusal)
    assert reused.code == "key_reused"


def test_a_command_past_its_deadline_is_not_done(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    id_ = put(house, stream, StartCampaign(), deadline_s=-1)
    open_box(house, ref)
    late = answer(house, id_)
    assert isinstance(late, Refusal)
    assert "deadline had passed; nothing was done" in late.message
    assert types(actor, stream) == ["campaign.created"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        msgspec.msgpack.encode({"type": "campaign.begin"}),
        encode(PauseCampaign(reason="in UTF-8")).replace(b"UTF-8", b"UTF-\xff"),
    ],
)
def test_what_is_no_command_of_a_user_is_refused(house: Stage, actor: Actor, body: bytes) -> None:
    ref, stream = a_campaign(house)
    open_box(house, ref)
    refused = answer(house, put(house, stream, body))
    assert isinstance(refused, Refusal)
    assert "the command cannot be read" in refused.message
    assert types(actor, stream) == ["campaign.created"]


def test_commands_of_streams_that_another_runtime_owns_are_left_to_it(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    actor.upkeep.execute("update domainflow.head set owner = %s where stream = %s", (new_uuid(), stream))
    theirs = put(house, stream, StartCampaign())
    with house.store.upkeep(Kind.TOOL) as connection:
        assert commands.pending(connection, actor.runtime) == []
        connection.execute("update domainflow.head set owner = %s where stream = %s", (actor.runtime, stream))
        assert [boxed.id for boxed in commands.pending(connection, actor.runtime)] == [theirs]
    open_box(house, ref)
    assert answer(house, theirs) == Ack(2, "queued")


def test_a_command_that_met_a_former_owner_is_left_in_the_box_for_the_next_one(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    actor.upkeep.execute("update domainflow.head set epoch = epoch + 1 where stream = %s", (stream,))
    id_ = put(house, stream, StartCampaign())
    open_box(house, ref)
    while ref.is_alive():  # it ends when it hears that it is no owner any more
        actor.upkeep.execute("select pg_sleep(0.002)")
    with house.store.tenants(Kind.TOOL, "acme") as connection:
        assert commands.answer(connection, id_) is None
    house.find("actors").ask(StopChild("box"), context(system("")), timeout_s=SOON_S)
    open_box(house, house.put_on(campaign.RULES, stream, "next"))
    assert answer(house, id_) == Ack(2, "queued")


def test_a_command_that_finds_a_full_mailbox_is_delivered_at_another_look(house: Stage) -> None:
    ref, stream = a_campaign(house)
    full = ChildSpec(name="full", factory=Behaviour, capacity=0)
    house.find("actors").ask(StartChild(full), context(system("")), timeout_s=SOON_S)
    id_ = put(house, stream, StartCampaign())
    open_box(house, house.find("actors/full"), ref)
    assert answer(house, id_) == Ack(2, "queued")


def test_commands_and_keys_are_kept_for_a_day_and_then_go_in_slices(
    actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age in ("23 hours", "25 hours", "26 hours", "27 hours"):
        actor.upkeep.execute("reset role")
        actor.upkeep.execute("set role domainflow_app")
        actor.upkeep.execute("select set_config('domainflow.tenants', 'acme', false)")
        actor.upkeep.execute(
            "insert into domainflow.command (id, stream, tenant, body, context, deadline, created_at) "
            "values (%s, 's1', 'acme', '', '', now(), now() - %s::interval)",
            (new_uuid(), age),
        )
        actor.upkeep.execute(
            "insert into domainflow.idempotency (tenant, principal, key, command_hash, answer, created_at) "
            "values ('acme', 'alice', %s, '', '', now() - %s::interval)",
            (age, age),
        )
        actor.upkeep.execute("set role domainflow_upkeep")
    monkeypatch.setattr(commands, "PRUNED_AT_ONCE", 2)
    assert commands.prune(actor.upkeep)
    assert actor.see("select count(*) from domainflow.command") == [2]
    assert actor.see("select count(*) from domainflow.idempotency") == [2]
    assert not commands.prune(actor.upkeep)
    assert actor.see("select count(*) from domainflow.command") == [1]
    assert actor.see("select key from domainflow.idempotency") == ["23 hours"]
