"""How fast names are asked for: the DNS phase beside a bare loop that only sends and counts, against the lab.

    python bench/dns_client.py [--json] [--names 40000] [--resolving 0.0]

One process asks, one answers; the lab's faults are off. `cpu_us` is of the asking process alone, and the figure to
compare: rates depend on what else the machine does.
"""

import argparse
import asyncio
import json
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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


def main() -> None:
    """Measure both in turn, three rounds, and show the best of each by CPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--names", type=int, default=40_000)
    parser.add_argument("--resolving", type=float, default=0.0)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as home,
        Lab.start(Path(home), seed=1, faults=False, resolving=asked.resolving) as lab,
    ):
        rounds = [
            (
                measure(lambda: ask_barely(asked.names, lab.ports), asked.names),
                measure(lambda: asyncio.run(ask_as_a_worker_does(asked.names, lab.ports)), asked.names),
            )
            for _ in range(3)
        ]
    bare, work = (min(kind, key=lambda one: one["cpu_us"]) for kind in zip(*rounds, strict=True))
    found = {
        "names": asked.names,
        "resolving": asked.resolving,
        "cpus": os.cpu_count(),
        "bare": bare,
        "dns_phase": work,
    }
    if asked.json:
        print(json.dumps(found))
        return
    for name, figures in (("bare loop", bare), ("DNS phase", work)):
        print(f"{name:<10} {figures['names_per_s']:>8.0f} names/s {figures['cpu_us']:>7.1f} us CPU a name")


if __name__ == "__main__":
    main()
