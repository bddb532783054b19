"""Denials: each is answered once it is recorded, and a flood of them goes into few records that say how many."""

import zlib
from typing import Any, Final

import msgspec
import pytest
from durable import SOON_S, Actor, await_blocked, emptied, migrated, row_lock
from shell_stage import BOB, a_campaign, actor, admin, ask, audits, house, types
from stage import Stage, context

from domainflow.actors.campaign.messages import CancelCampaign, StartCampaign
from domainflow.actors.ref import Ref
from domainflow.errors import Denied

__all__ = ["actor", "admin", "emptied", "house", "migrated"]  # fixtures

MANY: Final = 1000
LOCK_AUDITS: Final = "select 1 from domainflow.head where starts_with(stream, 'audit/') for update"


def elsewhere(house: Stage) -> Ref[Any]:
    """A campaign's actor whose commits go through another lane than the audit records."""
    while True:
        ref, stream = a_campaign(house, count=1)
        if zlib.crc32(stream.encode()) % 2 != zlib.crc32(b"acme") % 2:
            return ref


def deny(house: Stage) -> str:
    """Have one denied; returns the stream."""
    ref, stream = a_campaign(house)
    with pytest.raises(Denied):
        ask(ref, StartCampaign(), context(BOB))
    return stream


def test_a_flood_of_denials_goes_into_few_records_that_say_how_many(house: Stage, actor: Actor, admin: str) -> None:
    deny(house)
    one, (other, _) = elsewhere(house), a_campaign(house)
    with row_lock(admin, LOCK_AUDITS) as blocker:
        flood = [one.ask_reply(StartCampaign(), context(BOB))]
        await_blocked(admin, 1)
        flood += [ref.ask_reply(StartCampaign(), context(BOB)) for _ in range(MANY // 2) for ref in (one, other)]
        assert ask(one, StartCampaign()).version == 2  # nobody else waits for it
        assert not any(reply.done for reply in flood)
        blocker.rollback()
    for reply in flood:
        with pytest.raises(Denied, match="bob may not"):
            reply.get(SOON_S)
    bodies = [
        msgspec.msgpack.decode(body)
        for body in actor.see("select body from domainflow.event where type like 'audit.d%%'")
    ]
    assert sum(body.get("count", 1) for body in bodies) == MANY + 2
    assert len(bodies) <= 20


def test_denials_of_other_commands_and_principals_are_records_of_their_own(
    house: Stage, actor: Actor, admin: str
) -> None:
    deny(house)
    ref, _ = a_campaign(house)
    eve = msgspec.structs.replace(BOB, id="eve")
    with row_lock(admin, LOCK_AUDITS) as blocker:
        first = ref.ask_reply(StartCampaign(), context(BOB))
        await_blocked(admin, 1)
        others = [
            ref.ask_reply(command, context(who))
            for command in (StartCampaign(), CancelCampaign())
            for who in (BOB, eve)
        ]
        blocker.rollback()
    for reply in (first, *others):
        with pytest.raises(Denied):
            reply.get(SOON_S)
    assert sorted((audit.principal, audit.command) for _, audit in audits(actor)) == [
        ("bob", "campaign.cancel"),
        *[("bob", "campaign.start")] * 3,
        ("eve", "campaign.cancel"),
        ("eve", "campaign.start"),
    ]


def test_a_denial_is_not_kept_under_its_key(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    with pytest.raises(Denied):
        ask(ref, StartCampaign(), context(BOB, idempotency_key="k"))
    assert actor.see("select key from domainflow.idempotency where key = 'k'") == []
    assert types(actor, stream) == ["campaign.created"]
