"""The lab's DNS server: several loopback addresses, one port, UDP and TCP. What it answers is decided in `dns_wire`."""

import asyncio
import socket
from typing import Final

from domainflow.lab.child import ServerSettings, run
from domainflow.lab.dns_wire import respond
from domainflow.lab.sockets import listen
from domainflow.lab.world import World

ADDRESSES: Final = ("127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4")
_QUERIES_A_WAKE_UP: Final = 64  # then the loop may look at TCP and timers again
_MAX_QUERY_BYTES: Final = 4096
_TCP_IDLE_S: Final = 10.0


async def start(settings: ServerSettings) -> tuple[int, ...]:
    """Listen and answer from then on; returns the port."""
    world, loop = settings.world(), asyncio.get_running_loop()
    for place in listen("DNS", ADDRESSES, (socket.SOCK_DGRAM, socket.SOCK_STREAM), settings.ports[0]):
        if place.type == socket.SOCK_DGRAM:
            loop.add_reader(place.fileno(), _drain, loop, place, world)
        else:
            await loop.create_server(lambda: _TcpQueries(loop, world), sock=place)
    return (place.getsockname()[1],)


def _drain(loop: asyncio.AbstractEventLoop, place: socket.socket, world: World) -> None:
    # A reader and a bare loop: asyncio's DatagramProtocol costs three times as much a query.
    for _ in range(_QUERIES_A_WAKE_UP):
        try:
            query, peer = place.recvfrom(_MAX_QUERY_BYTES)
        except OSError:
            return  # nothing waits, or an error of an earlier send
        response = respond(world, query, over_tcp=False)
        if response is None:
            continue
        if response[1]:
            loop.call_later(response[1], _send, place, response[0], peer)
        else:
            _send(place, response[0], peer)


def _send(place: socket.socket, response: bytes, peer: tuple[str, int]) -> None:
    try:
        place.sendto(response, peer)
    except OSError:
        return  # a full buffer loses an answer, as on any network; the client asks again


class _TcpQueries(asyncio.Protocol):
    """One connection: queries with a two-byte length before each, answered in any order (RFC 7766)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, world: World) -> None:
        self._loop = loop
        self._world = world
        self._waiting = b""
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._idle = self._loop.call_later(_TCP_IDLE_S, transport.close)

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) >= 2 + (size := int.from_bytes(self._waiting[:2], "big")) and size:
            query, self._waiting = self._waiting[2 : 2 + size], self._waiting[2 + size :]
            response = respond(self._world, query, over_tcp=True)
            if response is not None:
                self._loop.call_later(response[1], self._write, response[0])

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio names it
        if self._idle is not None:
            self._idle.cancel()

    def _write(self, response: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(len(response).to_bytes(2, "big") + response)


if __name__ == "__main__":
    run(start)
