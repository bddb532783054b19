"""The main job from end to end, beside its bare works in one process: `python bench/main_job.py [--json]`.

Runs on the embedded server with fsync on. The baseline is the same works on the same names in one event loop, without
processes, actors, ledger or Postgres: what the runtime costs is the difference. Bytes are the slope between a smaller
and a larger campaign of which nothing resolves: all relations and indexes after VACUUM, chunks of sources excluded.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from _figures import Figure, arguments, show

from domainflow import CampaignSpec, Operations, Principal, Runtime, Settings
from domainflow.lab.process import Lab
from domainflow.spec import KeywordRule, PatternSource
from domainflow.vocabulary import CampaignStatus, PatternType, Phase
from domainflow.work import analysis, dns, generation, http
from domainflow.work.port import BatchResult, BatchSpec, DnsHit, Input, LabPorts, Page

SIZE: Final = """
select sum(pg_total_relation_size(c.oid))::bigint from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'domainflow' and c.relkind = 'r' and c.relname not like 'source%'
"""
BATCHES_AT_ONCE: Final = 16  # as many as two workers with eight each
GOAL_RATE: Final = 500
GOAL_DEAD_RATE: Final = 5_000
GOAL_BYTES: Final = {1_000: 4.0, 10_000: 1.5}


@contextmanager
def folder() -> Iterator[Path]:
    """A home that the server's account can reach."""
    home = Path(tempfile.mkdtemp(prefix="domainflow-bench-", dir="/var/tmp"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def spec_of(count: int, batch_size: int, letter: str) -> CampaignSpec:
    """A campaign over the lab; each `letter` is a pattern of its own."""
    plain = CampaignSpec(
        name="bench",
        batch_size=batch_size,
        source=PatternSource(
            pattern_type=PatternType.PREFIX,
            variable_length=6,
            character_set="abcdefghijklmnop",
            constant=letter,
            tld="com",
            count=count,
        ),
        keywords=("gadget", "wholesale", "bargain", "voucher"),
    )
    tame = msgspec.structs.replace(plain.dns, resolvers=("lab",), query_timeout_s=0.5)
    local = msgspec.structs.replace(
        plain.http, connect_ports="lab", trust="lab", allow_private=True, request_timeout_s=1.5, max_in_flight=16
    )
    return msgspec.structs.replace(plain, dns=tame, http=local)


def run(operations: Operations, spec: CampaignSpec) -> tuple[float, float]:
    """Run a campaign to its end; seconds, and CPU seconds of this process and its workers."""
    before_s, begun_s = cpu_s(), time.perf_counter()
    campaign = operations.create_campaign(spec)
    campaign.start()
    view = campaign.wait(3600)
    if view.status is not CampaignStatus.COMPLETED:
        raise SystemExit(f"the campaign ended {view.status}: {view.reason}")
    return time.perf_counter() - begun_s, cpu_s() - before_s


def cpu_s() -> float:
    """User and system time of this process and its worker processes so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(")")
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        fields = tail.split()
        ours = int(fields[1]) == os.getpid() and b"engines.worker" in command
        if int(head.split()[0]) == os.getpid() or ours:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def bare(spec: CampaignSpec, count: int, lab: LabPorts) -> float:
    """The works alone on the same names; seconds."""
    begun_s = time.perf_counter()
    asyncio.run(_bare(spec, count, lab))
    return time.perf_counter() - begun_s


async def _bare(spec: CampaignSpec, count: int, lab: LabPorts) -> None:
    assert isinstance(spec.source, PatternSource)  # noqa: S101 - spec_of made it
    size = spec.batch_size
    first = BatchSpec(
        item=0,
        fence=0,
        attempt=1,
        phase=Phase.DNS_VALIDATION,
        start=0,
        stop=0,
        source=generation.canonical(spec.source),
        base=0,
        dns=spec.dns,
        http=spec.http,
        keywords=tuple(KeywordRule(text=word) for word in spec.keywords),
        created_at_s=time.time(),
        lab=lab,
    )
    ranges = [(start, min(start + size, count)) for start in range(0, count, size)]
    batches = [msgspec.structs.replace(first, start=start, stop=stop) for start, stop in ranges]
    resolved = await _all(dns.run, batches)
    found = [
        Input(hit.position, msgspec.msgpack.decode(hit.body, type=DnsHit).addresses)
        for result in resolved
        for hit in result.hits
    ]
    few = max(1, size // 20)
    fetches = [_over(first, found[n : n + few]) for n in range(0, len(found), few)]
    pages = [
        Input(hit.position, page=msgspec.msgpack.decode(hit.body, type=Page))
        for result in await _all(http.run, fetches)
        for hit in result.hits
    ]
    await _all(analysis.run, [_over(first, pages)])


def _over(spec: BatchSpec, inputs: list[Input]) -> BatchSpec:
    start, stop = (inputs[0].position, inputs[-1].position + 1) if inputs else (0, 0)
    return msgspec.structs.replace(spec, start=start, stop=stop, inputs=tuple(inputs))


async def _all(work: Callable[[BatchSpec], Awaitable[BatchResult]], batches: list[BatchSpec]) -> list[BatchResult]:
    slots = asyncio.Semaphore(BATCHES_AT_ONCE)

    async def one(batch: BatchSpec) -> BatchResult:
        async with slots:
            return await work(batch)

    return list(await asyncio.gather(*map(one, batches)))


def stored_bytes(admin_dsn: str) -> int:
    """All relations and indexes but sources, after VACUUM."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute("vacuum (analyze)")
        row = connection.execute(SIZE).fetchone()
    return int(row[0]) if row else 0


def rates(*, resolving: float, count: int, dead: bool) -> Iterator[Figure]:
    """Names a second and CPU a name, with a share of names that resolve."""
    with folder() as home, Lab.start(home, 7, faults=not dead, resolving=resolving) as lab:
        with Runtime.open(home=home) as runtime:
            operations = runtime.as_principal(Principal(id="bench", roles=("operator",)))
            run(operations, spec_of(1_000, 1_000, "w"))  # workers are up, statements are prepared
            spec = spec_of(count, 1_000, "x")
            took_s, used_s = run(operations, spec)
        alone_s = bare(spec, count, lab.ports)
    kind = "dead" if dead else "job"
    goal = GOAL_DEAD_RATE if dead else GOAL_RATE
    yield Figure(f"{kind}_names_per_s", count / took_s, "1/s", count / alone_s, goal)
    yield Figure(f"{kind}_cpu_us_per_name", used_s / count * 1e6, "us", None, None)


def bytes_per_dead_name(batch_size: int, small: int, large: int) -> Iterator[Figure]:
    """The slope of what is stored, between two campaigns of which nothing resolves."""
    with folder() as home, Lab.start(home, 7, faults=False, resolving=0.0):
        with Runtime.open(home=home, settings=Settings(most_active=100)) as runtime:
            operations = runtime.as_principal(Principal(id="bench", roles=("operator",)))
            sizes = []
            for letter, count in (("x", small), ("y", large)):
                run(operations, spec_of(count, batch_size, letter))
                sizes.append(stored_bytes(runtime.admin_dsn or ""))
        slope = (sizes[1] - sizes[0]) / large
    yield Figure(f"bytes_per_dead_name_at_batch_{batch_size}", slope, "bytes", None, GOAL_BYTES[batch_size])


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--names", type=int, default=20_000, help="of the job in which some resolve")
    parser.add_argument("--dead", type=int, default=1_000_000, help="of the larger campaign of which nothing resolves")
    asked = parser.parse_args()

    def figures() -> Iterator[Figure]:
        yield from rates(resolving=0.18, count=asked.names, dead=False)
        yield from rates(resolving=0.0, count=100_000, dead=True)
        for batch_size in GOAL_BYTES:
            yield from bytes_per_dead_name(batch_size, 100_000, asked.dead)

    show(figures(), as_json=asked.json)


if __name__ == "__main__":
    main()
