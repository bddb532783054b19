"""The words of campaigns and sources are permanent, and come back from their bytes as they went."""

from typing import Any, Final, get_args

import msgspec
import pytest
from golden import CAMPAIGN_EVENTS, PATTERN_EVENTS
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from story import LIVES

from domainflow.actors.campaign import events, messages
from domainflow.actors.campaign.events import HolderAdded, Word
from domainflow.actors.campaign.history import CampaignEvent
from domainflow.actors.campaign.messages import CampaignCommand, CampaignReport
from domainflow.actors.campaign.state import Campaign
from domainflow.actors.pattern.messages import PatternEvent, ReserveOffsets
from domainflow.actors.rules import encode, hash_command, tag_of

TAGS: Final = {
    "campaign.account_batches", "campaign.archive", "campaign.archived", "campaign.batches_accounted",
    "campaign.begin", "campaign.begun", "campaign.cancel", "campaign.cancelled", "campaign.completed",
    "campaign.configure_phase", "campaign.created", "campaign.delete", "campaign.deleted", "campaign.failed",
    "campaign.holder_added", "campaign.holder_lifted", "campaign.observe_ledger", "campaign.pause",
    "campaign.pause_requested", "campaign.paused", "campaign.phase_completed", "campaign.phase_configured",
    "campaign.phase_failed", "campaign.phase_requested", "campaign.phase_skipped", "campaign.phase_started",
    "campaign.phases_reopened", "campaign.queued", "campaign.rerun_phase", "campaign.resume", "campaign.resumed",
    "campaign.retry", "campaign.skip_phase", "campaign.start", "campaign.start_phase", "pattern.offsets_reserved",
    "pattern.reserve_offsets", "pattern.source_opened",
}  # fmt: skip
ALL: Final = (
    *get_args(CampaignCommand),
    *get_args(CampaignReport),
    *get_args(CampaignEvent),
    *get_args(PatternEvent),
    ReserveOffsets,
)


def test_every_word_has_a_tag_of_its_own_that_never_changes() -> None:
    tags = [kind.__struct_config__.tag for kind in ALL]
    assert len(tags) == len(set(tags))
    assert set(tags) >= TAGS, "a tag is gone: what was stored under it cannot be read any more"


def test_every_word_is_in_a_union() -> None:
    things = (*vars(messages).values(), *vars(events).values())
    words = {thing for thing in things if isinstance(thing, type) and issubclass(thing, Word)}
    assert {word for word in words if word.__struct_config__.tag} <= set(ALL)


def test_there_is_a_sample_of_every_event() -> None:
    assert {type(event) for event in CAMPAIGN_EVENTS} == set(get_args(CampaignEvent))
    assert {type(event) for event in PATTERN_EVENTS} == set(get_args(PatternEvent))


@pytest.mark.parametrize("event", CAMPAIGN_EVENTS, ids=tag_of)
def test_an_event_comes_back_as_it_went(event: Struct) -> None:
    kind: Any = CampaignEvent
    assert msgspec.msgpack.decode(encode(event), type=kind) == event


@given(st.text(), st.text())
def test_any_reason_comes_back_as_it_went(holder: str, reason: str) -> None:
    kind: Any = CampaignEvent
    event = HolderAdded(holder=holder, reason=reason)
    assert msgspec.msgpack.decode(encode(event), type=kind) == event


@pytest.mark.parametrize("event", PATTERN_EVENTS, ids=tag_of)
def test_an_event_of_a_source_comes_back_as_it_went(event: Struct) -> None:
    kind: Any = PatternEvent
    assert msgspec.msgpack.decode(encode(event), type=kind) == event


@pytest.mark.parametrize("state", LIVES.values(), ids=LIVES)
def test_a_snapshot_comes_back_as_it_went(state: Campaign) -> None:
    assert msgspec.msgpack.decode(encode(state), type=Campaign) == state


def test_a_word_with_an_unknown_field_is_refused() -> None:
    kind: Any = CampaignCommand
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.msgpack.decode(msgspec.msgpack.encode({"type": "campaign.start", "force": True}), type=kind)


def test_commands_are_told_apart_by_their_hash() -> None:
    hashes = {
        hash_command(stream, kind())
        for kind in (messages.StartCampaign, messages.ResumeCampaign, messages.RetryCampaign)
        for stream in ("campaign/a", "campaign/b")
    }
    assert len(hashes) == 6
    again = messages.StartCampaign()
    assert hash_command("campaign/a", again) == hash_command("campaign/a", messages.StartCampaign())
