"""What the export of a campaign over the lab must say, line by line, computed from the lab's seed alone.

Written from DOMAIN and the lab's plan (`domainflow.lab`), with none of the code that makes names, asks, fetches, reads,
scores or stores. It supposes a client that gives up on DNS before the lab's late answers, follows five redirects and
is analysed within a day of its creation.
"""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from msgspec import Struct

from domainflow.lab.expect import expected
from domainflow.lab.kinds import Web
from domainflow.lab.pages import Planted, respond
from domainflow.lab.text import PARKED_TITLE
from domainflow.lab.world import Host, World
from domainflow.spec import PatternSource, ScoringProfile, WordsSource
from domainflow.vocabulary import PatternType

COLUMNS: Final = (
    *("position", "domain", "dns_status", "dns_reason", "addresses", "http_status", "http_code", "final_url", "title"),
    *("content_hash", "keywords", "score", "lead_status", "rejection"),
)
REDIRECTS: Final = 5

_UNSEEN: Final = frozenset({"head", "script", "style", "noscript", "template", "nav", "footer", "aside"})
_DNS_STATUS: Final = {
    "NXDOMAIN": "unresolved",
    "NOANSWER": "unresolved",
    "TIMEOUT": "timeout",
    "SERVFAIL": "error",
    "REFUSED": "error",
    "ERROR": "error",
}


# --- names


def word_names(source: WordsSource) -> list[str]:
    """Every name of a word list, in order: words sorted, TLDs sorted, the TLD being the fastest digit."""
    words = sorted(set(Path(source.words).read_text("ascii").lower().split()))
    tlds = sorted({tld.removeprefix(".").encode("idna").decode("ascii") for tld in source.tlds})
    return [f"{word}{source.constant}.{tld}" for word, tld in itertools.product(words, tlds)]


def pattern_names(source: PatternSource) -> list[str]:
    """Every name of a pattern, in order: digits from the left, the alphabet sorted."""
    alphabet = sorted(set(source.character_set))
    variables = ["".join(digits) for digits in itertools.product(alphabet, repeat=source.variable_length)]
    constant, tld = source.constant, source.tld.removeprefix(".")
    match source.pattern_type:
        case PatternType.PREFIX:
            return [f"{variable}{constant}.{tld}" for variable in variables]
        case PatternType.SUFFIX:
            return [f"{constant}{variable}.{tld}" for variable in variables]
        case PatternType.BOTH:
            return [f"{one}{constant}{two}.{tld}" for one, two in itertools.product(variables, variables)]


# --- pages


class _Reader(HTMLParser):
    """The text that a reader sees, and the title."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title, self.text = [""], [""]
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag == "title" or tag in _UNSEEN:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            self._open.remove(tag)

    def handle_data(self, data: str) -> None:
        if "title" in self._open:
            self.title.append(data)
        elif not self._open:
            self.text.append(data)


class Read(Struct, frozen=True):
    """A page as a reader has it."""

    title: str
    text: str

    @property
    def size_bytes(self) -> int:
        """Of the text in UTF-8."""
        return len(self.text.encode())

    @property
    def digest(self) -> str:
        """Hash of the text."""
        return blake2b(self.text.encode(), digest_size=16).hexdigest()


def read(body: bytes, content_type: str) -> Read:
    """The text of a page of the lab."""
    declared = re.search(rb"charset=\"?([a-z0-9-]+)", content_type.encode() + b" " + body[:200])
    charset = declared[1].decode() if declared else "utf-8"
    reader = _Reader()
    reader.feed(body.removeprefix(b"\xef\xbb\xbf").decode("cp1252" if charset == "iso-8859-1" else charset))
    reader.close()
    return Read(" ".join("".join(reader.title).split()), " ".join(" ".join(reader.text).split()))


# --- the verdict on a page


def counted(planted: Planted) -> dict[str, int]:
    """How often each keyword stands in title and text."""
    return dict(Counter(planted.title_keywords) + Counter(dict(planted.text_keywords)))


def confidence(planted: Planted) -> float:
    """That the page is parked: a loud one says so in its title, a modest one once in its text."""
    if not planted.parked:
        return 0.0
    return 0.95 if planted.title == PARKED_TITLE else 0.8


def score(planted: Planted, size_bytes: int, profile: ScoringProfile) -> float:
    """The sum of weighted features over the sum of weights, of a page analysed on the campaign's first day."""
    hits = counted(planted)
    coverage = min(1.0, len(hits) / 5)
    pairs = (
        (profile.keyword_density, min(1.0, sum(hits.values()) / (size_bytes / 1024) / 3) if size_bytes else coverage),
        (profile.unique_keyword_coverage, coverage),
        (profile.non_parked, float(not planted.parked)),
        (profile.content_length_quality, min(1.0, size_bytes / 50_000)),
        (profile.title_keyword, float(bool(planted.title_keywords))),
        (profile.freshness, 1.0),
    )
    value = sum(weight * feature for weight, feature in pairs) / sum(weight for weight, _ in pairs)
    return round(value / 2 if 0 < confidence(planted) < 0.9 else value, 3)


def verdict(planted: Planted, size_bytes: int, profile: ScoringProfile) -> tuple[float, str, str]:
    """Score, lead status and rejection; reasons by their priority, parked before low_score before no_keywords."""
    value = score(planted, size_bytes, profile)
    enough = value >= profile.match_score or (value >= profile.match_score_long and size_bytes >= profile.long_bytes)
    if planted.parked and value < profile.parked_floor:
        return value, "no_match", "parked"
    if not planted.keywords:
        return value, "no_match", "no_keywords"
    return (value, "match", "qualified") if enough else (value, "no_match", "low_score")


# --- lines


def lines(world: World, names: Iterable[str], profile: ScoringProfile) -> Iterator[str]:
    """The lines of the CSV export of a campaign that was asked for these names, its header first."""
    yield _line(COLUMNS)
    for position, name in enumerate(names):
        row = {"position": str(position), "domain": name, **_outcome(world, name, profile)}
        yield _line(tuple(row.get(column, "") for column in COLUMNS))


def _line(cells: tuple[str, ...]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _outcome(world: World, name: str, profile: ScoringProfile) -> dict[str, str]:
    wanted = expected(world, name)
    if wanted.reason is not None:
        status = _DNS_STATUS[wanted.reason]
        lead, rejection = ("timeout", "dns_timeout") if status == "timeout" else ("error", "dns_error")
        return {"dns_status": status, "dns_reason": wanted.reason, "lead_status": lead, "rejection": rejection}
    found = {"dns_status": "resolved", "addresses": " ".join(wanted.addresses), "http_status": str(wanted.http)}
    if wanted.http == "timeout":
        return found | {"final_url": f"https://{name}/", "lead_status": "timeout", "rejection": "http_timeout"}
    if wanted.http == "error":
        last = _last_url(world, world.host(name))
        return found | {"final_url": last, "lead_status": "error", "rejection": "http_error"}
    found |= {"http_code": str(wanted.status), "final_url": wanted.final_url}
    if wanted.http == "failed" or wanted.planted is None:
        return found | {"lead_status": "error", "rejection": "http_error"}
    return found | _page(world, wanted.final_url, wanted.planted, profile)


def _last_url(world: World, host: Host) -> str:
    """What was asked last of a site that never gave an answer."""
    url = f"https://{host.name}/"
    if host.web is Web.REFUSED:
        return f"http://{host.name}/"
    if host.web is Web.DEAD_END:
        return dict(respond(host, "https", "/").headers)["Location"]
    if host.web is Web.LOOP:
        for _ in range(REDIRECTS):
            path = url.removeprefix(f"https://{host.name}")
            url = f"https://{host.name}" + dict(respond(world.host(host.name), "https", path).headers)["Location"]
    return url


def _page(world: World, url: str, planted: Planted, profile: ScoringProfile) -> dict[str, str]:
    scheme, _, rest = url.partition("://")
    name, _, path = rest.partition("/")
    response = respond(world.host(name), scheme, f"/{path}")
    page = read(response.body, dict(response.headers)["Content-Type"])
    value, lead, rejection = verdict(planted, page.size_bytes, profile)
    return {
        "title": page.title,
        "content_hash": page.digest,
        "keywords": ",".join(f"{keyword}:{count}" for keyword, count in sorted(counted(planted).items())),
        "score": str(value),
        "lead_status": lead,
        "rejection": rejection,
    }
