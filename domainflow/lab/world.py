"""What the loopback internet is: for every name its DNS behaviour, its addresses and the kind of its site.

Pure: a function of (seed, lower-cased wire name). No socket, no clock, no page text (that is `pages`).
"""

from hashlib import blake2b
from struct import unpack
from typing import Final

from msgspec import Struct

from domainflow.lab.kinds import DNS_ABSENT, DNS_PRESENT, GOOD_SITES, SITES, Dns, Web


class Host(Struct, frozen=True):
    """Everything that is decided about one name."""

    wire: bytes  # lower-cased wire name
    dns: Dns
    a: tuple[str, ...]  # sorted by number; of a LATE name too
    aaaa: tuple[str, ...]
    web: Web
    draw: int  # 64 bits for whoever composes the page

    @property
    def name(self) -> str:
        """The name in text, lower case, without the final dot."""
        return text_of(self.wire)

    @property
    def resolves(self) -> bool:
        """Whether a patient client gets an address before `LATE_S`."""
        return self.web is not Web.NONE

    @property
    def delay_s(self) -> float:
        """How long the answer waits."""
        if self.dns is Dns.LATE:
            return LATE_S
        return 0.020 + (self.draw % 1000) / 50_000 if self.dns is Dns.SLOWISH else 0.0


LATE_S: Final = 6.0  # more than ten times the DNS time-out of `run --lab`
DEFAULT_RESOLVING: Final = 0.18
HUBS: Final = 16
WILDCARD_TLDS: Final = ("ph", "vg", "ws")
WILDCARD_SHARE: Final = 10  # one second-level domain in so many is a wildcard zone
RANDOM_LABEL: Final = 32  # characters; a first label this long exists only in a wildcard zone

# Where sites live. Both ports listen on SERVED, only http on HTTP_ONLY, nothing on REFUSED.
SERVED: Final = tuple(f"127.0.1.{i}" for i in range(1, 65))
REFUSED: Final = tuple(f"127.0.2.{i}" for i in range(1, 65))
HTTP_ONLY: Final = tuple(f"127.0.3.{i}" for i in range(1, 9))

_HUB_SITES: Final = (Web.RICH, Web.SPARSE, Web.PLAIN)
_HUB_ZONE: Final = b"\x03lab\x04test\x00"
_WILD_ENDS: Final = tuple(bytes([len(t)]) + t.encode() + b"\x00" for t in WILDCARD_TLDS)
_SHORTEST_SLD: Final = 4  # co.uk and its like are public suffixes, not somebody's zone
_LOOPBACK_SIX: Final = ("::1",)


def wire_of(name: str) -> bytes:
    """The lower-cased wire form of an ASCII name, with or without its final dot. Labels are not checked."""
    labels = name.lower().removesuffix(".").encode("ascii").split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"


def text_of(wire: bytes) -> str:
    """The name of an uncompressed wire form, without its final dot."""
    return b".".join(_labels(wire)).decode("ascii", "backslashreplace")


def hub_name(index: int) -> str:
    """The name of a site that redirects lead to: it always resolves, unless nothing does."""
    return f"hub-{index % HUBS}.lab.test"


def _labels(wire: bytes) -> list[bytes]:
    labels, at = [], 0
    while size := wire[at]:
        labels.append(wire[at + 1 : at + 1 + size])
        at += size + 1
    return labels


class World:
    """All names of one seed.

    `resolving` is the share of names that resolve, 0..1. Without `faults` every name answers at once: NXDOMAIN, no data
    or an address with a good site.
    """

    def __init__(self, seed: int, *, faults: bool = True, resolving: float = DEFAULT_RESOLVING) -> None:
        self.seed = seed
        self.faults = faults
        self.resolving = resolving
        self._salt = (seed % 2**64).to_bytes(8, "little") + b"domflow\x01"
        self._resolving_below = int(resolving * 2**64)

    def host(self, name: str) -> Host:
        """Everything about a name; case and a final dot do not matter."""
        return self.host_of_wire(wire_of(name))

    def host_of_wire(self, wire: bytes) -> Host:
        """Likewise, of a lower-cased uncompressed wire name."""
        zone = self._special_zone(wire)
        if zone is not None:
            return self._special(wire, zone)
        if wire[0] >= RANDOM_LABEL:
            return Host(wire, Dns.NXDOMAIN, (), (), Web.NONE, 0)
        chance, pick, where, draw = self._numbers(wire)
        if chance >= self._resolving_below:
            return self._absent(wire, pick, where, draw)
        dns, web = self._present_kinds(pick)
        return Host(wire, dns, _a(dns, web, where), _aaaa(dns, where), web, draw)

    def _numbers(self, wire: bytes) -> tuple[int, int, int, int]:
        a, b, c, d = unpack("<QQQQ", blake2b(wire, digest_size=32, salt=self._salt).digest())
        return a, b, c, d

    def _absent(self, wire: bytes, pick: int, where: int, draw: int) -> Host:
        dns = DNS_ABSENT[pick % len(DNS_ABSENT)]
        if not self.faults and dns is not Dns.NOANSWER:
            dns = Dns.NXDOMAIN
        addresses = (SERVED[where & 63],) if dns is Dns.LATE else ()
        return Host(wire, dns, addresses, (), Web.NONE, draw)

    def _present_kinds(self, pick: int) -> tuple[Dns, Web]:
        dns, web = DNS_PRESENT[pick % 10_000], SITES[(pick >> 32) % 10_000]
        if not self.faults:
            return Dns.PLAIN, web if web in GOOD_SITES else Web.PLAIN
        return dns, Web.REFUSED if dns is Dns.SIX_ONLY else web

    def _special_zone(self, wire: bytes) -> bytes | None:
        """The zone that decides about all names under it, or None."""
        if wire.endswith(_HUB_ZONE):
            return _HUB_ZONE
        if wire.endswith(_WILD_ENDS):
            return wire[-4:]
        dots, at, before = -1, 0, 0  # a walk over the labels, on the DNS server's hot path
        sld = 0
        while size := wire[at]:
            sld, before = before, at
            dots += 1
            at += size + 1
        if dots < 2 or wire[sld] < _SHORTEST_SLD:  # noqa: PLR2004  # a third-level name has two dots
            return None
        zone = wire[sld:]
        return None if self._numbers(zone)[3] % WILDCARD_SHARE else zone

    def _special(self, wire: bytes, zone: bytes) -> Host:
        _, pick, where, draw = self._numbers(wire if zone == _HUB_ZONE else zone)
        address = (SERVED[where & 63],)
        if not self._resolving_below or (zone == _HUB_ZONE and not wire.startswith(b"hub-", 1)):
            return Host(wire, Dns.NXDOMAIN, (), (), Web.NONE, draw)
        if zone == _HUB_ZONE:
            return Host(wire, Dns.PLAIN, address, (), _HUB_SITES[pick % len(_HUB_SITES)], draw)
        return Host(wire, Dns.WILDCARD, address, (), Web.PARKED, draw)


def _a(dns: Dns, web: Web, where: int) -> tuple[str, ...]:
    if dns is Dns.SIX_ONLY:
        return ()
    if web is Web.REFUSED:
        return (REFUSED[where & 63],)
    if web in (Web.HTTP_ONLY, Web.UPGRADE):
        return (HTTP_ONLY[where & 7],)
    first, spread = where & 63, where >> 32 & 15
    if spread < 12:  # noqa: PLR2004  # three names in four have one address
        return (SERVED[first],)
    second = (first + 1 + (where >> 8 & 31)) & 63  # never the first itself
    return (SERVED[min(first, second)], SERVED[max(first, second)])


def _aaaa(dns: Dns, where: int) -> tuple[str, ...]:
    if dns is Dns.SIX_ONLY:
        return _LOOPBACK_SIX
    return _LOOPBACK_SIX if (where >> 40) % 10 == 0 else ()
