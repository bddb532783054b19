"""What the question loop keeps: a name and what has been said of it, its questions, the links they are sent over.

Values that change in place. Nothing here sends, waits or decides whom to ask.
"""

import socket
from collections.abc import Callable
from typing import Final

from domainflow.work import dns_wire as wire
from domainflow.work.dns_resolvers import Resolver

_RECEIVE_BUFFER_BYTES: Final = 1 << 20  # answers come in bursts while the loop reads pages


class Lookup:
    """One name asked for. Once `code` is set, `addresses` are final: sorted by number, A before AAAA."""

    __slots__ = ("addresses", "code", "codes", "name", "on_done", "open")

    def __init__(self, name: str, on_done: Callable[["Lookup"], None]) -> None:
        self.name = name
        self.on_done = on_done
        self.code = 0  # pending
        self.codes: dict[int, int] = {}  # by record type, once settled
        self.addresses: tuple[str, ...] = ()
        self.open = 1  # questions not settled

    def settle(self, rrtype: int, code: int, addresses: tuple[str, ...]) -> None:
        """Take the final answer to one of its questions."""
        self.open -= 1
        self.codes[rrtype] = code
        if addresses:
            fresh = tuple(sorted(addresses, key=_by_number)) if len(addresses) > 1 else addresses
            self.addresses = fresh + self.addresses if rrtype == wire.A else self.addresses + fresh
        if wire.NXDOMAIN in self.codes.values() or (self.open == 0 and len(self.codes) == 2):  # noqa: PLR2004  (A, AAAA)
            self.code = self._verdict()
            self.on_done(self)

    def _verdict(self) -> int:
        """Resolved if either answered; else NXDOMAIN if either said so; else the failure of A, then of AAAA."""
        said = tuple(self.codes.get(rrtype, wire.NOANSWER) for rrtype in (wire.A, wire.AAAA))
        if self.addresses:
            return wire.RESOLVED
        if wire.NXDOMAIN in said:
            return wire.NXDOMAIN
        return next((code for code in said if code not in (wire.NOANSWER, wire.RESOLVED)), wire.NOANSWER)


class Link:
    """One source port to one resolver. An id stays taken (by None) for a while after its time-out."""

    __slots__ = ("in_flight", "resolver", "socket")

    def __init__(self, resolver: Resolver) -> None:
        host, port = resolver.endpoint.host, resolver.endpoint.port
        self.resolver = resolver
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self.socket.connect((host, port))
        self.in_flight: dict[int, Question | None] = {}


class Question:
    """One record type of a lookup, from its first try to its last."""

    __slots__ = ("asked", "deadline_s", "ident", "link", "lookup", "rrtype", "tried", "tries_left")

    def __init__(self, lookup: Lookup, rrtype: int, tries: int) -> None:
        self.lookup = lookup
        self.rrtype = rrtype
        self.asked = wire.question(lookup.name, rrtype)
        self.tries_left = tries
        self.tried = 0  # bit mask of resolvers
        self.link: Link  # of the try under way, as the two below
        self.ident = 0
        self.deadline_s = 0.0  # monotonic; 0: none is under way


def _by_number(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
