"""Durable before known, known before told; and what is refused leaves its record and nothing else."""

import msgspec
import pytest
from durable import SOON_S, Actor, await_blocked, emptied, migrated, row_lock
from shell_stage import BOB, SOURCE, a_campaign, actor, admin, ask, audits, house, lock, reserve, types
from stage import Stage, context

from domainflow.actors.campaign.messages import (
    AccountBatches,
    BeginCampaign,
    DoneBatch,
    PauseCampaign,
    StartCampaign,
)
from domainflow.actors.effects import ADMISSION, Tell, Wake
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.rules import Ack, AuditContext
from domainflow.errors import (
    CommandRejected,
    Denied,
    KeyReused,
    StoreUnavailable,
    VersionConflict,
)
from domainflow.security.context import Principal, system
from domainflow.store import streams
from domainflow.store.chain import GENESIS, link
from domainflow.vocabulary import Phase

__all__ = ["actor", "admin", "emptied", "house", "migrated"]  # fixtures


# --- the order


def test_a_command_is_durable_before_it_is_known_and_known_before_it_is_told(
    house: Stage, actor: Actor, admin: str
) -> None:
    ref, stream = a_campaign(house)
    with row_lock(admin, lock(stream)) as blocker:
        first = ref.ask_reply(StartCampaign(), context())
        await_blocked(admin, 1)
        second = ref.ask_reply(PauseCampaign(), context())  # waits in the mailbox: one command at a time
        assert not first.done
        assert house.told.empty()
        assert types(actor, stream) == ["campaign.created"]
        blocker.rollback()
    assert first.get(SOON_S) == Ack(2, "queued")
    assert second.get(SOON_S) == Ack(4, "paused")
    assert house.told.get(timeout=SOON_S) == Tell(ADMISSION, Wake())
    assert types(actor, stream)[1:] == ["campaign.queued", "campaign.holder_added", "campaign.paused"]


def test_every_event_carries_who_did_it_and_why_it_was_allowed(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    ask(ref, StartCampaign(), context(causation_id="cause"))
    recorded = streams.events(actor.upkeep, stream, after=1)[0]
    assert msgspec.msgpack.decode(recorded.context, type=AuditContext) == AuditContext(
        principal="alice",
        roles=("operator",),
        correlation="story",
        causation="cause",
        command="campaign.start",
        decision="operator has campaigns:execute",
    )


def test_the_chain_of_a_stream_can_be_recomputed(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    ask(ref, StartCampaign())
    ask(ref, PauseCampaign())
    previous = GENESIS
    for recorded in streams.events(actor.upkeep, stream, after=0):
        previous = link(
            stream=stream,
            version=recorded.version,
            previous=previous,
            tenant="acme",
            recorded_at_us=recorded.recorded_at_us,
            type_=recorded.type,
            type_version=recorded.type_version,
            context=recorded.context,
            body=recorded.body,
        )
        assert recorded.hash == previous


def test_a_refused_commit_drops_the_candidate(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    ask(ref, StartCampaign())
    begun = ask(ref, BeginCampaign(), context(system("acme")))
    not_done = AccountBatches(done=(DoneBatch(999_999, Phase.DOMAIN_GENERATION, 1, 0, (("generated", 20),)),))
    with pytest.raises(VersionConflict, match="not done"):
        ask(ref, not_done, context(system("acme")))
    assert audits(actor) == []  # a report of the runtime's own
    assert ask(ref, PauseCampaign()) == Ack(begun.version + 1, "pausing")  # from where it stood before
    assert "campaign.batches_accounted" not in types(actor, stream)


# --- what changes nothing leaves its record


def test_a_denial_is_recorded_and_changes_nothing(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    with pytest.raises(Denied, match=r"bob may not campaign\.start: belongs to somebody else"):
        ask(ref, StartCampaign(), context(BOB))
    assert types(actor, stream) == ["campaign.created"]
    ((type_, audit),) = audits(actor)
    assert (type_, audit.principal, audit.command) == ("audit.denied", "bob", "campaign.start")
    assert audit.decision == "belongs to somebody else"
    assert ask(ref, StartCampaign()) == Ack(2, "queued")


def test_refusals_and_no_ops_are_recorded_too(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    with pytest.raises(CommandRejected, match="cannot pause a campaign that is pending"):
        ask(ref, PauseCampaign())
    ask(ref, StartCampaign())
    assert ask(ref, StartCampaign()) == Ack(2, "queued")
    assert [type_ for type_, _ in audits(actor)] == ["audit.refused", "audit.unchanged"]
    assert len(types(actor, stream)) == 2


def test_the_runtimes_own_reports_leave_no_record_when_they_change_nothing(house: Stage, actor: Actor) -> None:
    ref, _ = a_campaign(house)
    assert ask(ref, BeginCampaign(), context(system("acme"))) == Ack(1, "pending")
    assert audits(actor) == []


def test_a_record_that_cannot_be_stored_fails_the_operation(house: Stage) -> None:
    ref, _ = a_campaign(house)
    nowhere = Principal(id="eve", roles=(), tenant="no\0where")
    with pytest.raises(StoreUnavailable, match="the audit record could not be stored; nothing was changed"):
        ask(ref, StartCampaign(), context(nowhere))


def test_a_commit_that_cannot_be_stored_is_answered_and_the_actor_goes_on(house: Stage) -> None:
    ref, _ = a_campaign(house)
    with pytest.raises(StoreUnavailable, match="the change could not be stored; nothing was written"):
        ask(ref, StartCampaign(), context(idempotency_key="no\0key"))
    assert ask(ref, StartCampaign()) == Ack(2, "queued")


# --- idempotency keys


def test_the_same_key_gets_the_same_answer_whatever_happened_since(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    once = context(idempotency_key="k")
    assert ask(ref, StartCampaign(), once) == Ack(2, "queued")
    ask(ref, PauseCampaign())
    assert ask(ref, StartCampaign(), once) == Ack(2, "queued")  # though a paused campaign refuses it
    assert types(actor, stream)[-1] == "campaign.paused"


def test_the_same_key_with_another_command_is_refused(house: Stage, actor: Actor) -> None:
    ref, stream = a_campaign(house)
    ask(ref, StartCampaign(), context(idempotency_key="k"))
    with pytest.raises(KeyReused, match="idempotency key k was used with another command"):
        ask(ref, PauseCampaign(), context(idempotency_key="k"))
    assert len(types(actor, stream)) == 2


def test_the_same_key_with_the_same_command_to_another_campaign_is_refused(house: Stage, actor: Actor) -> None:
    (one, _), (other, stream) = a_campaign(house), a_campaign(house)
    ask(one, StartCampaign(), context(idempotency_key="k"))
    with pytest.raises(KeyReused, match="idempotency key k was used with another command; nothing was done"):
        ask(other, StartCampaign(), context(idempotency_key="k"))
    assert types(actor, stream) == ["campaign.created"]


def test_a_refusal_under_a_key_is_refused_again_in_the_same_words(house: Stage) -> None:
    ref, _ = a_campaign(house)
    once = context(idempotency_key="k")
    with pytest.raises(CommandRejected) as first:
        ask(ref, PauseCampaign(), once)
    ask(ref, StartCampaign())
    with pytest.raises(CommandRejected) as second:
        ask(ref, PauseCampaign(), once)
    assert str(second.value) == str(first.value)


def test_a_creation_under_a_key_creates_once(house: Stage, actor: Actor) -> None:
    source, command = house.put_on(pattern.RULES, SOURCE), reserve(10)
    answer = ask(source, command, context(idempotency_key="k"))
    assert ask(source, command, context(idempotency_key="k")) == answer
    assert actor.see("select count(*) from domainflow.campaign") == [1]
