import asyncio
import time

import msgspec
import pytest

from domainflow.spec import DnsPersona, HttpPersona, Names, ScoringProfile
from domainflow.vocabulary import HttpOutcome, LeadStatus, Phase, Rejection
from domainflow.work import analysis
from domainflow.work.analysis import features, score
from domainflow.work.port import BatchSpec, Hit, Input, Lead, Match, Page

DAY_S = 86_400.0
PROFILE = ScoringProfile()


def page(*, hits: tuple[int, ...] = (), in_title: bool = False, content_bytes: int = 2048, parked: float = 0.0) -> Page:
    matches = tuple(Match(f"k{place}", "", count, in_title, "") for place, count in enumerate(hits))
    return Page(outcome=HttpOutcome.SUCCESS, matches=matches, content_bytes=content_bytes, parked=parked)


def test_density_is_hits_a_kib_over_three() -> None:
    assert features(page(hits=(2, 1)), 0.0).keyword_density == 0.5  # 3 hits / 2 KiB / 3


def test_density_of_a_page_without_content_is_its_coverage() -> None:
    found = features(page(hits=(9,), content_bytes=0), 0.0)
    assert (found.keyword_density, found.unique_keyword_coverage) == (0.2, 0.2)


def test_no_feature_exceeds_one() -> None:
    found = features(page(hits=(900,) * 9, content_bytes=9_000_000, in_title=True), 0.0)
    assert msgspec.structs.astuple(features(page(hits=(900,) * 9), 0.0))[:2] == (1.0, 1.0)
    assert found.content_length_quality == 1.0


@pytest.mark.parametrize(
    ("days", "value"), [(0, 1.0), (1, 1.0), (1.01, 0.7), (6.99, 0.7), (7, 0.4), (29.9, 0.4), (30, 0.0), (900, 0.0)]
)
def test_freshness_falls_with_the_days_since_the_campaign_was_created(days: float, value: float) -> None:
    assert features(page(), days * DAY_S).freshness == value


def test_a_score_by_hand() -> None:
    # density 3/2/3 = .5 -> .175; coverage 2/5 -> .1; non_parked .1; length 2048/50000 -> .004096; title .1; fresh .1
    lead = score(page(hits=(2, 1), in_title=True), PROFILE, 0.0)
    assert lead == Lead(status=LeadStatus.MATCH, rejection=Rejection.QUALIFIED, score=0.579)


def test_weights_are_normalised_to_one() -> None:
    doubled = ScoringProfile(
        keyword_density=0.70,
        unique_keyword_coverage=0.50,
        non_parked=0.20,
        content_length_quality=0.20,
        title_keyword=0.20,
        freshness=0.20,
    )
    assert score(page(hits=(2, 1)), doubled, 0.0) == score(page(hits=(2, 1)), PROFILE, 0.0)


def test_a_profile_without_weights_scores_nothing() -> None:
    nothing = ScoringProfile(
        keyword_density=0,
        unique_keyword_coverage=0,
        non_parked=0,
        content_length_quality=0,
        title_keyword=0,
        freshness=0,
    )
    assert score(page(hits=(5,)), nothing, 0.0).score == 0.0


def test_an_unparked_page_without_a_match_is_no_lead_whatever_its_score() -> None:
    lead = score(page(content_bytes=50_000), PROFILE, 0.0)
    assert lead == Lead(status=LeadStatus.NO_MATCH, rejection=Rejection.NO_KEYWORDS, score=0.3)


@pytest.mark.parametrize(
    ("parked", "lead"),
    [
        (0.49, Lead(status=LeadStatus.MATCH, rejection=Rejection.QUALIFIED, score=0.579)),
        (0.5, Lead(status=LeadStatus.NO_MATCH, rejection=Rejection.PARKED, score=0.24)),  # .479096 / 2
        (0.89, Lead(status=LeadStatus.NO_MATCH, rejection=Rejection.PARKED, score=0.24)),
        (0.9, Lead(status=LeadStatus.MATCH, rejection=Rejection.QUALIFIED, score=0.479)),
    ],
)
def test_a_parked_page_is_halved_unless_surely_parked_and_needs_the_floor(parked: float, lead: Lead) -> None:
    assert score(page(hits=(2, 1), in_title=True, parked=parked), PROFILE, 0.0) == lead


@pytest.mark.parametrize("hits", [(2, 1), ()])
def test_a_surely_parked_page_below_the_floor_is_parked_with_keywords_or_without(hits: tuple[int, ...]) -> None:
    assert score(page(hits=hits, parked=0.95), PROFILE, 0.0).rejection is Rejection.PARKED


@pytest.mark.parametrize(("content_bytes", "rejection"), [(1024, Rejection.QUALIFIED), (1023, Rejection.LOW_SCORE)])
def test_a_long_page_qualifies_with_a_little_less(content_bytes: int, rejection: Rejection) -> None:
    only_coverage = ScoringProfile(
        keyword_density=0,
        unique_keyword_coverage=0.25,
        non_parked=0,
        content_length_quality=0,
        title_keyword=0,
        freshness=0.75,
    )
    month_old = 40 * DAY_S
    lead = score(page(hits=(1, 1, 1, 1, 1), content_bytes=content_bytes), only_coverage, month_old)
    assert (lead.score, lead.rejection) == (0.25, rejection)


def test_a_batch_judges_pages_that_succeeded_and_counts_the_rest() -> None:
    good, bare = page(hits=(2, 1), in_title=True), page()
    slow, broken = Page(outcome=HttpOutcome.TIMEOUT), Page(outcome=HttpOutcome.ERROR, error="tls")
    inputs = (Input(3, (), good), Input(4, (), slow), Input(6, (), broken), Input(7), Input(9, (), bare))
    spec = BatchSpec(
        item=5,
        fence=2,
        attempt=1,
        phase=Phase.ANALYSIS,
        start=0,
        stop=10,
        source=Names(sha256="", names=10),
        base=0,
        inputs=inputs,
        dns=DnsPersona(),
        http=HttpPersona(),
        created_at_s=time.time(),
    )
    result = asyncio.run(analysis.run(spec))
    assert (result.item, result.fence) == (5, 2)
    assert result.counts == (("http_error", 2), ("http_timeout", 1), ("no_keywords", 1), ("qualified", 1))
    assert result.hits == tuple(
        Hit(place, msgspec.msgpack.encode(score(found, PROFILE, 0.0))) for place, found in ((3, good), (9, bare))
    )
