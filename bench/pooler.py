"""What transactions cost through pgbouncer in transaction mode, where nothing can be prepared.

    python bench/pooler.py [--json] [--rounds 7]

Four threads use the pools of a store as a runtime does, on an embedded server with fsync on: once directly, once
through a pgbouncer with four sessions, in turn. A *look* reads a campaign as of one instant; a *claim* takes a batch
and gives it back. Commit lanes and the listener go past the pooler, so their figures are those of `commit.py`.
Without pgbouncer on the machine there is nothing to measure.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from _commit_drivers import PATIENCE_S, PRINCIPAL
from _figures import Figure, arguments, show
from _pgbouncer import PGBOUNCER, pgbouncer
from commit import folder, runtime_of

from domainflow import CampaignSpec, Runtime
from domainflow.spec import PatternSource
from domainflow.store import work_items
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind
from domainflow.vocabulary import PatternType

THREADS: Final = 4
TIMES: Final = 100  # a thread and round
SPEC: Final = CampaignSpec(
    name="pooled",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=5, character_set="abcdef", constant="x", tld="com", count=4000
    ),
    batch_size=1,
)


def rate(work: Callable[[], object]) -> float:
    """How often a second all threads together do it."""

    def often() -> None:
        for _ in range(TIMES):
            work()

    began_s = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        for each in [threads.submit(often) for _ in range(THREADS)]:
            each.result()
    return THREADS * TIMES / (time.perf_counter() - began_s)


def figures(rounds: int) -> Iterator[Figure]:
    """Medians of the rounds, through the pooler beside directly."""
    with ExitStack() as open_:
        home, socket = open_.enter_context(folder()), open_.enter_context(folder())
        runtime = open_.enter_context(runtime_of(home, 1))
        direct = runtime.store
        dsn = open_.enter_context(pgbouncer(direct.dsn, socket, sessions=THREADS))
        pooled = Postgres(lambda: direct.dsn, revive=lambda: None, connections=THREADS, pooled_dsn=dsn)
        open_.callback(pooled.close)
        stream = _started(runtime)
        yield _compared("pooled_looks", lambda store: look(store, stream), pooled, direct, rounds)
        yield _compared("pooled_claims", lambda store: claim(store, runtime.id), pooled, direct, rounds)


def look(store: Postgres, stream: str) -> None:
    """Read a campaign as of one instant."""
    store.peek(stream, fold_version=1)


def claim(store: Postgres, runtime: str) -> int:
    """Claim a batch in one transaction and give it back in another; how many were claimed."""
    with store.upkeep(Kind.CLAIM) as connection:
        claimed = work_items.claim(connection, runtime, 1)
    with store.upkeep(Kind.CLAIM) as connection:
        for each in claimed:
            work_items.unclaim(connection, each.id, each.fence)
    return len(claimed)


def _started(runtime: Runtime) -> str:
    """A campaign whose batches can be claimed; its stream."""
    campaign = runtime.as_principal(PRINCIPAL).create_campaign(SPEC)
    campaign.start()
    until_s = time.monotonic() + PATIENCE_S
    while not claim(runtime.store, runtime.id):
        if time.monotonic() > until_s:
            raise SystemExit("no batch could be claimed")
        time.sleep(0.01)
    return f"campaign/{campaign.id}"


def _compared(name: str, work: Callable[[Postgres], object], pooled: Postgres, direct: Postgres, rounds: int) -> Figure:
    pairs = [(rate(lambda: work(pooled)), rate(lambda: work(direct))) for _ in range(rounds)]
    through, past = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Figure(name, through, "1/s", past)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    if PGBOUNCER is None:
        print("there is no pgbouncer on this machine: nothing was measured", file=sys.stderr)
        return
    show(figures(asked.rounds), as_json=asked.json)


if __name__ == "__main__":
    main()
