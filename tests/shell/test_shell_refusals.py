"""What only the commit can refuse leaves its record too; its key keeps the answer, unless that says: try again."""

import psycopg
import pytest
from durable import SOON_S, Actor, await_blocked, emptied, migrated, row_lock
from shell_stage import SOURCE, a_campaign, actor, admin, ask, audits, house, reserve, types
from stage import Stage, context

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.messages import CancelCampaign, PauseCampaign, RetryCampaign, StartCampaign
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.rules import Ack, AuditContext
from domainflow.errors import KeyReused, QuotaExceeded, VersionConflict
from domainflow.store import streams

__all__ = ["actor", "admin", "emptied", "house", "migrated"]  # fixtures

LOCK_AUDITS = "select 1 from domainflow.head where starts_with(stream, 'audit/') for update"
REFUSED_CREATION = AuditContext(
    principal="alice",
    roles=("operator",),
    correlation="story",
    command="pattern.reserve_offsets",
    decision="operator has campaigns:create",
)


# --- quotas


def test_a_creation_refused_for_its_quota_is_recorded_before_it_is_answered(
    house: Stage, actor: Actor, admin: str
) -> None:
    source = house.put_on(pattern.RULES, SOURCE)
    ask(source, reserve(10))
    with pytest.raises(QuotaExceeded):
        ask(source, reserve(10, most_active=1))
    with row_lock(admin, LOCK_AUDITS) as blocker:
        second = source.ask_reply(reserve(10, most_active=1), context())
        await_blocked(admin, 1)
        assert not second.done
        blocker.rollback()
    with pytest.raises(QuotaExceeded, match="and 1 are allowed; nothing was created"):
        second.get(SOON_S)
    assert audits(actor) == [("audit.refused", REFUSED_CREATION)] * 2


def test_a_quotas_refusal_under_a_key_is_refused_again_in_the_same_words(house: Stage) -> None:
    first, _ = a_campaign(house)
    source, command, once = house.find("actors/source"), reserve(10, most_active=1), context(idempotency_key="k")
    with pytest.raises(QuotaExceeded) as refused:
        ask(source, command, once)
    ask(first, CancelCampaign())
    with pytest.raises(QuotaExceeded) as again:
        ask(source, command, once)
    assert str(again.value) == str(refused.value)
    assert ask(source, command) == Ack(3)  # there is room, for whoever asks anew


def test_a_creation_that_used_the_quota_up_is_answered_again_under_its_key(house: Stage, actor: Actor) -> None:
    source, command, once = (
        house.put_on(pattern.RULES, SOURCE),
        reserve(10, most_active=1),
        context(idempotency_key="k"),
    )
    answer = ask(source, command, once)
    assert ask(source, command, once) == answer
    assert audits(actor) == []


# --- conflicts


@pytest.mark.parametrize("epoch", [1, 2], ids=["not owned yet", "owned"])
def test_a_creation_that_always_comes_too_late_is_recorded_and_its_key_can_be_tried_again(
    house: Stage, actor: Actor, admin: str, epoch: int
) -> None:
    source, command, once = house.put_on(pattern.RULES, SOURCE), reserve(10), context(idempotency_key="k")
    with psycopg.connect(admin, autocommit=True) as elsewhere:
        elsewhere.execute(
            "insert into domainflow.head (stream, tenant, version, hash, epoch, status) "
            "values (%s, 'acme', 1, '', %s, '')",
            (campaign.stream_of(command.campaign), epoch),
        )
        with pytest.raises(VersionConflict, match="others wrote first; nothing was written"):
            ask(source, command, once)
        assert audits(actor) == [("audit.refused", REFUSED_CREATION)]
        assert streams.head(actor.upkeep, SOURCE) is None
        elsewhere.execute("delete from domainflow.head")
    assert ask(source, command, once) == Ack(2)
    assert ask(source, command, once) == Ack(2)
    assert actor.see("select count(*) from domainflow.campaign") == [1]


# --- keys


@pytest.mark.parametrize(
    "command", [PauseCampaign(), StartCampaign(), RetryCampaign()], ids=["change", "no-op", "refusal"]
)
def test_a_key_that_is_used_with_another_command_leaves_a_record_and_its_first_answer(
    house: Stage, actor: Actor, command: PauseCampaign | StartCampaign | RetryCampaign
) -> None:
    (one, _), (other, stream) = a_campaign(house), a_campaign(house)
    once = context(idempotency_key="k")
    first = ask(one, StartCampaign(), once)
    ask(other, StartCampaign())
    with pytest.raises(KeyReused, match="idempotency key k was used with another command; nothing was done"):
        ask(other, command, once)
    ((type_, audit),) = audits(actor)
    assert (type_, audit.principal) == ("audit.refused", "alice")
    assert types(actor, stream) == ["campaign.created", "campaign.queued"]
    assert ask(one, StartCampaign(), once) == first
