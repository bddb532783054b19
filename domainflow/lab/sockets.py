"""Listening sockets of the lab: one port on several loopback addresses. No protocol is spoken here."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from domainflow.errors import Unavailable

_TRIES: Final = 20  # free ports that were looked at before giving up
_BACKLOG: Final = 512
_UDP_BUFFER_BYTES: Final = 4 * 1024 * 1024  # the default lost 0.3 % of queries at 500 in flight

Kinds = tuple[socket.SocketKind, ...]


def listen(what: str, addresses: tuple[str, ...], kinds: Kinds, port: int) -> list[socket.socket]:
    """Non-blocking sockets on every address for every kind, all on one port; `port` 0 takes a free one.

    `what` names the service in messages. Raises Unavailable, with nothing left open, when the port is taken.
    """
    last = ""
    for _ in range(1 if port else _TRIES):
        try:
            return _listen_once(addresses, kinds, port)
        except OSError as error:
            last = error.strerror or str(error)
    wanted = f"port {port}" if port else f"{_TRIES} free ports in turn"
    raise Unavailable(
        f"lab: cannot listen for {what} on {addresses[0]} and {len(addresses) - 1} more addresses: {last}; "
        f"tried {wanted}. Stop what listens there, or give another port (0 takes any free one)."
    )


def _listen_once(addresses: tuple[str, ...], kinds: Kinds, port: int) -> list[socket.socket]:
    with ExitStack() as undo:
        opened: list[socket.socket] = []
        for address, kind in _places(addresses, kinds):
            opened.append(undo.enter_context(socket.socket(socket.AF_INET, kind)))
            _bind(opened[-1], address, port)
            port = port or opened[0].getsockname()[1]
        undo.pop_all()
        return opened


def _places(addresses: tuple[str, ...], kinds: Kinds) -> Iterator[tuple[str, socket.SocketKind]]:
    return ((address, kind) for kind in kinds for address in addresses)


def _bind(place: socket.socket, address: str, port: int) -> None:
    place.settimeout(0)
    if place.type == socket.SOCK_STREAM:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # never for UDP: there it would share the port
        place.bind((address, port))
        place.listen(_BACKLOG)
    else:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER_BYTES)
        place.bind((address, port))
