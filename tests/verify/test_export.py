"""An export says of every name what the lab had in store for it, in order, a page at a time, as CSV and JSON Lines."""

import csv
import io
import json
import tracemalloc
from collections import Counter
from itertools import islice

import pytest
from copies import Copy
from msgspec.structs import replace
from stored import ALICE, DEAD_RUNTIME, NAMES, SEED, SPEC, TENANT

from domainflow import Runtime
from domainflow.actors.campaign.actor import RULES, stream_of
from domainflow.errors import NotFound
from domainflow.export import COLUMNS, Row, Rows, rows, write_csv, write_jsonl
from domainflow.export.rows import verdict
from domainflow.lab.expect import expected
from domainflow.lab.world import World
from domainflow.spec import PatternSource
from domainflow.store import leases, work_items
from domainflow.store.transaction import Kind
from domainflow.vocabulary import (
    DnsOutcome,
    DnsReason,
    HttpOutcome,
    LeadStatus,
    PatternType,
    Phase,
    Rejection,
)
from domainflow.work.port import DNS_CODES, Lead
from domainflow.work.vectors import pack


def exported(copy: Copy, campaign: str) -> Rows:
    return rows(copy.store, campaign, tenant=TENANT, home=copy.home)


def created(copy: Copy, source: PatternSource, **changes: object) -> str:
    """A campaign of a runtime without workers, started unless told otherwise."""
    spec = replace(SPEC, source=source, skip=(Phase.DOMAIN_GENERATION,), **changes)
    with Runtime.open(copy.store.dsn, home=copy.home, work=False) as runtime:
        campaign = runtime.as_principal(ALICE).create_campaign(spec)
        campaign.start()
        next(change for change in campaign.watch(timeout_s=20.0) if change.type == "campaign.phase_started")
    return campaign.id


LONG = PatternSource(
    pattern_type=PatternType.PREFIX, variable_length=5, character_set="abcdefghij", constant="y", tld=".com"
)


# --- rows


def test_each_row_is_what_the_lab_had_in_store(copy: Copy) -> None:
    world = World(SEED, resolving=0.5)
    found = list(exported(copy, copy.hand.ids.done))
    assert [row.position for row in found] == list(range(NAMES))
    assert found[0].domain == "aaaax.com"
    assert found[8].domain == "aabax.com"
    for row in found:
        known = expected(world, row.domain)
        assert row.dns_reason == known.reason, row
        assert row.addresses == known.addresses, row
        assert (row.dns_status is DnsOutcome.RESOLVED) is (known.reason is None), row
        assert row.http_status == known.http, row
        if known.planted is not None:
            assert (row.http_code, row.final_url) == (known.status, known.final_url)
        if known.planted is not None and row.http_status is HttpOutcome.SUCCESS:
            assert {keyword for keyword, _ in row.keywords} == known.planted.keywords, row
            assert row.score is not None


def test_the_rows_add_up_to_the_counters_of_the_campaign(copy: Copy) -> None:
    state = RULES.fold(copy.store.peek(stream_of(copy.hand.ids.done), fold_version=RULES.fold_version))
    found = list(exported(copy, copy.hand.ids.done))
    assert Counter(str(row.dns_reason or row.dns_status) for row in found) == dict(
        state.phase(Phase.DNS_VALIDATION).counts
    )
    assert Counter(str(row.http_status) for row in found if row.http_status) == dict(
        state.phase(Phase.HTTP_KEYWORD_VALIDATION).counts
    )
    verdicts = Counter(str(row.rejection) for row in found if row.http_status)
    assert verdicts == dict(state.phase(Phase.ANALYSIS).counts)
    assert verdicts["qualified"] > 0


def test_a_campaign_that_has_not_begun_has_its_names_and_nothing_else(copy: Copy) -> None:
    found = list(exported(copy, copy.hand.ids.words))
    assert [row.domain for row in found] == ["apple.com", "apple.org", "pear.com", "pear.org"]
    assert {row.dns_status for row in found} == {DnsOutcome.PENDING}
    assert {(row.http_status, row.lead_status, row.rejection) for row in found} == {
        (None, LeadStatus.PENDING, Rejection.PENDING)
    }
    assert [row.domain for row in exported(copy, copy.hand.ids.names)] == ["one.test", "two.test", "three.test"]


def test_invalid_combinations_have_no_row_and_are_counted(copy: Copy) -> None:
    source = PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=2, character_set="a-", constant="x", tld=".com"
    )
    found = exported(copy, created(copy, source))
    assert [(row.position, row.domain) for row in found] == [(2, "a-x.com"), (3, "aax.com")]
    assert found.invalid == 2


def test_where_dns_was_skipped_names_wait_for_their_fetch(copy: Copy) -> None:
    found = islice(exported(copy, created_without_dns(copy)), 3)
    assert {(row.dns_status, row.http_status, row.rejection) for row in found} == {
        (None, HttpOutcome.PENDING, Rejection.PENDING)
    }


def created_without_dns(copy: Copy) -> str:
    spec = replace(SPEC, source=LONG, skip=(Phase.DNS_VALIDATION,))
    with Runtime.open(copy.store.dsn, home=copy.home, work=False) as runtime:
        return runtime.as_principal(ALICE).create_campaign(spec).id


def test_outcomes_stand_at_their_positions_however_batches_and_pages_overlap(copy: Copy) -> None:
    reasons = list(DnsReason)
    campaign = created(copy, replace(LONG, count=2600), batch_size=700)
    listener = copy.store.connect_listener()
    leases.register(listener, DEAD_RUNTIME[:-1] + "e", host=leases.Host("far", 1), lock_key=2, lease_s=600.0)
    with copy.store.upkeep(Kind.TOOL) as connection:
        claims = [c for c in work_items.claim(connection, DEAD_RUNTIME[:-1] + "e", 100) if c.campaign == campaign]
    assert [(claim.start, claim.stop) for claim in claims] == [(0, 700), (700, 1400), (1400, 2100), (2100, 2600)]
    results = []
    for claim in (claims[0], claims[1], claims[3]):
        codes = [2 + position % 6 for position in range(claim.start, claim.stop)]
        counts = Counter(DNS_CODES[code] for code in codes)
        results.append(
            work_items.Result(
                item=claim.id,
                fence=claim.fence,
                counts=tuple(sorted((str(word), number) for word, number in counts.items())),
                outcomes=pack(codes),
                hits=(),
            )
        )
    assert copy.store.store_results(results, [TENANT]) == [True, True, True]
    listener.close()
    for row in exported(copy, campaign):
        done = not 1400 <= row.position < 2100
        assert row.dns_reason == (reasons[row.position % 6] if done else None), row
        assert (row.dns_status is DnsOutcome.PENDING) is not done


@pytest.mark.parametrize("tenant", ["other", ""])
def test_a_campaign_of_another_tenant_is_not_found(copy: Copy, tenant: str) -> None:
    with pytest.raises(NotFound):
        rows(copy.store, copy.hand.ids.done, tenant=tenant, home=copy.home)


def test_a_deleted_campaign_is_not_found(copy: Copy) -> None:
    with pytest.raises(NotFound):
        exported(copy, copy.hand.ids.deleted)


def test_memory_does_not_grow_with_the_campaign(copy: Copy) -> None:
    """100 000 names would be some 60 MB as rows."""
    found = exported(copy, created(copy, LONG))
    tracemalloc.start()
    total = sum(1 for _ in islice(found, 20_000))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 20_000
    assert peak_bytes < 4_000_000


# --- the verdict

QUALIFIED = Lead(status=LeadStatus.MATCH, rejection=Rejection.QUALIFIED, score=0.5)
PARKED = Lead(status=LeadStatus.NO_MATCH, rejection=Rejection.PARKED, score=0.1)


@pytest.mark.parametrize(
    ("dns", "http", "lead", "status", "rejection"),
    [
        (DnsOutcome.PENDING, None, None, "pending", "pending"),
        (DnsOutcome.TIMEOUT, None, None, "timeout", "dns_timeout"),
        (DnsOutcome.UNRESOLVED, None, None, "error", "dns_error"),
        (DnsOutcome.ERROR, None, None, "error", "dns_error"),
        (DnsOutcome.RESOLVED, HttpOutcome.PENDING, None, "pending", "pending"),
        (DnsOutcome.RESOLVED, HttpOutcome.TIMEOUT, None, "timeout", "http_timeout"),
        (DnsOutcome.RESOLVED, HttpOutcome.FAILED, None, "error", "http_error"),
        (DnsOutcome.RESOLVED, HttpOutcome.ERROR, None, "error", "http_error"),
        (DnsOutcome.RESOLVED, HttpOutcome.SUCCESS, None, "pending", "pending"),
        (DnsOutcome.RESOLVED, HttpOutcome.SUCCESS, PARKED, "no_match", "parked"),
        (DnsOutcome.RESOLVED, HttpOutcome.SUCCESS, QUALIFIED, "match", "qualified"),
        (DnsOutcome.TIMEOUT, HttpOutcome.SUCCESS, QUALIFIED, "match", "qualified"),
        (DnsOutcome.TIMEOUT, HttpOutcome.SUCCESS, PARKED, "timeout", "dns_timeout"),
        (None, HttpOutcome.SUCCESS, QUALIFIED, "match", "qualified"),
        (None, HttpOutcome.ERROR, None, "error", "http_error"),
        (None, None, None, "pending", "pending"),
    ],
)
def test_the_verdict_follows_the_priority_of_rejections(
    dns: DnsOutcome | None, http: HttpOutcome | None, lead: Lead | None, status: str, rejection: str
) -> None:
    assert verdict(dns, http, lead) == (status, rejection)


# --- formats

FULL = Row(
    position=2**53 + 1,
    domain="aaax.com",
    dns_status=DnsOutcome.RESOLVED,
    addresses=("127.0.1.4", "::1"),
    http_status=HttpOutcome.SUCCESS,
    http_code=200,
    final_url="https://aaax.com/",
    title='=HYPERLINK("http://evil","a, b")',
    content_hash="ab12",
    keywords=(("bargain", 2), ("café", 1)),
    score=0.301,
    lead_status=LeadStatus.MATCH,
    rejection=Rejection.QUALIFIED,
)
BARE = Row(
    position=7,
    domain="aaay.com",
    dns_status=DnsOutcome.UNRESOLVED,
    dns_reason=DnsReason.NXDOMAIN,
    lead_status=LeadStatus.ERROR,
    rejection=Rejection.DNS_ERROR,
)


def test_csv_has_a_header_and_a_line_a_row() -> None:
    file = io.StringIO(newline="")
    assert write_csv([FULL, BARE], file) == 2
    assert file.getvalue() == (
        "position,domain,dns_status,dns_reason,addresses,http_status,http_code,final_url,title,content_hash,keywords,"
        "score,lead_status,rejection\r\n"
        "9007199254740993,aaax.com,resolved,,127.0.1.4 ::1,success,200,https://aaax.com/,"
        '"\'=HYPERLINK(""http://evil"",""a, b"")",ab12,"bargain:2,café:1",0.301,match,qualified\r\n'
        "7,aaay.com,unresolved,NXDOMAIN,,,,,,,,,error,dns_error\r\n"
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_of_a_stranger_is_a_formula(start: str) -> None:
    file = io.StringIO(newline="")
    write_csv([row_with_title(f"{start}1+1")], file)
    (cells,) = list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))
    assert cells["title"] == f"'{start}1+1"


def row_with_title(title: str) -> Row:
    return replace(FULL, title=title)


def test_json_lines_are_objects_whose_numbers_a_browser_can_hold() -> None:
    file = io.StringIO()
    assert write_jsonl([FULL, BARE], file) == 2
    full, bare = (json.loads(line) for line in file.getvalue().splitlines())
    assert tuple(full) == tuple(bare) == COLUMNS
    assert full["position"] == "9007199254740993"
    assert full["addresses"] == ["127.0.1.4", "::1"]
    assert full["keywords"] == {"bargain": 2, "café": 1}
    assert full["title"] == '=HYPERLINK("http://evil","a, b")'
    assert bare == {
        "position": 7,
        "domain": "aaay.com",
        "dns_status": "unresolved",
        "dns_reason": "NXDOMAIN",
        "addresses": [],
        "http_status": None,
        "http_code": None,
        "final_url": "",
        "title": "",
        "content_hash": "",
        "keywords": {},
        "score": None,
        "lead_status": "error",
        "rejection": "dns_error",
    }


def test_a_campaign_without_rows_has_a_header_alone() -> None:
    file = io.StringIO(newline="")
    assert write_csv([], file) == 0
    assert len(file.getvalue().splitlines()) == 1
