"""From a name to the last response of its site: ports in order, redirects hop by hop, each address approved and pinned.

One `Fetcher` a persona and worker keeps the persona's limits over all batches. What a page says is read elsewhere.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Final, TypeAlias
from urllib.parse import quote, urljoin, urlsplit

from msgspec import Struct

from domainflow.errors import InvalidInput, Unavailable
from domainflow.spec import HttpPersona
from domainflow.work import hostnames
from domainflow.work.http_address import is_public
from domainflow.work.http_client import CurlClient, FetchFailed, FetchTimedOut, Request, Response
from domainflow.work.port import LabPorts
from domainflow.work.rate import TokenBucket
from domainflow.work.window import Window

Resolve: TypeAlias = Callable[[str], Awaitable[tuple[str, ...]]]

_ADDRESSES: Final = 3  # tried at most a hop
_DOUBTS: Final = 3  # requests at most, while time-outs may be our own doing
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORT_OF_SCHEME: Final = {"http": 80, "https": 443}
_URL_CHARS: Final = 2000
_NEEDS_LAB: Final = "needs a running lab: start it with `domainflow lab` or use --lab"
_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"


class Fetched(Struct, frozen=True, kw_only=True):
    """How a fetch ended. `response` is None unless the last hop answered; then `word` says why, maybe "timeout"."""

    url: str  # of the last request
    response: Response | None = None
    word: str = ""


class _Hop(Struct, frozen=True):
    scheme: str
    host: str
    port: int
    rest: str  # path and query

    @property
    def url(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORT_OF_SCHEME[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{shown}{port}{self.rest}"


class Fetcher:
    """Fetches sites as a persona says, with at most `max_in_flight` requests and its rate over all users."""

    def __init__(self, persona: HttpPersona, lab: LabPorts | None, rate_share: float) -> None:
        """Raises InvalidInput for a header or trust that cannot be used, Unavailable for `lab` without one."""
        self._persona = persona
        self._window = Window(persona.max_in_flight, persona.request_timeout_s)
        self._bucket = TokenBucket(persona.rate_limit_qps * rate_share, persona.rate_limit_burst * rate_share)
        self._ports = _connect_ports(persona, lab)
        self._ca_file = _ca_file(persona.trust, lab)
        self._headers = tuple(_header(name, value) for name, value in persona.headers)
        if not persona.user_agent.isprintable():
            raise InvalidInput("http.user_agent: must be printable")

    async def fetch(self, client: CurlClient, name: str, resolve: Resolve) -> Fetched:
        """The end of a name's site.

        The persona's ports are tried in order; the next one only if no connection was made (refused, unreachable,
        TLS): a time-out ends the fetch. If all fail, the last failure stands. At most `follow_redirects` redirects
        are followed, to http and https only; one whose status the persona allows is an answer like any other.
        """
        last = Fetched(url="", word="refused")
        for port in self._persona.ports:
            scheme = "https" if port == _PORT_OF_SCHEME["https"] else "http"
            last, connected = await self._follow(client, _Hop(scheme, name, port, "/"), resolve)
            if connected:
                break
        return last

    async def _follow(self, client: CurlClient, hop: _Hop, resolve: Resolve) -> tuple[Fetched, bool]:
        """The end of a chain of redirects, and whether its first hop made a connection."""
        asked = hop
        for redirects in range(self._persona.follow_redirects + 1):
            try:
                response = await self._request(client, hop, resolve)
            except FetchTimedOut:
                return Fetched(url=hop.url, word="timeout"), True
            except FetchFailed as problem:
                return Fetched(url=hop.url, word=problem.word), problem.connected or redirects > 0
            if not self._leads_on(response):
                return Fetched(url=hop.url, response=response), True
            following = _next_hop(hop.url, response.location)
            if following is None:
                return Fetched(url=hop.url, word="bad_redirect"), True
            asked, hop = hop, following
        return Fetched(url=asked.url, word="too_many_redirects"), True

    def _leads_on(self, response: Response) -> bool:
        allowed = response.status in self._persona.allowed_status_codes
        return response.status in _REDIRECTS and bool(response.location) and not allowed

    async def _request(self, client: CurlClient, hop: _Hop, resolve: Resolve) -> Response:
        """One hop, over the first of its addresses that takes the connection. Raises FetchTimedOut or FetchFailed."""
        addresses = await _approved(hop.host, resolve, allow_private=self._persona.allow_private)
        for address in addresses[:-1]:
            try:
                return await self._send(client, hop, address)
            except FetchFailed as problem:
                if problem.connected or problem.word == "tls":  # the next address has the same certificate
                    raise
        return await self._send(client, hop, addresses[-1])

    async def _send(self, client: CurlClient, hop: _Hop, address: str) -> Response:
        """One request; a time-out that may be our own doing is tried again. Raises FetchTimedOut or FetchFailed."""
        request = Request(
            url=hop.url,
            address=address,
            port=self._ports.get(hop.port, hop.port),
            user_agent=self._persona.user_agent,
            headers=self._headers,
            timeout_s=self._persona.request_timeout_s,
            body_cap_bytes=self._persona.body_cap_bytes,
            ca_file=self._ca_file,
        )
        for _ in range(_DOUBTS):
            async with self._window:
                await asyncio.sleep(self._bucket.debit(monotonic()))
                began_s = monotonic()
                try:
                    response = await client.get(request)
                except FetchTimedOut:
                    if self._window.timed_out():
                        continue
                    raise
                self._window.answered(monotonic() - began_s)
                return response
        raise FetchTimedOut

    async def aclose(self) -> None:
        """There is nothing to close: requests belong to their batches."""


async def _approved(host: str, resolve: Resolve, *, allow_private: bool) -> tuple[str, ...]:
    """The addresses of a host that may be connected to. Raises FetchFailed if there is none."""
    literal = _address_in(host)
    addresses = (literal,) if literal else await resolve(host)
    if not addresses:
        raise FetchFailed("unresolved", connected=True)
    approved = [address for address in addresses if allow_private or is_public(address)]
    if not approved:
        raise FetchFailed("blocked_address", connected=True)
    return tuple(approved[:_ADDRESSES])


def _address_in(host: str) -> str:
    """The address that a host of a URL is, "" if it is a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


def _next_hop(base: str, location: str) -> _Hop | None:
    """Where a Location leads; None unless that is http or https to a valid host. Credentials are dropped."""
    try:
        target = urlsplit(urljoin(base, location[:_URL_CHARS]))
        port = target.port
    except ValueError:
        return None
    if target.scheme not in _PORT_OF_SCHEME or not target.hostname:
        return None
    host = _host_of(target.hostname)
    path = quote(target.path or "/", safe=_SAFE)
    query = f"?{quote(target.query, safe=_SAFE)}" if target.query else ""
    return _Hop(target.scheme, host, port or _PORT_OF_SCHEME[target.scheme], path + query) if host else None


def _host_of(written: str) -> str:
    """The host as it is asked for, "" if nobody can be (an address in a form that only some readers understand)."""
    checked = hostnames.normalise(written)
    return _address_in(written) if isinstance(checked, hostnames.Fault) else checked


def _connect_ports(persona: HttpPersona, lab: LabPorts | None) -> dict[int, int]:
    if persona.connect_ports == "lab":
        if lab is None:
            raise Unavailable(f"http.connect_ports = lab {_NEEDS_LAB}")
        return {80: lab.http_port, 443: lab.https_port}
    try:
        return {int(shown): port for shown, port in persona.connect_ports.items()}
    except ValueError:
        raise InvalidInput("http.connect_ports: the keys are ports") from None


def _ca_file(trust: str, lab: LabPorts | None) -> str:
    if trust == "system":
        return ssl.get_default_verify_paths().cafile or ""
    if trust == "lab":
        if lab is None:
            raise Unavailable(f"http.trust = lab {_NEEDS_LAB}")
        trust = lab.ca_file
    if not Path(trust).is_file():
        raise InvalidInput("http.trust: no such file of certificate authorities")
    return trust


def _header(name: str, value: str) -> str:
    line = f"{name}: {value}" if value else f"{name};"  # libcurl's way to send one without a value
    if not name or not line.isascii() or not line.isprintable() or set(name) & set(" :;"):
        raise InvalidInput(f"http.headers: {name!r} cannot be sent")
    return line
