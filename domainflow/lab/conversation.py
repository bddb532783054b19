"""HTTP/1.1 as the lab speaks it: bytes of requests in, bytes of answers out. No socket, no TLS.

GET and HEAD only; whoever sends a body is answered and closed on.
"""

import zlib
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from msgspec import Struct

from domainflow.lab.kinds import Web
from domainflow.lab.pages import Response, respond
from domainflow.lab.world import Host, World

_HEAD_BYTES: Final = 65_536
_CHUNK_BYTES: Final = 4096
_GZIP_WBITS: Final = 31


class Then(Enum):
    """What becomes of the connection after some bytes were sent."""

    GO_ON = 1
    CLOSE = 2
    STALL = 3  # nothing more is ever sent


class Reply(Struct, frozen=True):
    """Bytes to send, and what then."""

    data: bytes
    then: Then = Then.GO_ON


class _Request(Struct, frozen=True):
    method: str
    path: str
    host: str
    keep_alive: bool


_NOTHING: Final = Reply(b"")


class Conversation:
    """One connection's requests over one scheme, `http` or `https`."""

    def __init__(self, world: World, scheme: str) -> None:
        self._world = world
        self._scheme = scheme
        self._waiting = b""

    def receive(self, data: bytes) -> Reply:
        """Answer what is complete; at most one request waits half-read."""
        self._waiting += data
        answers: list[bytes] = []
        while b"\r\n\r\n" in self._waiting:
            head, _, self._waiting = self._waiting.partition(b"\r\n\r\n")
            reply = self._answer(head)
            answers.append(reply.data)
            if reply.then is not Then.GO_ON:
                return Reply(b"".join(answers), reply.then)
        return Reply(b"".join(answers), Then.CLOSE if len(self._waiting) > _HEAD_BYTES else Then.GO_ON)

    def _answer(self, head: bytes) -> Reply:
        request = _parse(head)
        if request is None:
            return _plain(400, "This request cannot be read.")
        try:
            host = self._world.host(request.host)
        except ValueError:
            return _plain(400, "This is no host name.")
        if not host.resolves:
            return _plain(421, "This name does not live here.")
        fault = _fault(host, self._scheme, request.path)
        if fault is not None:
            return fault
        return _encode(respond(host, self._scheme, request.path), request)


def _parse(head: bytes) -> _Request | None:
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[0] not in ("GET", "HEAD") or not words[1].startswith("/"):  # noqa: PLR2004  # RFC 9112
        return None
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
    closing = headers.get("connection", "").lower() == "close" or "content-length" in headers
    keep = words[2] == "HTTP/1.1" and not closing
    return _Request(words[0], words[1].partition("?")[0], headers.get("host", "").partition(":")[0], keep)


def _fault(host: Host, scheme: str, path: str) -> Reply | None:
    """What goes wrong below HTTP on this host, if anything does."""
    match host.web:
        case Web.SLOW_HELLO | Web.SLOW_ANSWER:
            return Reply(b"", Then.STALL)
        case Web.CLOSED:
            return Reply(b"", Then.CLOSE)
        case Web.NOT_HTTP:
            return Reply(b"SSH-2.0-lab\r\n\x00\x01\x02", Then.CLOSE)
        case Web.STALLED | Web.CUT_SHORT:
            whole = _head(200, [], len(body := respond(host, scheme, path).body)) + body[: len(body) // 2]
            return Reply(whole, Then.STALL if host.web is Web.STALLED else Then.CLOSE)
        case Web.BAD_GZIP:
            body = b"\x1f\x8b\x08\x00 this was cut out of something else"
            return Reply(_head(200, [("Content-Encoding", "gzip")], len(body)) + body, Then.CLOSE)
        case _:
            return None


def _encode(response: Response, request: _Request) -> Reply:
    headers = list(response.headers)
    body = response.body
    if response.gzip:
        headers.append(("Content-Encoding", "gzip"))
        body = _gzip(body)
    if not request.keep_alive:
        headers.append(("Connection", "close"))
    head = _head(response.status, headers, None if response.chunked else len(body))
    then = Then.GO_ON if request.keep_alive else Then.CLOSE
    if request.method == "HEAD":
        return Reply(head, then)
    return Reply(head + (_chunks(body) if response.chunked else body), then)


def _plain(status: int, text: str) -> Reply:
    body = text.encode()
    headers = [("Content-Type", "text/plain"), ("Connection", "close")]
    return Reply(_head(status, headers, len(body)) + body, Then.CLOSE)


def _head(status: int, headers: list[tuple[str, str]], length: int | None) -> bytes:
    """The head of a response; `length` None is a chunked one."""
    framing = ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))
    lines = "".join(f"{key}: {value}\r\n" for key, value in (*headers, framing))
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: lab\r\n{lines}\r\n".encode("latin-1")


@lru_cache(maxsize=8)  # for the one body that is large: the same object each time
def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WBITS)
    return packer.compress(body) + packer.flush()


def _chunks(body: bytes) -> bytes:
    parts = [body[i : i + _CHUNK_BYTES] for i in range(0, len(body), _CHUNK_BYTES)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
