"""The port between who keeps state and who does the work: a batch goes out, a result comes back.

Values only, all picklable. Whoever runs a batch knows neither actors nor SQL; whoever hands it out knows no socket.
"""

from typing import Protocol

from msgspec import Struct

from domainflow.spec import DnsPersona, HttpPersona, KeywordRule, ScoringProfile, Source
from domainflow.vocabulary import DnsReason, HttpOutcome, LeadStatus, Phase, Rejection

# One nibble a name in the vector of a DNS batch. The position in this tuple is the code, for ever.
DNS_CODES: tuple[str, ...] = ("pending", "resolved", *DnsReason, "invalid")


class LabPorts(Struct, frozen=True):
    """Where the loopback internet of this home listens; see `domainflow.lab`."""

    seed: int
    resolvers: tuple[str, ...]  # host:port
    http_port: int
    https_port: int
    ca_file: str


class Page(Struct, frozen=True, kw_only=True, array_like=True):
    """What is kept of one fetch. Whatever the outcome there is one; fields that do not apply are empty."""

    outcome: HttpOutcome
    status: int = 0  # of the last response; 0: none
    final_url: str = ""
    title: str = ""
    content_hash: str = ""  # hex, of the extracted text
    content_bytes: int = 0  # of the extracted text in UTF-8
    charset: str = ""
    language: str = ""
    parked: float = 0.0  # confidence, 0..1
    matches: tuple["Match", ...] = ()  # by (rule, first position)
    elapsed_ms: int = 0
    error: str = ""  # a short constant word such as refused, tls, too_large, blocked_address


class Match(Struct, frozen=True, array_like=True):
    """One keyword found in one page."""

    keyword: str
    category: str
    count: int  # in title and text together
    in_title: bool
    snippet: str  # of the first hit


class DnsHit(Struct, frozen=True, array_like=True):
    """What is kept of a name that resolved: its addresses, sorted, A before AAAA."""

    addresses: tuple[str, ...]


class Lead(Struct, frozen=True, kw_only=True, array_like=True):
    """The verdict on one fetched page."""

    status: LeadStatus
    rejection: Rejection
    score: float  # 0..1, 3 places


class Input(Struct, frozen=True, array_like=True):
    """One name that a batch of a later phase starts from."""

    position: int  # in the campaign, 0-based
    addresses: tuple[str, ...] = ()
    page: Page | None = None


class Hit(Struct, frozen=True, array_like=True):
    """A row to keep: msgpack of a `DnsHit`, `Page` or `Lead`."""

    position: int
    body: bytes


class BatchSpec(Struct, frozen=True, kw_only=True):
    """One batch: everything its work needs, nothing it could misuse."""

    item: int  # work item id
    fence: int
    attempt: int  # 1-based
    phase: Phase
    start: int  # positions [start, stop) in the campaign
    stop: int
    source: Source
    base: int  # offset of position 0 in the source
    source_file: str = ""  # canonical bytes of a Words or Names source, on this host
    inputs: tuple[Input, ...] = ()  # http and analysis only, by position
    dns: DnsPersona
    http: HttpPersona
    keywords: tuple[KeywordRule, ...] = ()
    scoring: ScoringProfile = ScoringProfile()
    created_at_s: float = 0.0  # of the campaign, Unix time
    lab: LabPorts | None = None  # where `lab` points to
    rate_share: float = 1.0  # this worker's part of each rate limit, (0, 1]


class BatchResult(Struct, frozen=True, kw_only=True):
    """What one batch found. The same spec gives the same counts, outcomes and hits, load apart."""

    item: int
    fence: int
    counts: tuple[tuple[str, int], ...]  # outcome -> names, sorted; sums to what the phase counts (see each work)
    outcomes: bytes = b""  # zlib of one nibble a position (DNS_CODES), first position in the high nibble; DNS only
    hits: tuple[Hit, ...] = ()  # by position


class BatchFailure(Struct, frozen=True, kw_only=True):
    """A batch that raised. Its reason is for people: no SQL, no paths, at most 500 characters."""

    item: int
    fence: int
    reason: str


class Work(Protocol):
    """A phase's work inside a worker process: one coroutine a batch, several at once in one event loop."""

    async def __call__(self, spec: BatchSpec, /) -> BatchResult:
        """Do one batch. Raises whatever went wrong with the batch as a whole; a name's own failure is an outcome."""
        ...
