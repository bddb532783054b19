"""What the sites of the lab serve: a pure function of a host, a scheme and a path.

Every page is whole HTML with keywords planted where they must not count (head, script, style, comment, nav, aside,
footer); what does count is returned beside it, so that an expectation needs no parser. Faults below HTTP are the
server's part.
"""

from collections import Counter
from functools import cache
from html import escape
from random import Random
from typing import Final, TypeVar

from msgspec import Struct

from domainflow.lab.kinds import Web
from domainflow.lab.text import (
    FAINT_SENTENCE,
    LAB_KEYWORDS,
    MODEST_SENTENCES,
    MODEST_TITLE,
    PARKED_SENTENCES,
    PARKED_TITLE,
    SENTENCES,
    SENTENCES_WITH_KEYWORD,
    TITLES,
)
from domainflow.lab.world import HUBS, Host, hub_name

_T = TypeVar("_T")


class Planted(Struct, frozen=True):
    """What a reader finds on a page."""

    title: str
    title_keywords: tuple[str, ...] = ()
    text_keywords: tuple[tuple[str, int], ...] = ()  # (keyword, occurrences in the main text), sorted
    parked: bool = False

    @property
    def keywords(self) -> frozenset[str]:
        """Every keyword of title or text."""
        return frozenset(self.title_keywords) | {keyword for keyword, _ in self.text_keywords}


class Response(Struct, frozen=True):
    """One HTTP response before content and transfer coding."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    gzip: bool = False  # whether the server sends it with Content-Encoding: gzip
    chunked: bool = False
    planted: Planted | None = None  # None: not a page


class _Charset(Struct, frozen=True):
    codec: str
    in_header: bool
    in_meta: bool
    bom: bool = False


# One is drawn a host: UTF-8 told in three ways for most, a single-byte charset told in two ways for the rest.
_CHARSETS: Final = (
    *(_Charset("utf-8", in_header=True, in_meta=True),) * 6,
    _Charset("utf-8", in_header=False, in_meta=True),
    _Charset("utf-8", in_header=False, in_meta=False, bom=True),
    _Charset("windows-1252", in_header=True, in_meta=False),
    _Charset("iso-8859-1", in_header=False, in_meta=True),
)
_STATUSES: Final = {Web.NOT_FOUND: 404, Web.GONE: 410, Web.FAULTY: 500, Web.OVERLOADED: 503}
_PARKED: Final = (Web.PARKED, Web.PARKED_RICH)
_LANDING: Final = (Web.RICH, Web.SPARSE, Web.PLAIN)  # where a redirect on the same host ends
_REDIRECT: Final = (("Content-Type", "text/html"),)
BOMB_BYTES: Final = 12_000_000  # more than the cap on bodies (10 MB)


def kind_of_page(host: Host) -> Web:
    """The kind of page that the host ends at, its own or its landing page's."""
    if host.web in (Web.HOME, Web.DOWNGRADE, Web.HTTP_ONLY):
        return _LANDING[host.draw % len(_LANDING)]
    return host.web


def respond(host: Host, scheme: str, path: str) -> Response:
    """What the host answers to GET `path` (it starts with "/") over `scheme` ("http" or "https")."""
    if host.web in _STATUSES:
        return _page(host, Web.RICH, status=_STATUSES[host.web])
    if host.web is Web.BOMB:
        return Response(200, (("Content-Type", "text/html"),), _bomb(), gzip=True)
    location = _location(host, scheme, path)
    if location:
        return Response(301 if host.draw & 1 else 302, (*_REDIRECT, ("Location", location)), b"<p>Moved.</p>")
    return _page(host, kind_of_page(host))


def _location(host: Host, scheme: str, path: str) -> str:
    """Where this request is sent on to; "" if it is answered here. Ports are the client's affair."""
    name, hub = host.name, hub_name(host.draw % HUBS)
    # Broken TLS is not healed by asking again in the clear: port 80 only points back.
    if host.web.startswith("tls_") and scheme == "http":
        return f"https://{name}{path}"
    match host.web:
        case Web.HOME if path == "/":
            return "/home" if host.draw & 2 else f"{scheme}://{name}/home"
        case Web.DOWNGRADE if scheme == "https":
            return f"http://{name}/home"
        case Web.AWAY | Web.UPGRADE:
            return f"https://{hub}/"
        case Web.LOOP:
            return f"/again/{path.count('/')}" + path.removeprefix("/again")[-200:]
        case Web.DEAD_END:
            return f"https://gone-{host.draw % HUBS}.lab.test/"
        case Web.SCHEME:
            return "file:///lab-has-no-such-file"
        case _:
            return ""


@cache
def _bomb() -> bytes:
    return b"<p>" + b"a" * BOMB_BYTES


def _page(host: Host, kind: Web, status: int = 200) -> Response:
    random = Random(host.draw)  # noqa: S311  # a page follows from the host alone
    charset = _pick(random, _CHARSETS)
    gzip, chunked = random.random() < 0.4, random.random() < 0.2  # noqa: PLR2004  # shares of pages
    title, title_keywords = _title(random, kind, host.draw)
    paragraphs, found = _paragraphs(random, kind, host.draw)
    planted = Planted(title, title_keywords, tuple(sorted(found.items())), kind in _PARKED)
    text = _html(random, title, paragraphs, charset.codec if charset.in_meta else "")
    body = text.encode(charset.codec, "xmlcharrefreplace")
    if charset.bom:
        body = b"\xef\xbb\xbf" + body
    content_type = f"text/html; charset={charset.codec}" if charset.in_header else "text/html"
    return Response(status, (("Content-Type", content_type),), body, gzip, chunked, planted)


def _title(random: Random, kind: Web, draw: int) -> tuple[str, tuple[str, ...]]:
    if kind in _PARKED:
        return (PARKED_TITLE if _is_loud(draw) else MODEST_TITLE), ()
    title = _pick(random, TITLES)
    if kind is Web.TITLE or (kind is Web.RICH and random.random() < 0.5):  # noqa: PLR2004  # every other one
        keyword = _pick(random, LAB_KEYWORDS)
        return f"{title} | {keyword.title()}", (keyword,)
    return title, ()


def _paragraphs(random: Random, kind: Web, draw: int) -> tuple[list[str], Counter[str]]:
    """The main text, and how often each keyword stands in it."""
    sentences, keywords = _amounts(random, kind)
    lines = [_pick(random, SENTENCES) for _ in range(sentences)]
    found: Counter[str] = Counter()
    for keyword in keywords:
        found[keyword] += 1
        shown = keyword.upper() if random.random() < 0.2 else keyword  # noqa: PLR2004  # one in five
        lines.insert(_below(random, len(lines) + 1), _pick(random, SENTENCES_WITH_KEYWORD).replace("{}", shown))
    if kind in _PARKED:
        lines = [*(PARKED_SENTENCES if _is_loud(draw) else MODEST_SENTENCES), *lines]
    elif kind is Web.FAINT:
        lines.append(FAINT_SENTENCE)
    return [" ".join(lines[i : i + 4]) for i in range(0, len(lines), 4)], found


def _is_loud(draw: int) -> bool:
    """Whether a parked page says so in its title and more than once."""
    return bool(draw >> 8 & 1)


def _amounts(random: Random, kind: Web) -> tuple[int, list[str]]:
    """How many neutral sentences, and which keywords in what number."""
    some = [_pick(random, LAB_KEYWORDS) for _ in range(12)]
    match kind:
        case Web.RICH:
            return 30 + _below(random, 30), some
        case Web.TITLE:
            return 20 + _below(random, 20), some[:1]
        case Web.SPARSE:
            return 60 + _below(random, 40), some[: 1 + _below(random, 2)]
        case Web.LONG:
            return 950 + _below(random, 200), some[:4]
        case Web.PARKED_RICH:
            return 2, some[:3]
        case Web.FAINT:
            return 40, some[:2]
        case Web.PARKED:
            return 0, []
        case _:
            return 20 + _below(random, 40), []


def _html(random: Random, title: str, paragraphs: list[str], meta_charset: str) -> str:
    """A page round the text. The bait keywords stand where no reader looks."""
    bait = [escape(_pick(random, LAB_KEYWORDS)) for _ in range(7)]
    language = _pick(random, ("en", "en", "de"))
    meta = f'<meta charset="{meta_charset}">' if meta_charset else ""
    main = "\n".join(f"<p>{_entities(random, escape(paragraph))}</p>" for paragraph in paragraphs)
    return (
        f'<!doctype html>\n<html lang="{language}"><head>{meta}<title>{escape(title)}</title>\n'
        f'<meta name="description" content="{bait[0]}"><style>.x::after {{ content: "{bait[1]}" }}</style>\n'
        f'<script>var tags = ["{bait[2]}", "<p>"];</script></head>\n'
        f'<body><nav><ul><li><a href="/a">{bait[3]}</a></li><li><a href="/b">About</a></li></ul></nav>\n'
        f"<main><h1>{escape(title.partition(' | ')[0])}</h1>\n{main}\n<!-- {bait[4]} --></main>\n"
        f"<aside><p>{bait[5]}</p></aside><footer><p>{bait[6]} since 1999</p></footer>\n"
        f"<script>document.title += '';</script></body></html>\n"
    )


def _entities(random: Random, text: str) -> str:
    """Every other paragraph writes its accents as entities."""
    return text if random.random() < 0.5 else text.replace("é", "&eacute;").replace("ü", "&#252;")  # noqa: PLR2004


def _pick(random: Random, values: tuple[_T, ...]) -> _T:
    return values[_below(random, len(values))]


def _below(random: Random, limit: int) -> int:
    return int(random.random() * limit)  # random() is the one method whose numbers Python promises to keep
