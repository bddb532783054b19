"""Resolvers: how they are written, which one is asked next, how much each is given, and when one is benched.

No socket is read or written here and no clock is: whoever asks says what time it is.
"""

import ipaddress
import random
import re
from pathlib import Path
from typing import Final

from msgspec import Struct

from domainflow.errors import InvalidInput, Unavailable
from domainflow.spec import DnsPersona
from domainflow.vocabulary import ResolverStrategy
from domainflow.work.port import LabPorts

DNS_PORT: Final = 53

_FIRST_WINDOW: Final = 25.0  # more at once lost 0.3-1.5 % at a server that had not been felt out
_LEAST_WINDOW: Final = 4.0
_EPOCH: Final = 32  # answers and losses at least, before the window is judged
_LOSS: Final = 0.10  # above this share of losses the window halves
_HELPED: Final = 0.7  # a retreat that leaves more than this part of the loss did not help
_BENCH_AFTER: Final = 10  # failures in a row
_FIRST_BENCH_S: Final = 1.0
_LONGEST_BENCH_S: Final = 30.0
_NOTATION: Final = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?")


class Endpoint(Struct, frozen=True):
    """Where a resolver listens and how much of a weighted rotation it gets."""

    host: str  # an address
    port: int
    weight: int = 1


def endpoints(persona: DnsPersona, lab: LabPorts | None) -> tuple[Endpoint, ...]:
    """A persona's resolvers with `system` and `lab` filled in, in its order, each once.

    Raises InvalidInput for a notation that is none and Unavailable where `system` or `lab` has no resolver.
    """
    weights = persona.weights or (1,) * len(persona.resolvers)
    if len(weights) != len(persona.resolvers):
        raise InvalidInput(f"dns.weights: {len(weights)} weights for {len(persona.resolvers)} resolvers")
    found: dict[tuple[str, int], Endpoint] = {}
    for text, weight in zip(persona.resolvers, weights, strict=True):
        for host, port in _written(text, lab):
            found.setdefault((host, port), Endpoint(host, port, weight))
    return tuple(found.values())


def check(persona: DnsPersona) -> None:
    """Raise InvalidInput for resolvers that no batch could ask, so that they are refused before one exists."""
    for text in persona.resolvers:
        if text not in {"system", "lab"}:
            parse(text)


def _written(text: str, lab: LabPorts | None) -> tuple[tuple[str, int], ...]:
    if text == "system":
        return _system_resolvers()
    if text == "lab":
        if lab is None:
            raise Unavailable("the resolver `lab` needs a running lab: start it with `domainflow lab` or use --lab")
        return tuple(parse(resolver) for resolver in lab.resolvers)
    return (parse(text),)


def parse(text: str) -> tuple[str, int]:
    """Host and port of `192.0.2.1`, `192.0.2.1:5300`, `2001:db8::1` or `[2001:db8::1]:5300`. Raises InvalidInput."""
    if text.startswith("https:"):
        raise InvalidInput(f"dns.resolvers: {text!r}: DNS over HTTPS is not supported; give an address")
    matched = _NOTATION.fullmatch(text)
    try:
        host = ipaddress.ip_address(matched["v6"] or matched["v4"] if matched else text)
    except ValueError:
        raise InvalidInput(f"dns.resolvers: {text!r} is none of address[:port], system, lab") from None
    port = int(matched["port"] or DNS_PORT) if matched else DNS_PORT
    if not 1 <= port <= 65_535:  # noqa: PLR2004  (the range of ports)
        raise InvalidInput(f"dns.resolvers: {text!r}: a port is 1..65535")
    return str(host), port


def _system_resolvers(config: Path = Path("/etc/resolv.conf")) -> tuple[tuple[str, int], ...]:
    try:
        lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    servers = [words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver"]
    if not servers:
        raise Unavailable("the resolver `system` has no name server in /etc/resolv.conf: name resolvers in the persona")
    # a zone index (fe80::1%eth0) means something to connect() and nothing to the notation above
    return tuple((server, DNS_PORT) for server in servers)


class Resolver:
    """What is known of one resolver by asking it: its window (AIMD), and whether it is benched.

    The window starts small, doubles an epoch until something is lost, then grows by a twentieth. It halves when more
    than a tenth of an epoch is lost beyond what is lost anyway: names whose own servers are silent are no congestion,
    and a retreat that did not help is taken back.
    """

    def __init__(self, index: int, endpoint: Endpoint, most_in_flight: int) -> None:
        self.index = index
        self.endpoint = endpoint
        self.in_flight = 0
        self.benched_until_s = 0.0
        self._most = float(most_in_flight)
        self._window = min(_FIRST_WINDOW, self._most)
        self._threshold = self._most
        self._heard = 0
        self._lost = 0
        self._usual_loss = 0.0
        self._loss_before_retreat: float | None = None
        self._failures_in_a_row = 0
        self._bench_s = _FIRST_BENCH_S
        self.on_probation = False

    def has_room(self) -> bool:
        """Whether it may be asked now. After its bench time a single query goes out first."""
        return self.in_flight < (1 if self.on_probation else self._window)

    def answered(self) -> None:
        """It said something useful; SERVFAIL is, as it speaks of the name."""
        self._failures_in_a_row = 0
        if self.on_probation:
            self.on_probation = False
            self._bench_s = _FIRST_BENCH_S
        self._count(0)

    def lost(self) -> None:
        """A query timed out."""
        self._failures_in_a_row += 1
        self._count(1)

    def refused(self) -> None:
        """It would not answer, or the network said so: no congestion, but it may be the wrong server."""
        self._failures_in_a_row += 1
        self._count(0)

    def is_sick(self) -> bool:
        """Ten failures in a row; on probation one is enough."""
        return self._failures_in_a_row >= (1 if self.on_probation else _BENCH_AFTER)

    def bench(self, now_s: float) -> None:
        """Leave it alone for 1 s, doubling to 30 s from one bench to the next."""
        self.benched_until_s = now_s + self._bench_s
        self._bench_s = min(_LONGEST_BENCH_S, self._bench_s * 2)
        self._failures_in_a_row = 0
        self.on_probation = True
        self._window = min(_FIRST_WINDOW, self._most)

    def _count(self, lost: int) -> None:
        self._heard += 1
        self._lost += lost
        if self._heard >= _EPOCH and self._heard >= self._window:
            self._judge(self._lost / self._heard)
            self._heard = self._lost = 0

    def _judge(self, loss: float) -> None:
        before, self._loss_before_retreat = self._loss_before_retreat, None
        if before is not None and loss > before * _HELPED:
            self._usual_loss = loss
            self._window *= 2
        elif loss > self._usual_loss + _LOSS:
            self._loss_before_retreat = loss
            self._window = self._threshold = max(_LEAST_WINDOW, self._window / 2)
        else:
            self._usual_loss = min(self._usual_loss, loss)
            self._window += self._window if self._window < self._threshold else max(1.0, self._window / 20)
        self._window = min(self._window, self._most)


def choose(strategy: ResolverStrategy, resolvers: list[Resolver], tried: int, now_s: float) -> Resolver | None:
    """The resolver for a query that has been to those in the bit mask `tried`; None: wait.

    Benched ones are left out while there is another, then those tried already. sequential_failover waits for the first
    that is left, specific_order takes the first with room, the rotations draw one with room.
    """
    left = [resolver for resolver in resolvers if resolver.benched_until_s <= now_s] or resolvers
    left = [resolver for resolver in left if not tried >> resolver.index & 1] or left
    if strategy is ResolverStrategy.SEQUENTIAL_FAILOVER:
        left = left[:1]
    left = [resolver for resolver in left if resolver.has_room()]
    if not left:
        return None
    if strategy is ResolverStrategy.RANDOM_ROTATION:
        return left[int(random.random() * len(left))]  # noqa: S311  (spreads load, keeps no secret)
    if strategy is ResolverStrategy.WEIGHTED_ROTATION:
        weights = [resolver.endpoint.weight for resolver in left]
        return random.choices(left, weights)[0]  # noqa: S311  (likewise)
    return left[0]
