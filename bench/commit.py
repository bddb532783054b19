"""Durable transitions of campaigns by the public path, beside one transaction each, the bare statement and peers.

    python bench/commit.py [--json] [--campaigns 1000] [--rounds 7] [--seconds 1.5]

On the embedded server with fsync on. *Public path*: a configured runtime with so many campaigns, each of which gets its
next `ConfigurePhase` when the last is acknowledged, with an idempotency key as `Delivery` gives one: actors, gate,
events, chain, audit record, snapshots. *One transaction*: BEGIN, compare-and-set of the head, insert of the event,
COMMIT; prepared, on one connection, without row-level security. *Bare batch*: the commit statement of the lanes with
the same columns, fed from lists made before, by as many threads as there are lanes. *Peers*: other libraries on the
same server (see _peers.py), where `make bench` has made their environment. All take turns; medians of the rounds are
reported, since a shared disk swings.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from _commit_drivers import LANES, BareBatch, OneEach, Public, Round
from _figures import Figure, arguments, show
from _peers import PEERS, peers

from domainflow import Runtime, Settings

GOALS: Final = {"one": 20.0, "batch": 0.7, "p50": 1.5, "p99": 2.0}


def measured(campaigns: int, rounds: int, seconds: float) -> Iterator[Figure]:
    """All in turn, so many rounds; medians."""
    with folder() as home, runtime_of(home, campaigns) as runtime, peers(runtime.admin_dsn or "") as others:
        dsn, admin_dsn = runtime.store.dsn, runtime.admin_dsn or ""
        public, one, bare = Public(runtime, campaigns), OneEach(admin_dsn, 100), BareBatch(dsn, runtime.id, campaigns)
        kinds: dict[str, Callable[[], Round]] = {
            "one": lambda: one.run(seconds),
            "public": lambda: public.run(seconds, campaigns),
            "bare": lambda: bare.run(seconds),
            "idle": lambda: public.run(seconds / 2, 1),
            **{name: lambda run=run: Round(run(seconds), []) for name, run in others.items()},
        }
        found: dict[str, list[Round]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, run in kinds.items():
                found[kind].append(run())
        cpu_s = time.process_time()
        last = public.run(seconds, campaigns)
        cpu_us = (time.process_time() - cpu_s) / len(last.latencies_ms) * 1e6
    rate = {kind: statistics.median(each.rate for each in found[kind]) for kind in found}
    idle, alone = ([ms for each in found[kind] for ms in each.latencies_ms] for kind in ("idle", "one"))
    yield Figure("public_path_vs_one_transaction", rate["public"], "1/s", rate["one"], GOALS["one"])
    yield Figure("public_path_vs_bare_batch", rate["public"], "1/s", rate["bare"], GOALS["batch"])
    for peer in PEERS:
        if peer.name in rate:
            yield Figure(f"public_path_vs_{peer.name}", rate["public"], "1/s", rate[peer.name], peer.goal)
    yield Figure("public_path_cpu_us", cpu_us, "us")
    yield Figure(
        "idle_latency_p50_vs_one_transaction", statistics.median(idle), "ms", statistics.median(alone), GOALS["p50"]
    )
    yield Figure("idle_latency_p99_vs_one_transaction", _p99(idle), "ms", _p99(alone), GOALS["p99"])


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


@contextmanager
def runtime_of(home: Path, campaigns: int) -> Iterator[Runtime]:
    """A runtime that executes nothing by itself."""
    settings = Settings(most_active=campaigns + 1, most_created_a_day=campaigns + 1, commit_lanes=LANES)
    with Runtime.open(home=home, settings=settings, work=False) as runtime:
        yield runtime


@contextmanager
def folder() -> Iterator[Path]:
    """A home that the server's account can reach."""
    home = Path(tempfile.mkdtemp(prefix="domainflow-bench-", dir="/var/tmp"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--campaigns", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5)
    asked = parser.parse_args()
    show(measured(asked.campaigns, asked.rounds, asked.seconds), as_json=asked.json)


if __name__ == "__main__":
    main()
