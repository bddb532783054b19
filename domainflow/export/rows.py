"""One row a name: its outcomes in every phase, joined by position and followed by the verdict.

Reads; writes and formats nothing. Memory is a page of positions and one batch's vector, however long the campaign.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from domainflow.actors.campaign.actor import RULES, stream_of
from domainflow.actors.campaign.state import Campaign
from domainflow.errors import NotFound
from domainflow.spec import Pattern
from domainflow.store import campaigns, export_sql, results
from domainflow.store.export_sql import Reading
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind
from domainflow.vocabulary import (
    OUTCOME_OF,
    PHASES,
    DnsOutcome,
    DnsReason,
    HttpOutcome,
    LeadStatus,
    Phase,
    PhaseStatus,
    Rejection,
)
from domainflow.work import generation
from domainflow.work.port import DNS_CODES, DnsHit, Lead, Page
from domainflow.work.vectors import unpack

PAGE: Final = 500  # positions a transaction; a page with many matches is some 10 KB

KeptT = TypeVar("KeptT", bound=Struct)

_REASONS: Final = {code: DnsReason(word) for code, word in enumerate(DNS_CODES) if word in set(DnsReason)}
_RESOLVED: Final = DNS_CODES.index(DnsOutcome.RESOLVED)


class Row(Struct, frozen=True, kw_only=True):
    """What is known of one name just now. Fields that do not apply are None or empty."""

    position: int  # in the campaign, 0-based
    domain: str
    dns_status: DnsOutcome | None  # None: the phase was skipped
    dns_reason: DnsReason | None = None  # why it did not resolve
    addresses: tuple[str, ...] = ()  # sorted, A before AAAA
    http_status: HttpOutcome | None = None  # None: not to be fetched
    http_code: int | None = None  # of the last response
    final_url: str = ""
    title: str = ""
    content_hash: str = ""
    keywords: tuple[tuple[str, int], ...] = ()  # (keyword, how often), sorted
    score: float | None = None  # 0..1; None: not analysed
    lead_status: LeadStatus
    rejection: Rejection


class Rows(Iterator[Row]):
    """The rows of a campaign in order of position; iterate once. Positions without a valid name have none."""

    def __init__(self, reader: "_Reader") -> None:
        """Use `rows`."""
        self._reader = reader
        self._rows = reader.read()

    def __next__(self) -> Row:
        return next(self._rows)

    @property
    def invalid(self) -> int:
        """How many positions were passed over so far, since they make no valid name."""
        return self._reader.invalid


def rows(store: Postgres, campaign: str, *, tenant: str, home: Path) -> Rows:
    """Return the results of a campaign, of the current run of each phase, as far as they are stored.

    A campaign that runs may be read too: each page of rows is as of one instant.

    Args:
        store: any runtime's.
        campaign: its uuid.
        tenant: only a campaign of this tenant is found.
        home: where word lists and files of names are cached (`home/sources`).

    Raises:
        NotFound: there is no such campaign in this tenant, or it was deleted; here, or while iterating.
        StoreUnavailable, Corrupt: likewise.
    """
    loaded = store.peek(stream_of(campaign), fold_version=RULES.fold_version)
    state = RULES.fold(loaded)
    if loaded.version == 0 or loaded.tenant != tenant or state.deleted:
        raise NotFound(f"there is no campaign {campaign}")
    source = state.spec.source
    file = None if isinstance(source, Pattern) else store.source_file(tenant, source.sha256, home / "sources")
    return Rows(_Reader(store, campaign, tenant, state, file))


class _Reader:
    """Pages through the positions of a campaign."""

    def __init__(self, store: Postgres, campaign: str, tenant: str, state: Campaign, file: Path | None) -> None:
        self._store = store
        self._campaign = campaign
        self._tenant = tenant
        self._spec = state.spec
        self._file = file
        self._dns, self._http, self._analysis = (
            _Part(campaign, state, phase)
            for phase in (Phase.DNS_VALIDATION, Phase.HTTP_KEYWORD_VALIDATION, Phase.ANALYSIS)
        )
        self._codes = _Codes(self._dns)
        self.invalid = 0

    def read(self) -> Iterator[Row]:
        """Yield every row."""
        for start in range(0, self._spec.count, PAGE):
            yield from self._page(start, min(start + PAGE, self._spec.count))

    def _page(self, start: int, stop: int) -> list[Row]:
        base = self._spec.base
        names = generation.names(self._spec.source, base + start, base + stop, self._file)
        with self._store.tenants(Kind.VIEW, self._tenant, one_instant=True) as connection:
            if not campaigns.find(connection, self._campaign):
                raise NotFound(f"campaign {self._campaign} was deleted meanwhile")
            codes = self._codes.of(connection, start, stop)
            hits = self._dns.hits(connection, start, stop, DnsHit)
            pages = self._http.hits(connection, start, stop, Page)
            leads = self._analysis.hits(connection, start, stop, Lead)
        made = []
        for position, name in enumerate(names, start):
            if name is None:
                self.invalid += 1
                continue
            hit = hits.get(position)
            facts = _Facts(
                code=codes[position - start],
                addresses=hit.addresses if hit else (),
                page=pages.get(position),
                lead=leads.get(position),
            )
            made.append(self._row(position, name, facts))
        return made

    def _row(self, position: int, name: str, facts: "_Facts") -> Row:
        dns = None if self._dns.skipped else _dns_status(facts.code)
        fetched = not self._http.skipped and dns in {None, DnsOutcome.RESOLVED}
        page = facts.page
        http = page.outcome if page else HttpOutcome.PENDING if fetched else None
        lead_status, rejection = verdict(dns, http, facts.lead)
        return Row(
            position=position,
            domain=name,
            dns_status=dns,
            dns_reason=_REASONS.get(facts.code) if dns else None,
            addresses=facts.addresses,
            http_status=http,
            http_code=page.status or None if page else None,
            final_url=page.final_url if page else "",
            title=page.title if page else "",
            content_hash=page.content_hash if page else "",
            keywords=_keywords(page),
            score=facts.lead.score if facts.lead else None,
            lead_status=lead_status,
            rejection=rejection,
        )


class _Facts(Struct, frozen=True):
    """What is stored of one position."""

    code: int  # DNS_CODES
    addresses: tuple[str, ...]
    page: Page | None
    lead: Lead | None


class _Part:
    """The current run of one phase."""

    def __init__(self, campaign: str, state: Campaign, phase: Phase) -> None:
        now = state.phase(phase)
        self.run = results.Run(campaign, PHASES.index(phase), now.run)
        self.width = now.width
        self.skipped = now.status is PhaseStatus.SKIPPED

    def hits(self, connection: Reading, start: int, stop: int, type_: type[KeptT]) -> dict[int, KeptT]:
        """What was kept of [start, stop), by position."""
        if self.run.run == 0:
            return {}
        return {
            position: msgspec.msgpack.decode(body, type=type_)
            for position, body in results.hits(connection, self.run, start, stop)
        }


class _Codes:
    """DNS codes by position. Batches and pages overlap as they please, so the last batch is kept."""

    def __init__(self, dns: _Part) -> None:
        self._dns = dns
        self._kept: tuple[int, int, list[int]] = (0, 0, [])  # start, stop, codes

    def of(self, connection: Reading, start: int, stop: int) -> list[int]:
        """The codes of [start, stop); 0, pending, where there is no result."""
        codes = [0] * (stop - start)
        if self._dns.run.run == 0:
            return codes
        if not self._kept[0] <= start < stop <= self._kept[1]:
            width = self._dns.width
            for vector in export_sql.vectors(connection, self._dns.run, start // width, -(-stop // width)):
                self._kept = (vector.start, vector.stop, unpack(vector.outcomes, vector.stop - vector.start))
                self._copy(codes, start, stop)
        else:
            self._copy(codes, start, stop)
        return codes

    def _copy(self, codes: list[int], start: int, stop: int) -> None:
        first, end, kept = self._kept
        low, high = max(first, start), min(end, stop)
        codes[low - start : high - start] = kept[low - first : high - first]


def verdict(dns: DnsOutcome | None, http: HttpOutcome | None, lead: Lead | None) -> tuple[LeadStatus, Rejection]:
    """Return what all outcomes of a name come to, by the priority of `Rejection`."""
    if lead is not None and lead.rejection is Rejection.QUALIFIED:
        return lead.status, lead.rejection
    match dns, http:
        case DnsOutcome.TIMEOUT, _:
            return LeadStatus.TIMEOUT, Rejection.DNS_TIMEOUT
        case ((DnsOutcome.UNRESOLVED | DnsOutcome.ERROR), _):
            return LeadStatus.ERROR, Rejection.DNS_ERROR
        case _, HttpOutcome.TIMEOUT:
            return LeadStatus.TIMEOUT, Rejection.HTTP_TIMEOUT
        case _, (HttpOutcome.FAILED | HttpOutcome.ERROR):
            return LeadStatus.ERROR, Rejection.HTTP_ERROR
        case _, HttpOutcome.SUCCESS if lead is not None:
            return lead.status, lead.rejection
        case _:
            return LeadStatus.PENDING, Rejection.PENDING


def _dns_status(code: int) -> DnsOutcome:
    if code == _RESOLVED:
        return DnsOutcome.RESOLVED
    reason = _REASONS.get(code)
    return OUTCOME_OF[reason] if reason else DnsOutcome.PENDING


def _keywords(page: Page | None) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for match in page.matches if page else ():
        found[match.keyword] = found.get(match.keyword, 0) + match.count
    return tuple(sorted(found.items()))
