"""What a campaign is asked to do, as typed values with their bounds.

Only shapes and ranges that a single field can state stand here; rules that need the whole (the size of a space, a
file that must exist) are checked where the value is used. Nothing here reads a file, a clock or a database.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from domainflow.vocabulary import KeywordRuleType, Mode, PatternType, Phase, ResolverStrategy

INT64_MAX = 2**63 - 1

Count: TypeAlias = Annotated[int, Meta(ge=0, le=INT64_MAX)]
Path: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4096)]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0.05, le=600.0)]


class _Spec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    pass


# --- sources as a user writes them


class PatternSource(_Spec, frozen=True, kw_only=True, tag_field="kind", tag="pattern"):
    """Names counted out of an alphabet."""

    pattern_type: PatternType
    variable_length: Annotated[int, Meta(ge=1, le=20)]  # characters a variable part
    character_set: Annotated[str, Meta(min_length=1, max_length=100)]
    constant: Annotated[str, Meta(max_length=50)] = ""
    tld: Annotated[str, Meta(min_length=1, max_length=253)]
    count: Count = 0  # 0: all that remain


class WordsSource(_Spec, frozen=True, kw_only=True, tag_field="kind", tag="words"):
    """Every word of a list, a constant and every TLD of another list."""

    words: Path  # a text file, one word a line
    constant: Annotated[str, Meta(max_length=50)] = ""
    tlds: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...], Meta(min_length=1)]
    count: Count = 0


class NamesSource(_Spec, frozen=True, kw_only=True, tag_field="kind", tag="names"):
    """The names of a file, one a line."""

    file: Path
    count: Count = 0


SourceSpec: TypeAlias = PatternSource | WordsSource | NamesSource


# --- sources in canonical form: what an offset is counted in, for ever


class Pattern(_Spec, frozen=True, kw_only=True, tag_field="kind", tag="pattern"):
    """A canonical pattern: lower case, alphabet sorted without repeats, TLD with one leading dot."""

    pattern_type: PatternType
    variable_length: int
    character_set: str
    constant: str
    tld: str


class Words(_Spec, frozen=True, kw_only=True, tag_field="kind", tag="words"):
    """A frozen word list crossed with sorted TLDs (the fastest digit)."""

    sha256: str  # hex, of the canonical bytes: sorted words joined by newlines
    words: int
    constant: str
    tlds: tuple[str, ...]


class Names(_Spec, frozen=True, kw_only=True, tag_field="kind", tag="names"):
    """A frozen list of names, in the order of its file."""

    sha256: str  # hex, of the canonical bytes: names joined by newlines
    names: int


Source: TypeAlias = Pattern | Words | Names


# --- personas


class DnsPersona(_Spec, frozen=True, kw_only=True):
    """How names are asked for. Every field is enforced."""

    resolvers: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)] = ("system",)  # host[:port], system, lab
    strategy: ResolverStrategy = ResolverStrategy.RANDOM_ROTATION
    weights: tuple[Annotated[int, Meta(ge=1, le=1000)], ...] = ()  # one a resolver, for weighted_rotation
    query_timeout_s: Seconds = 2.0  # of one try
    retries: Annotated[int, Meta(ge=0, le=10)] = 1  # further tries after the first
    max_in_flight: Annotated[int, Meta(ge=1, le=4000)] = 400  # queries a worker
    rate_limit_qps: Annotated[float, Meta(ge=0, le=1_000_000)] = 0  # of the whole runtime; 0: none
    rate_limit_burst: Annotated[int, Meta(ge=1, le=100_000)] = 100


class HttpPersona(_Spec, frozen=True, kw_only=True):
    """How sites are fetched. Every field is enforced."""

    user_agent: Annotated[str, Meta(min_length=1, max_length=300)] = "DomainFlow/0.1"
    headers: tuple[tuple[str, str], ...] = ()  # in this order
    request_timeout_s: Seconds = 10.0  # of one request, redirects apart
    follow_redirects: Annotated[int, Meta(ge=0, le=7)] = 5
    allowed_status_codes: tuple[Annotated[int, Meta(ge=100, le=599)], ...] = ()  # empty: 2xx
    ports: Annotated[tuple[Port, ...], Meta(min_length=1, max_length=8)] = (443, 80)  # tried in order; 443 is https
    body_cap_bytes: Annotated[int, Meta(ge=1024, le=10_000_000)] = 10_000_000  # after decompression
    max_in_flight: Annotated[int, Meta(ge=1, le=1000)] = 50  # requests a worker
    rate_limit_qps: Annotated[float, Meta(ge=0, le=1_000_000)] = 0  # of the whole runtime; 0: none
    rate_limit_burst: Annotated[int, Meta(ge=1, le=100_000)] = 50
    allow_private: bool = False  # private, loopback and link-local addresses
    connect_ports: dict[str, Port] | Literal["lab"] = {}  # port of the URL -> port that is connected to
    trust: str = "system"  # certificate authorities: system, lab, or a file


class KeywordRule(_Spec, frozen=True, kw_only=True):
    """One thing to look for in a page."""

    text: Annotated[str, Meta(min_length=1, max_length=500)]
    kind: KeywordRuleType = KeywordRuleType.STRING
    case_sensitive: bool = False
    category: Annotated[str, Meta(max_length=100)] = ""
    context_chars: Annotated[int, Meta(ge=0, le=500)] = 80  # kept on either side of a match


class ScoringProfile(_Spec, frozen=True, kw_only=True):
    """Weights (normalised to 1) and thresholds of the score."""

    keyword_density: Annotated[float, Meta(ge=0)] = 0.35
    unique_keyword_coverage: Annotated[float, Meta(ge=0)] = 0.25
    non_parked: Annotated[float, Meta(ge=0)] = 0.10
    content_length_quality: Annotated[float, Meta(ge=0)] = 0.10
    title_keyword: Annotated[float, Meta(ge=0)] = 0.10
    freshness: Annotated[float, Meta(ge=0)] = 0.10
    match_score: Annotated[float, Meta(ge=0, le=1)] = 0.27
    match_score_long: Annotated[float, Meta(ge=0, le=1)] = 0.24  # with at least `long_bytes` of content
    long_bytes: Annotated[int, Meta(ge=0)] = 1024
    parked_floor: Annotated[float, Meta(ge=0, le=1)] = 0.45  # a parked page needs at least this


class CampaignSpec(_Spec, frozen=True, kw_only=True):
    """A campaign as a user asks for it, from TOML or from code."""

    name: Annotated[str, Meta(min_length=3, max_length=100)]
    description: Annotated[str, Meta(max_length=1000)] = ""
    mode: Mode = Mode.FULL_SEQUENCE
    source: SourceSpec
    batch_size: Annotated[int, Meta(ge=1, le=100_000)] = 1000  # names a batch
    retries: Annotated[int, Meta(ge=0, le=10)] = 3  # further attempts of a failed batch
    skip: tuple[Phase, ...] = ()
    dns: DnsPersona = DnsPersona()
    http: HttpPersona = HttpPersona()
    keywords: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=500)], ...], Meta(max_length=20_000)] = ()
    keyword_rules: Annotated[tuple[KeywordRule, ...], Meta(max_length=20_000)] = ()
    scoring: ScoringProfile = ScoringProfile()
