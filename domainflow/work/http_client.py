"""One HTTP request to one address, by libcurl in the event loop: no redirects, no DNS, no proxy, no cookies.

One `CurlClient` a worker holds the multi handle and reuses easy handles. Which address and which port is asked, and
what an answer means, is `http_fetch`'s.
"""

import asyncio
import errno
import ipaddress
import socket
from typing import Final

import pycurl
from msgspec import Struct

_KEPT_HANDLES: Final = 256

# The connection was not made, so that another port or address may be tried.
_TLS_FAULTS: Final = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_SSL_INVALIDCERTSTATUS,
        pycurl.E_SSL_CACERT_BADFILE,
    }
)
_WORDS: Final = {
    pycurl.E_GOT_NOTHING: "empty",
    pycurl.E_RECV_ERROR: "broken",
    pycurl.E_SEND_ERROR: "broken",
    pycurl.E_PARTIAL_FILE: "broken",
    pycurl.E_BAD_CONTENT_ENCODING: "encoding",
    pycurl.E_UNSUPPORTED_PROTOCOL: "protocol",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "protocol",
    pycurl.E_URL_MALFORMAT: "bad_url",
}


class Request(Struct, frozen=True, kw_only=True):
    """A GET and where it is sent."""

    url: str  # ASCII; its port is what Host says, not what is connected to
    address: str
    port: int
    user_agent: str
    headers: tuple[str, ...]  # lines, in order
    timeout_s: float
    body_cap_bytes: int  # after decompression
    ca_file: str = ""  # "": libcurl's own


class Response(Struct, frozen=True, kw_only=True):
    """A response that arrived whole."""

    status: int
    location: str  # as sent; "" if there was none
    content_type: str
    body: bytes


class FetchFailed(Exception):
    """No response. It never leaves the package: `word` becomes the page's error."""

    def __init__(self, word: str, *, connected: bool) -> None:
        super().__init__(word)
        self.word = word
        self.connected = connected


class FetchTimedOut(Exception):
    """Not within the request's time."""


class _Exchange:
    """What libcurl hands over during one request."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._expected = ipaddress.ip_address(request.address)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self.word = ""  # why we broke it off ourselves

    def open_socket(self, _purpose: int, peer: tuple[int, int, int, tuple[str, int]]) -> socket.socket | int:
        """The last guard: whatever libcurl was about to connect to, it is the address that was approved, or nothing."""
        family, kind, protocol, place = peer
        if ipaddress.ip_address(place[0]) != self._expected:
            self.word = "blocked_address"
            return pycurl.SOCKET_BAD
        opened = socket.socket(family, kind, protocol)
        asyncio.get_running_loop().call_soon(opened.close)  # on return libcurl has a descriptor of its own
        return opened

    def take_header(self, line: bytes) -> None:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon and name.startswith("HTTP/"):
            self._headers.clear()  # a 1xx response came before
        self._headers.setdefault(name.lower(), value.strip())

    def take_body(self, piece: bytes) -> int:
        """Anything but the piece's length makes libcurl break off."""
        self._body_bytes += len(piece)
        if self._body_bytes > self._request.body_cap_bytes:
            self.word = "too_large"
            return 0
        self._body.append(piece)
        return len(piece)

    def response(self, status: int) -> Response:
        return Response(
            status=status,
            location=self._headers.get("location", ""),
            content_type=self._headers.get("content-type", ""),
            body=b"".join(self._body),
        )

    def failure(self, code: int, os_error: int) -> Exception:
        if self.word:
            return FetchFailed(self.word, connected=self.word == "too_large")
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return FetchTimedOut()
        if code == pycurl.E_COULDNT_CONNECT:
            return FetchFailed("refused" if os_error == errno.ECONNREFUSED else "unreachable", connected=False)
        if code in _TLS_FAULTS:
            return FetchFailed("tls", connected=False)
        return FetchFailed(_WORDS.get(code, "failed"), connected=True)


class CurlClient:
    """The multi handle of a worker. Its users bound how much is under way."""

    def __init__(self) -> None:
        self._multi = pycurl.AsyncCurlMulti()
        self._idle: list[pycurl.Curl] = []

    async def get(self, request: Request) -> Response:
        """Send a request and take its response. Raises FetchTimedOut or FetchFailed."""
        handle = self._idle.pop() if self._idle else pycurl.Curl()
        exchange = _Exchange(request)
        _prepare(handle, request, exchange)
        problem = None
        try:
            await self._multi.perform(handle)  # when cancelled, libcurl lets go of the handle only later: it is lost
        except pycurl.error as raised:
            problem = raised
        status, os_error = int(handle.getinfo(pycurl.RESPONSE_CODE)), int(handle.getinfo(pycurl.OS_ERRNO))
        if len(self._idle) < _KEPT_HANDLES:
            handle.reset()
            self._idle.append(handle)
        if problem is not None:
            raise exchange.failure(int(problem.args[0]), os_error)
        return exchange.response(status)

    async def aclose(self) -> None:
        """Break off what is under way and free everything."""
        await self._multi.aclose()
        for handle in self._idle:
            handle.close()


def _prepare(handle: pycurl.Curl, request: Request, exchange: _Exchange) -> None:
    timeout_ms = max(1, round(request.timeout_s * 1000))
    bracketed = f"[{request.address}]" if ":" in request.address else request.address
    setopt = handle.setopt
    setopt(pycurl.URL, request.url)
    setopt(pycurl.CONNECT_TO, [f"::{bracketed}:{request.port}"])
    setopt(pycurl.OPENSOCKETFUNCTION, exchange.open_socket)
    setopt(pycurl.HEADERFUNCTION, exchange.take_header)
    setopt(pycurl.WRITEFUNCTION, exchange.take_body)
    setopt(pycurl.USERAGENT, request.user_agent)
    setopt(pycurl.HTTPHEADER, list(request.headers))
    setopt(pycurl.ACCEPT_ENCODING, "gzip, br")  # no zstd: small bodies unfold to most there
    setopt(pycurl.TIMEOUT_MS, timeout_ms)
    setopt(pycurl.CONNECTTIMEOUT_MS, timeout_ms)
    setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    setopt(pycurl.PROXY, "")  # else libcurl obeys http_proxy of the environment
    setopt(pycurl.NOSIGNAL, 1)
    # A campaign sees a host once: a connection or session that is kept only fills memory.
    setopt(pycurl.FRESH_CONNECT, 1)
    setopt(pycurl.FORBID_REUSE, 1)
    setopt(pycurl.SSL_SESSIONID_CACHE, 0)
    if request.ca_file:
        setopt(pycurl.CAINFO, request.ca_file)
