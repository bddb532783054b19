"""What a campaign must find, computed from the world alone: the oracle for tests of the code that looks.

Expectations are those of a client that asks A and AAAA, tries https and then http when https fails, follows at least
two and at most a hundred redirects, takes 2xx for success and bodies up to 10 MB, and gives up on DNS before `LATE_S`.
"""

from typing import Final

from msgspec import Struct

from domainflow.lab.kinds import Dns, Web
from domainflow.lab.pages import Planted, respond
from domainflow.lab.world import Host, World
from domainflow.vocabulary import DnsReason, HttpOutcome


class Expected(Struct, frozen=True):
    """The outcome of one name."""

    reason: DnsReason | None  # None: it resolves
    addresses: tuple[str, ...] = ()  # A before AAAA, each sorted
    http: HttpOutcome | None = None  # None: there is no address to fetch from
    status: int = 0  # of the last response; only for success and failed
    final_url: str = ""  # likewise
    planted: Planted | None = None  # likewise: what the last page holds


_REASONS: Final = {
    Dns.NXDOMAIN: DnsReason.NXDOMAIN,
    Dns.NOANSWER: DnsReason.NOANSWER,
    Dns.SERVFAIL: DnsReason.SERVFAIL,
    Dns.REFUSED: DnsReason.REFUSED,
    Dns.FORMERR: DnsReason.ERROR,
    Dns.GARBLED: DnsReason.ERROR,
    Dns.SILENT: DnsReason.TIMEOUT,
    Dns.LATE: DnsReason.TIMEOUT,
}
_SLOW: Final = frozenset({Web.SLOW_HELLO, Web.SLOW_ANSWER, Web.STALLED})
_BROKEN: Final = frozenset(
    {
        *(web for web in Web if web.startswith("tls_")),
        Web.BOMB,
        Web.CLOSED,
        Web.NOT_HTTP,
        Web.BAD_GZIP,
        Web.CUT_SHORT,
        Web.REFUSED,
        Web.LOOP,
        Web.DEAD_END,
        Web.SCHEME,
    }
)
_HTTP_FIRST: Final = frozenset({Web.HTTP_ONLY, Web.UPGRADE})
_MOST_HOPS: Final = 5


def expected(world: World, name: str) -> Expected:
    """What must be found out about `name`."""
    host = world.host(name)
    reason = _REASONS.get(host.dns)
    if reason is not None:
        return Expected(reason)
    addresses = host.a + host.aaaa
    if host.web in _SLOW:
        return Expected(None, addresses, HttpOutcome.TIMEOUT)
    if host.web in _BROKEN:
        return Expected(None, addresses, HttpOutcome.ERROR)
    return _fetched(world, host, addresses)


def _fetched(world: World, host: Host, addresses: tuple[str, ...]) -> Expected:
    url = f"{'http' if host.web in _HTTP_FIRST else 'https'}://{host.name}/"
    for _ in range(_MOST_HOPS):
        scheme, _, rest = url.partition("://")
        name, _, path = rest.partition("/")
        response = respond(world.host(name), scheme, f"/{path}")
        location = dict(response.headers).get("Location")
        if location is None:
            outcome = HttpOutcome.SUCCESS if response.status // 100 == 2 else HttpOutcome.FAILED  # noqa: PLR2004
            return Expected(None, addresses, outcome, response.status, url, response.planted)
        url = location if "://" in location else f"{scheme}://{name}{location}"
    raise AssertionError(f"{host.name} is not among the broken ones, yet redirects more than {_MOST_HOPS} times")
