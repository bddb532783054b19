"""The kinds of behaviour a name can have in the lab, and how often each occurs. Data only; `world` says who has it."""

from enum import StrEnum
from typing import Final, TypeVar


class Dns(StrEnum):
    """How the DNS server treats a name."""

    PLAIN = "plain"
    ALIAS = "alias"  # a CNAME and the addresses of its target in one answer
    SLOWISH = "slowish"  # answers after 20..40 ms
    TRUNCATED = "truncated"  # TC over UDP, the whole answer over TCP
    SIX_ONLY = "six_only"  # AAAA, no A; nothing listens there
    WILDCARD = "wildcard"
    NXDOMAIN = "nxdomain"
    NOANSWER = "noanswer"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    FORMERR = "formerr"
    GARBLED = "garbled"  # header and question are right, the answer section ends in the middle
    SILENT = "silent"
    LATE = "late"  # answers after LATE_S, with an address


class Web(StrEnum):
    """What the site of a name does."""

    NONE = "none"  # the name does not resolve
    RICH = "rich"
    TITLE = "title"
    SPARSE = "sparse"
    PLAIN = "plain"
    LONG = "long"
    PARKED = "parked"
    PARKED_RICH = "parked_rich"
    FAINT = "faint"  # keywords, and one phrase that parked pages use
    HOME = "home"  # / redirects to /home
    AWAY = "away"  # redirects to a hub
    DOWNGRADE = "downgrade"  # https redirects to http
    HTTP_ONLY = "http_only"  # port 443 refuses
    UPGRADE = "upgrade"  # likewise, and port 80 redirects to a hub by https
    LOOP = "loop"  # redirects for ever
    DEAD_END = "dead_end"  # redirects to a name that does not exist
    SCHEME = "scheme"  # redirects to file:///
    NOT_FOUND = "not_found"
    GONE = "gone"
    FAULTY = "faulty"
    OVERLOADED = "overloaded"
    SLOW_HELLO = "slow_hello"  # accepts, reads, never sends a byte
    SLOW_ANSWER = "slow_answer"  # never answers a request
    STALLED = "stalled"  # half a body, then nothing
    BOMB = "bomb"  # a small gzip body that decodes to more than 10 MB
    TLS_SELF_SIGNED = "tls_self_signed"
    TLS_EXPIRED = "tls_expired"
    TLS_WRONG_NAME = "tls_wrong_name"
    TLS_GARBAGE = "tls_garbage"
    TLS_CLOSED = "tls_closed"
    CLOSED = "closed"  # closes instead of answering
    NOT_HTTP = "not_http"
    BAD_GZIP = "bad_gzip"
    CUT_SHORT = "cut_short"  # closes before Content-Length is reached
    REFUSED = "refused"  # nothing listens


Kind = TypeVar("Kind", Dns, Web)

# Shares in 10 000.
_PRESENT: Final = (
    (Dns.PLAIN, 9000),
    (Dns.ALIAS, 400),
    (Dns.SLOWISH, 300),
    (Dns.TRUNCATED, 200),
    (Dns.SIX_ONLY, 100),
)
_ABSENT: Final = (
    (Dns.NXDOMAIN, 8850),
    (Dns.NOANSWER, 900),
    (Dns.SERVFAIL, 120),
    (Dns.REFUSED, 60),
    (Dns.FORMERR, 20),
    (Dns.GARBLED, 20),
    (Dns.SILENT, 20),
    (Dns.LATE, 10),
)
_SITES: Final = (
    (Web.RICH, 1600),
    (Web.TITLE, 500),
    (Web.SPARSE, 1400),
    (Web.PLAIN, 1840),
    (Web.LONG, 300),
    (Web.PARKED, 1000),
    (Web.PARKED_RICH, 300),
    (Web.FAINT, 200),
    (Web.HOME, 400),
    (Web.AWAY, 250),
    (Web.DOWNGRADE, 100),
    (Web.HTTP_ONLY, 300),
    (Web.UPGRADE, 100),
    (Web.LOOP, 80),
    (Web.DEAD_END, 60),
    (Web.SCHEME, 40),
    (Web.NOT_FOUND, 250),
    (Web.GONE, 50),
    (Web.FAULTY, 100),
    (Web.OVERLOADED, 100),
    (Web.SLOW_HELLO, 50),
    (Web.SLOW_ANSWER, 60),
    (Web.STALLED, 40),
    (Web.BOMB, 40),
    (Web.TLS_SELF_SIGNED, 80),
    (Web.TLS_EXPIRED, 80),
    (Web.TLS_WRONG_NAME, 80),
    (Web.TLS_GARBAGE, 60),
    (Web.TLS_CLOSED, 60),
    (Web.CLOSED, 60),
    (Web.NOT_HTTP, 40),
    (Web.BAD_GZIP, 40),
    (Web.CUT_SHORT, 40),
    (Web.REFUSED, 300),
)
GOOD_SITES: Final = (Web.RICH, Web.TITLE, Web.SPARSE, Web.PLAIN, Web.LONG, Web.PARKED, Web.PARKED_RICH, Web.FAINT)


def _spread(shares: tuple[tuple[Kind, int], ...]) -> tuple[Kind, ...]:
    return tuple(kind for kind, share in shares for _ in range(share))


# One entry in 10 000: a number picks a kind without a search.
DNS_PRESENT: Final = _spread(_PRESENT)
DNS_ABSENT: Final = _spread(_ABSENT)
SITES: Final = _spread(_SITES)
