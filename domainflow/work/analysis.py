"""The verdict on a fetched page: a score of six features, and what follows from it.

Pure but for `run`, which reads the clock once a batch. Nothing here fetches, stores or ranks.
"""

import time
from collections import Counter
from typing import Final

import msgspec
from msgspec import Struct

from domainflow.spec import ScoringProfile
from domainflow.vocabulary import HttpOutcome, LeadStatus, Rejection
from domainflow.work.parked import PARKED
from domainflow.work.port import BatchResult, BatchSpec, Hit, Lead, Page

_HITS_PER_KIB: Final = 3.0
_UNIQUE_KEYWORDS: Final = 5
_LONG_PAGE_BYTES: Final = 50_000
_SURELY_PARKED: Final = 0.9
_DAY_S: Final = 86_400.0
_FRESHNESS: Final = ((7.0, 0.7), (30.0, 0.4))  # (younger than days, value) after the first day


class Features(Struct, frozen=True):
    """The features of a page, each 0..1; the names are those of ScoringProfile's weights."""

    keyword_density: float
    unique_keyword_coverage: float
    non_parked: float
    content_length_quality: float
    title_keyword: float
    freshness: float


def features(page: Page, age_s: float) -> Features:
    """The features of a fetched page, `clamp` being to 0..1.

    hits = sum of the matches' counts, unique = number of matches, KiB = content_bytes / 1024.

    * keyword_density = clamp(hits / KiB / 3); = unique_keyword_coverage if content_bytes is 0
    * unique_keyword_coverage = clamp(unique / 5)
    * non_parked = 0 if page.parked >= .5 else 1
    * content_length_quality = clamp(content_bytes / 50 000)
    * title_keyword = 1 if any match is in the title else 0
    * freshness = 1 for an age of at most 1 day, .7 below 7 days, .4 below 30 days, else 0; `age_s` is the time from
      the campaign's creation to its analysis
    """
    coverage = _clamp(len(page.matches) / _UNIQUE_KEYWORDS)
    hits = sum(match.count for match in page.matches)
    density = _clamp(hits / (page.content_bytes / 1024) / _HITS_PER_KIB) if page.content_bytes else coverage
    return Features(
        keyword_density=density,
        unique_keyword_coverage=coverage,
        non_parked=0.0 if page.parked >= PARKED else 1.0,
        content_length_quality=_clamp(page.content_bytes / _LONG_PAGE_BYTES),
        title_keyword=1.0 if any(match.in_title for match in page.matches) else 0.0,
        freshness=_freshness(age_s),
    )


def score(page: Page, profile: ScoringProfile, age_s: float) -> Lead:
    """The verdict on a page with outcome success.

    score = sum(weight * feature) / sum(weights), 0 if all weights are 0; times .5 if .5 <= page.parked < .9; rounded
    to 3 places, and that rounded score is what the thresholds see. The first rule that fits is the rejection:

    1. page.parked >= .5 and score < parked_floor: parked
    2. no match at all: no_keywords
    3. score >= match_score, or score >= match_score_long and content_bytes >= long_bytes: qualified
    4. otherwise: low_score

    The status is match for qualified and no_match for the others.
    """
    value = _weighted(features(page, age_s), profile)
    if PARKED <= page.parked < _SURELY_PARKED:
        value *= 0.5
    value = round(value, 3)
    rejection = _rejection(page, profile, value)
    status = LeadStatus.MATCH if rejection is Rejection.QUALIFIED else LeadStatus.NO_MATCH
    return Lead(status=status, rejection=rejection, score=value)


async def run(spec: BatchSpec) -> BatchResult:
    """Judge the pages of a batch's inputs.

    `counts` is by Rejection without zeros and sums to the inputs; `hits` has a `Lead` for each page with outcome
    success. A page that timed out counts as http_timeout, any other (and an input without a page) as http_error.
    """
    age_s = time.time() - spec.created_at_s
    counts: Counter[str] = Counter()
    hits = []
    for entry in spec.inputs:
        if entry.page is None or entry.page.outcome is not HttpOutcome.SUCCESS:
            timed_out = entry.page is not None and entry.page.outcome is HttpOutcome.TIMEOUT
            counts[str(Rejection.HTTP_TIMEOUT if timed_out else Rejection.HTTP_ERROR)] += 1
            continue
        lead = score(entry.page, spec.scoring, age_s)
        counts[str(lead.rejection)] += 1
        hits.append(Hit(entry.position, msgspec.msgpack.encode(lead)))
    return BatchResult(item=spec.item, fence=spec.fence, counts=tuple(sorted(counts.items())), hits=tuple(hits))


def _weighted(found: Features, profile: ScoringProfile) -> float:
    pairs: list[tuple[float, float]] = [
        (getattr(profile, name), getattr(found, name)) for name in Features.__struct_fields__
    ]
    total = sum(weight for weight, _ in pairs)
    return sum(weight * value for weight, value in pairs) / total if total else 0.0


def _rejection(page: Page, profile: ScoringProfile, value: float) -> Rejection:
    if page.parked >= PARKED and value < profile.parked_floor:
        return Rejection.PARKED
    if not page.matches:
        return Rejection.NO_KEYWORDS
    is_long = page.content_bytes >= profile.long_bytes
    if value >= profile.match_score or (is_long and value >= profile.match_score_long):
        return Rejection.QUALIFIED
    return Rejection.LOW_SCORE


def _freshness(age_s: float) -> float:
    days = age_s / _DAY_S
    if days <= 1:
        return 1.0
    return next((value for below, value in _FRESHNESS if days < below), 0.0)


def _clamp(value: float) -> float:
    return min(1.0, max(0.0, value))
