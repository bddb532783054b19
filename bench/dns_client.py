"""How fast names are asked for: the DNS phase beside a bare loop that only sends and counts, against the lab.

    python bench/dns_client.py [--json] [--names 40000] [--resolving 0.0]

One process asks, one answers; the lab's faults are off. `cpu_us` is of the asking process alone, and the figure to
compare: rates depend on what else the machine does.
"""

import asyncio
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from _figures import Figure, arguments, show

from domainflow.lab.process import Lab
from domainflow.spec import DnsPersona, HttpPersona, Pattern
from domainflow.vocabulary import PatternType, Phase
from domainflow.work import dns, dns_wire
from domainflow.work.generation import names
from domainflow.work.port import BatchSpec, LabPorts

BATCH = 1000
BATCHES_AT_ONCE = 4
IN_FLIGHT = 100  # of the bare loop: what one socket takes without losing any
SOURCE = Pattern(
    pattern_type=PatternType.PREFIX,
    variable_length=6,
    character_set="abcdefghijklmnopqrstuvwxyz",
    constant="bench",
    tld=".com",
)


def batch(start: int, lab: LabPorts) -> BatchSpec:
    """A batch of the DNS phase from `start` on."""
    return BatchSpec(
        item=start,
        fence=1,
        attempt=1,
        phase=Phase.DNS_VALIDATION,
        start=start,
        stop=start + BATCH,
        source=SOURCE,
        base=0,
        dns=DnsPersona(resolvers=("lab",), query_timeout_s=0.5),
        http=HttpPersona(),
        lab=lab,
    )


async def ask_as_a_worker_does(total: int, lab: LabPorts) -> None:
    """The DNS phase, several batches at once."""
    starts = iter(range(0, total, BATCH))

    async def lane() -> None:
        for start in starts:
            await dns.run(batch(start, lab))

    await asyncio.gather(*(lane() for _ in range(BATCHES_AT_ONCE)))
    await dns.aclose()


def ask_barely(total: int, lab: LabPorts) -> None:
    """One socket, one question a name, answers only counted: the least that Python can do."""
    host, _, port = lab.resolvers[0].rpartition(":")
    questions = [dns_wire.question(name, dns_wire.A) for name in names(SOURCE, 0, total) if name is not None]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((host, int(port)))
        asking.settimeout(1.0)
        under_way = 0
        for ident, question in enumerate(questions):
            asking.send(dns_wire.query(ident & 0xFFFF, question))
            under_way += 1
            if under_way == IN_FLIGHT:
                asking.recv(512)
                under_way -= 1
        for _ in range(under_way):
            asking.recv(512)


def measure(what: Callable[[], None], total: int) -> dict[str, float]:
    """Names a second, and CPU of this process in microseconds a name."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    what()
    took_s, used_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return {"names_per_s": round(total / took_s), "cpu_us": round(used_s / total * 1e6, 1)}


def figures(total: int, resolving: float) -> Iterator[Figure]:
    """Both in turn, three rounds; of each the best by CPU."""
    with (
        tempfile.TemporaryDirectory() as home,
        Lab.start(Path(home), seed=1, faults=False, resolving=resolving) as lab,
    ):
        rounds = [
            (
                measure(lambda: ask_barely(total, lab.ports), total),
                measure(lambda: asyncio.run(ask_as_a_worker_does(total, lab.ports)), total),
            )
            for _ in range(3)
        ]
    bare, work = (min(kind, key=lambda one: one["cpu_us"]) for kind in zip(*rounds, strict=True))
    yield Figure("dns_names_per_s", work["names_per_s"], "1/s", bare["names_per_s"])
    yield Figure("dns_cpu_us_per_name", work["cpu_us"], "us", bare["cpu_us"])


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--names", type=int, default=40_000)
    parser.add_argument("--resolving", type=float, default=0.0)
    asked = parser.parse_args()
    show(figures(asked.names, asked.resolving), as_json=asked.json)


if __name__ == "__main__":
    main()
