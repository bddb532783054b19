"""The lab's web server: http and https on the addresses where sites live. What it serves is decided in `conversation`.

TLS runs over memory buffers instead of asyncio's own layer: some hosts answer a hello with garbage, some with silence,
and the name that decides is known only once the hello was read.
"""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Final

from domainflow.lab.certificates import Authority, Flaw, load_authority
from domainflow.lab.child import ServerSettings, run
from domainflow.lab.conversation import Conversation, Reply, Then
from domainflow.lab.kinds import Web
from domainflow.lab.sockets import listen
from domainflow.lab.world import HTTP_ONLY, SERVED, World

_LONGEST_S: Final = 120.0  # a stalled connection whose client does not give up
_READ_BYTES: Final = 65_536
_NO_NAME: Final = "no-name.lab.test"  # the certificate of a client that says no name
_FLAWS: Final = {
    Web.TLS_SELF_SIGNED: Flaw.SELF_SIGNED,
    Web.TLS_EXPIRED: Flaw.EXPIRED,
    Web.TLS_WRONG_NAME: Flaw.WRONG_NAME,
}
_HELLO_REPLIES: Final = {
    Web.TLS_GARBAGE: Reply(b"\x00lab: this is no TLS\r\n" * 4, Then.CLOSE),
    Web.TLS_CLOSED: Reply(b"", Then.CLOSE),
    Web.SLOW_HELLO: Reply(b"", Then.STALL),
}


async def start(settings: ServerSettings) -> tuple[int, ...]:
    """Listen and serve from then on; returns the ports of http and https."""
    world, loop = settings.world(), asyncio.get_running_loop()
    http = listen("http", (*SERVED, *HTTP_ONLY), (socket.SOCK_STREAM,), settings.ports[0])
    https = listen("https", SERVED, (socket.SOCK_STREAM,), settings.ports[1])
    authority = load_authority(Path(settings.home))
    for place in http:
        await loop.create_server(lambda: _Connection(_Clear(world)), sock=place)
    greeting = _greeting(world, authority)
    for place in https:
        await loop.create_server(lambda: _Connection(_Secure(world, greeting)), sock=place)
    return http[0].getsockname()[1], https[0].getsockname()[1]


class _Clear:
    """Plain HTTP."""

    def __init__(self, world: World) -> None:
        self._conversation = Conversation(world, "http")

    def receive(self, data: bytes) -> Reply:
        return self._conversation.receive(data)


class _Hello(ssl.SSLObject):
    """A server side of TLS that may have something else to say than its part of the handshake."""

    instead: Reply | None = None


def _greeting(world: World, authority: Authority) -> ssl.SSLContext:
    """The context that every connection starts from; the name in the hello brings its own."""

    def on_name(tls: ssl.SSLObject, name: str | None, _first: ssl.SSLContext) -> int | None:
        name = (name or _NO_NAME).lower()
        try:
            web = world.host(name).web
        except ValueError:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if isinstance(tls, _Hello):
            tls.instead = _HELLO_REPLIES.get(web)
        tls.context = authority.context(name, _FLAWS.get(web, Flaw.NONE))
        return None

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # of the connection; it is not taken from the name's context
    context.sslobject_class = _Hello
    context.sni_callback = on_name
    return context


class _Secure:
    """HTTP under TLS; `greeting` chooses the certificate when it hears the name."""

    def __init__(self, world: World, greeting: ssl.SSLContext) -> None:
        self._conversation = Conversation(world, "https")
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = greeting.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._established = False

    def receive(self, data: bytes) -> Reply:
        self._incoming.write(data)
        try:
            return self._advance()
        except ssl.SSLWantReadError:
            return self._rudeness() or Reply(self._outgoing.read())
        except ssl.SSLError:
            return self._rudeness() or Reply(self._outgoing.read(), Then.CLOSE)  # an alert: the peer's or ours

    def _rudeness(self) -> Reply | None:
        return self._tls.instead if isinstance(self._tls, _Hello) else None

    def _advance(self) -> Reply:
        if not self._established:
            self._tls.do_handshake()
            self._established = True
        then = Then.GO_ON
        while then is Then.GO_ON:  # ends when there is no more to read
            plain = self._tls.read(_READ_BYTES)
            if not plain:
                return Reply(self._outgoing.read(), Then.CLOSE)
            reply = self._conversation.receive(plain)
            then = reply.then
            if reply.data:
                self._tls.write(reply.data)
        return Reply(self._outgoing.read(), then)


class _Connection(asyncio.Protocol):
    """One connection, whatever it speaks."""

    def __init__(self, channel: _Clear | _Secure) -> None:
        self._channel = channel
        self._transport: asyncio.Transport | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._stalled = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._limit = asyncio.get_running_loop().call_later(_LONGEST_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing() or self._stalled:
            return  # a stalled one goes on reading, only to notice that the client has left
        reply = self._channel.receive(data)
        if reply.data:
            self._transport.write(reply.data)
        if reply.then is Then.CLOSE:
            self._transport.close()
        self._stalled = reply.then is Then.STALL

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio names it
        if self._limit is not None:
            self._limit.cancel()


if __name__ == "__main__":
    run(start)
