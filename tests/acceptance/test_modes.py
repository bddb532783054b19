"""Campaigns by other ways than straight through: patterns, steps, phases left out, run again or tried again, refusals."""

import shutil
from collections.abc import Callable
from pathlib import Path

import oracle
import pytest
from msgspec.structs import replace
from scene import STRICT, WORLD, Scene, job

from domainflow.actors.campaign.messages import PhaseConfig
from domainflow.errors import CommandRejected, QuotaExceeded, SpaceExhausted
from domainflow.lab.process import CA_FILE
from domainflow.operations import CampaignHandle
from domainflow.spec import CampaignSpec, PatternSource
from domainflow.vocabulary import CampaignStatus, LeadStatus, Mode, PatternType, Phase, PhaseStatus, Rejection

GENERATION, DNS, HTTP, ANALYSIS = Phase
# 256 names
RIVERS = PatternSource(
    pattern_type=PatternType.PREFIX, variable_length=2, character_set="abcdefghijklmnop", constant="river", tld="com"
)


def rivers(**changes: object) -> CampaignSpec:
    return job(RIVERS, batch_size=50, **changes)


def wanted_lines(source: PatternSource = RIVERS) -> list[str]:
    return list(oracle.lines(WORLD, oracle.pattern_names(source), STRICT))


def statuses(campaign: CampaignHandle) -> list[PhaseStatus]:
    return [phase.status for phase in campaign.view().phases]


def totals(campaign: CampaignHandle) -> list[int]:
    return [phase.total for phase in campaign.view().phases]


@pytest.mark.parametrize(
    "source",
    [
        RIVERS,
        replace(RIVERS, pattern_type=PatternType.SUFFIX, character_set="fedcba9876543210FEDCBA", tld=".co.uk"),
        replace(RIVERS, pattern_type=PatternType.BOTH, variable_length=1, constant="-"),
    ],
    ids=["prefix", "suffix", "both"],
)
def test_every_name_of_a_pattern_is_worked_on_in_order(scene: Scene, source: PatternSource) -> None:
    campaign = scene.started(job(source, batch_size=50))
    assert scene.completed(campaign).count == 256
    assert scene.lines(campaign) == wanted_lines(replace(source, character_set=source.character_set.lower()))


def test_the_name_at_offset_zero_is_validated_like_any_other(scene: Scene) -> None:
    campaign = scene.started(job(replace(RIVERS, count=1)))
    view = scene.completed(campaign)
    assert (view.base, view.count) == (0, 1)
    assert scene.lines(campaign) == wanted_lines()[:2]


# --- steps


def test_a_step_by_step_campaign_waits_for_each_phase_to_be_started(scene: Scene) -> None:
    campaign = scene.started(rivers(mode=Mode.STEP_BY_STEP))
    for done, following in enumerate((DNS, HTTP, ANALYSIS), 1):
        view = campaign.wait(60)
        assert (view.status, view.holders) == (CampaignStatus.PAUSED, ("step",))
        assert statuses(campaign) == [PhaseStatus.COMPLETED] * done + [PhaseStatus.CONFIGURED] * (4 - done)
        with pytest.raises(CommandRejected, match=following):
            campaign.resume()  # a step is not the user's pause
        campaign.start_phase(following)
    scene.completed(campaign)
    assert scene.lines(campaign) == wanted_lines()


def test_a_phase_is_started_only_after_the_one_before(scene: Scene) -> None:
    campaign = scene.started(rivers(mode=Mode.STEP_BY_STEP))
    campaign.wait(60)
    with pytest.raises(CommandRejected, match="the next phase is dns_validation"):
        campaign.start_phase(HTTP)
    assert campaign.view().status is CampaignStatus.PAUSED


# --- phases left out


def test_without_the_http_phase_there_is_nothing_to_analyse(scene: Scene) -> None:
    campaign = scene.started(rivers(skip=(HTTP,)))
    scene.completed(campaign)
    assert statuses(campaign) == [PhaseStatus.COMPLETED, PhaseStatus.COMPLETED, PhaseStatus.SKIPPED, PhaseStatus.COMPLETED]
    assert totals(campaign) == [256, 256, 0, 0]
    resolved = [row for row in scene.rows(campaign) if row.dns_status == "resolved"]
    assert resolved
    assert {(row.http_status, row.lead_status) for row in resolved} == {(None, LeadStatus.PENDING)}


def test_without_the_dns_phase_every_name_is_fetched(scene: Scene) -> None:
    campaign = scene.started(rivers(skip=(DNS,)))
    scene.completed(campaign)
    assert totals(campaign) == [256, 0, 256, 256]
    with_dns = scene.operations.create_campaign(rivers(scoring=STRICT)) if False else None
    assert with_dns is None
