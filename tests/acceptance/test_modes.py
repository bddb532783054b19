"""Campaigns by other ways than straight through: patterns, steps, phases left out, run or tried again, refusals."""

import csv
import shutil
from pathlib import Path

import oracle
import pytest
from msgspec.structs import replace
from scene import STRICT, WORLD, Scene, job

from domainflow.errors import CommandRejected, QuotaExceeded, SpaceExhausted
from domainflow.lab.process import CA_FILE
from domainflow.operations import CampaignHandle
from domainflow.spec import CampaignSpec, PatternSource
from domainflow.vocabulary import CampaignStatus, Mode, PatternType, Phase

_, DNS, HTTP, ANALYSIS = Phase
# 256 names
RIVERS = PatternSource(
    pattern_type=PatternType.PREFIX, variable_length=2, character_set="abcdefghijklmnop", constant="river", tld="com"
)


def rivers(**changes: object) -> CampaignSpec:
    return job(RIVERS, batch_size=50, **changes)


def wanted_lines(source: PatternSource = RIVERS) -> list[str]:
    return list(oracle.lines(WORLD, oracle.pattern_names(source), STRICT))


def without_dns(line: dict[str, str]) -> dict[str, str]:
    """What is found of a name that is fetched without having been validated."""
    if line["dns_status"] != "resolved":
        url = f"https://{line['domain']}/"
        line |= {"http_status": "error", "final_url": url, "lead_status": "error", "rejection": "http_error"}
    return line | {"dns_status": "", "dns_reason": "", "addresses": ""}


def statuses(campaign: CampaignHandle) -> list[str]:
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
        assert statuses(campaign) == ["completed"] * done + ["configured"] * (4 - done)
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
    assert statuses(campaign) == ["completed", "completed", "skipped", "completed"]
    assert totals(campaign) == [256, 256, 0, 0]
    resolved = [row for row in scene.rows(campaign) if row.dns_status == "resolved"]
    assert resolved
    assert {(row.http_status, row.lead_status) for row in resolved} == {(None, "pending")}


def test_without_the_dns_phase_every_name_is_fetched(scene: Scene) -> None:
    campaign = scene.started(rivers(skip=(DNS,)))
    scene.completed(campaign)
    assert totals(campaign) == [256, 0, 256, 256]
    wanted = [without_dns(line) for line in csv.DictReader(wanted_lines())]
    assert list(csv.DictReader(scene.lines(campaign))) == wanted


def test_a_phase_that_a_step_by_step_campaign_waits_for_may_be_left_out(scene: Scene) -> None:
    campaign = scene.started(rivers(mode=Mode.STEP_BY_STEP))
    campaign.wait(60)
    for phase in (DNS, HTTP, ANALYSIS):
        campaign.skip_phase(phase)
    campaign.resume()
    scene.completed(campaign)
    assert statuses(campaign) == ["completed", "skipped", "skipped", "skipped"]


# --- again


def test_a_phase_run_again_comes_to_the_same(scene: Scene) -> None:
    campaign = scene.started(rivers())
    scene.completed(campaign)
    campaign.rerun_phase(ANALYSIS)
    assert [phase.run for phase in scene.completed(campaign).phases] == [1, 1, 1, 2]
    assert scene.lines(campaign) == wanted_lines()


def test_in_a_full_sequence_the_phases_behind_one_run_again_too(scene: Scene) -> None:
    campaign = scene.started(rivers())
    scene.completed(campaign)
    campaign.rerun_phase(DNS)
    assert [phase.run for phase in scene.completed(campaign).phases] == [1, 2, 2, 2]
    assert scene.lines(campaign) == wanted_lines()


def test_a_phase_that_never_ran_cannot_run_again(scene: Scene) -> None:
    campaign = scene.operations.create_campaign(rivers())
    with pytest.raises(CommandRejected, match="cannot rerun_phase a campaign that is pending"):
        campaign.rerun_phase(DNS)


def test_a_failed_campaign_goes_on_where_it_failed_once_the_cause_is_gone(scene: Scene, tmp_path: Path) -> None:
    authorities = tmp_path / "authorities.pem"
    spec = rivers(retries=0)
    campaign = scene.started(replace(spec, http=replace(spec.http, trust=str(authorities))))
    view = campaign.wait(60)
    assert view.status is CampaignStatus.FAILED
    assert view.reason == "http.trust: no such file of certificate authorities"
    assert statuses(campaign) == ["completed", "completed", "failed", "configured"]
    shutil.copy(scene.runtime.home / CA_FILE, authorities)
    campaign.retry()
    assert [phase.run for phase in scene.completed(campaign).phases] == [1, 1, 1, 1]
    assert scene.lines(campaign) == wanted_lines()


# --- ranges and limits


def test_campaigns_on_one_pattern_share_no_name_and_what_is_left_can_be_had_once(scene: Scene) -> None:
    sizes = (100, 150, 0)  # 0: all that remain
    campaigns = [scene.operations.create_campaign(job(replace(RIVERS, count=size))) for size in sizes]
    assert [(each.view().base, each.view().count) for each in campaigns] == [(0, 100), (100, 150), (250, 6)]
    names = [row.domain for each in campaigns for row in scene.rows(each)]
    assert names == oracle.pattern_names(RIVERS)


@pytest.mark.parametrize("count", [7, 0])
def test_an_exhausted_pattern_is_refused_with_what_is_left(scene: Scene, count: int) -> None:
    taken = 250 if count else 256
    scene.operations.create_campaign(job(replace(RIVERS, count=taken)))
    with pytest.raises(SpaceExhausted, match=f"{256 - taken} of 256 names left"):
        scene.operations.create_campaign(job(replace(RIVERS, count=count)))
    assert len(scene.operations.campaigns()) == 1


def test_more_active_campaigns_than_allowed_are_refused_and_nothing_is_taken(scene: Scene) -> None:
    ten = [scene.operations.create_campaign(job(replace(RIVERS, count=5))) for _ in range(10)]
    with pytest.raises(QuotaExceeded, match="alice has 10 active campaigns, and 10 are allowed"):
        scene.operations.create_campaign(job(replace(RIVERS, count=5)))
    assert len(scene.operations.campaigns()) == 10
    ten[0].cancel()
    assert scene.operations.create_campaign(job(replace(RIVERS, count=5))).view().base == 50
