"""What a durable transition costs in a store that has lived long, beside one that is nearly new.

    python bench/scale.py [--json] [--campaigns 100000] [--events 50] [--active 100] [--rounds 9] [--large FOLDER]

Two embedded servers with fsync on, each with a runtime: one knows 100 campaigns of 100 events, the other so many of so
many (`_fill`), vacuumed and analysed. `--large` is a home that was filled before; it is written to. The same number of
campaigns, spread over all there are, is moved by the public path (see commit.py) on the one and on the other in turn.
Compared are medians of the rounds: time, CPU of this process and of the server that is moved; and the time that a
campaign takes that is moved alone.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, LiteralString, NamedTuple

import psycopg
from _commit_drivers import Public
from _figures import Figure, arguments, show
from _fill import fill
from commit import folder, runtime_of
from monitor import Spent

from domainflow import Principal, Runtime
from domainflow.store import migrate
from domainflow.store.embedded import EmbeddedServer

SMALL: Final = (100, 100)  # campaigns, events of each
MOST_TIMES: Final = 1.2
WARM_S: Final = 3.0
EVENLY: Final[LiteralString] = """
select id::text from (select id, row_number() over (order by id) as n, count(*) over () as of
                        from domainflow.campaign where principal = 'alice') as each
 where n %% greatest(of / %(most)s, 1) = 0 order by n limit %(most)s
"""


class Known(Public):
    """Campaigns that were there before, moved by whose they are."""

    principal = Principal(id="alice", roles=("operator",), tenant="acme")

    def __init__(self, runtime: Runtime, campaigns: int) -> None:
        super().__init__(runtime, 0)
        with psycopg.connect(runtime.admin_dsn or "") as connection:
            rows = connection.execute(EVENLY, {"most": campaigns}).fetchall()
        self._refs = [self._actor(id_) for (id_,) in rows]
        self._turns = [0] * campaigns


class Cost(NamedTuple):
    """Of one transition, in one round."""

    time_us: float
    host_us: float  # of CPU
    postgres_us: float  # of CPU
    alone_us: float  # from command to answer, where it is the only one


class Measured:
    """One store and its runtime."""

    def __init__(self, home: Path, runtime: Runtime, server: EmbeddedServer, active: int) -> None:
        self._home, self._server, self._active = home, server, active
        self._known = Known(runtime, active)
        self._known.run(WARM_S, active)

    def round(self, seconds: float) -> Cost:
        """Move all that are active, then one alone."""
        spent = Spent(self._server, self._home)
        began_s = time.perf_counter()
        done = len(self._known.run(seconds, self._active).latencies_ms)
        took_s, host_s, postgres_s = time.perf_counter() - began_s, spent.here_s(), spent.there_s()
        alone_ms = self._known.run(seconds / 3, 1).latencies_ms
        each_us = 1e6 / done
        return Cost(took_s * each_us, host_s * each_us, postgres_s * each_us, statistics.median(alone_ms) * 1e3)


def filled(home: Path, campaigns: int, events: int) -> None:
    """A home with so many campaigns; its server has stopped."""
    with EmbeddedServer(home) as server:
        migrate.up(server.dsn("domainflow"))
        fill(server.dsn("domainflow"), campaigns=campaigns, events=events)
        with psycopg.connect(server.dsn("domainflow"), autocommit=True) as connection:
            connection.execute("vacuum (analyze)")
            connection.execute("checkpoint")


@contextmanager
def measured(home: Path, active: int) -> Iterator[Measured]:
    """A runtime on a filled home."""
    with EmbeddedServer(home) as server, runtime_of(home, active) as runtime:
        yield Measured(home, runtime, server, active)


def figures(large: Path | None, campaigns: int, events: int, active: int, rounds: int) -> Iterator[Figure]:
    """All in turn; medians."""
    with ExitStack() as stack:
        homes = [stack.enter_context(folder()), large or stack.enter_context(folder())]
        filled(homes[0], *SMALL)
        if large is None:
            filled(homes[1], campaigns, events)
        stores = [stack.enter_context(measured(home, active)) for home in homes]
        found = [[store.round(1.5) for store in stores] for _ in range(rounds)]
    for number, (what, unit) in enumerate(
        {"time": "us", "cpu_of_host": "us", "cpu_of_postgres": "us", "time_alone": "us"}.items()
    ):
        small, large_ = (statistics.median(pair[which][number] for pair in found) for which in (0, 1))
        yield Figure(f"{what}_of_a_transition_large_vs_small", large_, unit, small, MOST_TIMES)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--campaigns", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=50)
    parser.add_argument("--active", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--large", type=Path, metavar="FOLDER", help="a home that was filled before")
    told = parser.parse_args()
    show(figures(told.large, told.campaigns, told.events, told.active, told.rounds), as_json=told.json)


if __name__ == "__main__":
    main()
