"""Servers for what the lab does not have: a scripted resolver and a scripted web server, in the test's own loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from time import monotonic

NXDOMAIN = 3
SERVFAIL = 2
REFUSED = 5


class Query:
    """A question as a resolver got it."""

    def __init__(self, message: bytes, port: int) -> None:
        self.port = port  # that it came from
        self.at_s = monotonic()
        self.ident = message[:2]
        self.asked = message[12:]
        labels, at = [], 0
        while size := self.asked[at]:
            labels.append(self.asked[at + 1 : at + 1 + size].decode())
            at += size + 1
        self.name = ".".join(labels)
        self.rrtype = int.from_bytes(self.asked[-4:-2], "big")

    def says(self, rcode: int) -> bytes:
        return self.ident + bytes((0x81, 0x80 | rcode)) + b"\0\1\0\0\0\0\0\0" + self.asked

    def answer(self, *addresses: str) -> bytes:
        records = b"".join(
            b"\xc0\x0c" + self.asked[-4:] + b"\0\0\0\x3c" + len(packed).to_bytes(2, "big") + packed
            for packed in (_packed(address) for address in addresses)
        )
        return self.ident + b"\x81\x80\0\1" + len(addresses).to_bytes(2, "big") + b"\0\0\0\0" + self.asked + records


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


Script = Callable[[Query], Iterable[bytes]]


class Resolver(asyncio.DatagramProtocol):
    """Answers each query with the datagrams its script gives, and keeps all queries."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.queries: list[Query] = []
        self.notation = ""
        self.transport: asyncio.DatagramTransport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = Query(data, addr[1])
        self.queries.append(query)
        for message in self._script(query):
            self.transport.sendto(message, addr)


@asynccontextmanager
async def resolver(script: Script) -> AsyncIterator[Resolver]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: Resolver(script), local_addr=("127.0.0.1", 0))
    protocol.transport = transport
    protocol.notation = "{}:{}".format(*transport.get_extra_info("sockname"))
    try:
        yield protocol
    finally:
        transport.close()


Site = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class WebServer:
    """Hands each request's head to a function; counts connections."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.heads: list[bytes] = []
        self.heard = asyncio.Event()
        self.open = 0
        self.most_open = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            self.heard.set()
            await self._site(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client broke off, as some tests want
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def web_server(site: Site) -> AsyncIterator[WebServer]:
    server = WebServer(site)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


def response(body: bytes = b"", *headers: str, status: int = 200) -> bytes:
    lines = (f"HTTP/1.1 {status} -", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
