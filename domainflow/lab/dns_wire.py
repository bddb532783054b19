"""Answers of the lab's DNS server, byte by byte: a query in, a response out. No socket and no clock.

Only what a stub resolver asks for: one question, class IN, A and AAAA; any other type has no data.
"""

import socket
from struct import pack
from typing import Final

from domainflow.lab.kinds import Dns
from domainflow.lab.world import HTTP_ONLY, REFUSED, SERVED, Host, World, wire_of

_TTL: Final = (60).to_bytes(4, "big")
_A: Final = b"\x00\x01"
_CNAME: Final = b"\x00\x05"
_AAAA: Final = b"\x00\x1c"
_IN: Final = b"\x00\x01"
_SELF: Final = b"\xc0\x0c"  # a pointer to the name in the question
_HEADER_BYTES: Final = 12
_MAX_LABEL: Final = 63
_ALIAS_TARGET: Final = wire_of("edge.lab.test")  # exists inside answers only

_FORMERR: Final = 1
_NOTIMP: Final = 4
_REFUSED: Final = 5
_RCODES: Final = {Dns.NXDOMAIN: 3, Dns.SERVFAIL: 2, Dns.REFUSED: _REFUSED, Dns.FORMERR: _FORMERR}
_TRUNCATED_BIT: Final = 0x02

_FOUR: Final = {
    address: _A + _IN + _TTL + b"\x00\x04" + socket.inet_aton(address) for address in (*SERVED, *REFUSED, *HTTP_ONLY)
}
_SIX: Final = _AAAA + _IN + _TTL + b"\x00\x10" + socket.inet_pton(socket.AF_INET6, "::1")
_ALIAS: Final = _SELF + _CNAME + _IN + _TTL + pack("!H", len(_ALIAS_TARGET)) + _ALIAS_TARGET


def respond(world: World, query: bytes, *, over_tcp: bool) -> tuple[bytes, float] | None:
    """The response and how long it waits (seconds), or None for silence. The question is echoed with its case."""
    if len(query) < _HEADER_BYTES or query[2] & 0x80:
        return None  # a response, or nothing at all: answering could loop
    end = _end_of_question(query)
    if query[2] & 0x78:
        return _header_only(query, _NOTIMP), 0.0
    if not end:
        return _header_only(query, _FORMERR), 0.0
    if query[end - 2 : end] != _IN:
        return _response(query, end, rcode=_REFUSED), 0.0
    host = world.host_of_wire(query[_HEADER_BYTES : end - 4].lower())
    if host.dns is Dns.SILENT:
        return None
    return _answer(host, query, end, over_tcp=over_tcp), host.delay_s


def _end_of_question(query: bytes) -> int:
    """Where the only question ends; 0 if there is not exactly one that can be read."""
    at = _HEADER_BYTES
    try:
        while size := query[at]:
            if size > _MAX_LABEL:
                return 0
            at += size + 1
    except IndexError:
        return 0
    return at + 5 if query[4:6] == b"\x00\x01" and len(query) >= at + 5 else 0


def _answer(host: Host, query: bytes, end: int, *, over_tcp: bool) -> bytes:
    rcode = _RCODES.get(host.dns)
    if rcode is not None:
        return _response(query, end, rcode=rcode)
    if host.dns is Dns.TRUNCATED and not over_tcp:
        return _response(query, end, truncated=True)
    if host.dns is Dns.GARBLED:
        return _response(query, end, records=[_SELF + _A + _IN + _TTL + b"\x00\x04\x7f"])  # three bytes are missing
    return _response(query, end, records=_records(host, query[end - 4 : end - 2]))


def _records(host: Host, qtype: bytes) -> list[bytes]:
    owner = _ALIAS_TARGET if host.dns is Dns.ALIAS else _SELF
    records = [_ALIAS] if host.dns is Dns.ALIAS else []
    if qtype == _A:
        records += [owner + _FOUR[address] for address in reversed(host.a)]  # sorting is the client's part
    elif qtype == _AAAA and host.aaaa:
        records.append(owner + _SIX)
    return records


def _response(
    query: bytes, end: int, *, rcode: int = 0, truncated: bool = False, records: list[bytes] | None = None
) -> bytes:
    flags = 0x84 | (query[2] & 0x01) | (_TRUNCATED_BIT if truncated else 0)  # response, authoritative, RD as asked
    count = len(records) if records else 0
    head = query[:2] + bytes((flags, 0x80 | rcode, 0, 1, 0, count, 0, 0, 0, 0))
    return head + query[_HEADER_BYTES:end] + (b"".join(records) if records else b"")


def _header_only(query: bytes, rcode: int) -> bytes:
    return query[:2] + bytes((0x80 | (query[2] & 0x79), 0x80 | rcode)) + bytes(8)
