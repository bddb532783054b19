"""What the monitor costs at its default budget: shares of one core, of this process and of Postgres.

    python bench/monitor.py [--json] [--campaigns 2000] [--looks 40]

On an embedded server of its own, whose store has lived long (`_fill`); an eighth of the campaigns is executed by nobody
and stands still, so that every look finds rows to judge. As many slices are verified as fall to the looks, each as soon
as the last one has ended; a runtime would rest between them. A share is what they took of the time that they fall to.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
from _figures import Figure, arguments, show
from _fill import fill
from commit import folder

from domainflow.actors.monitor.judging import Limits, Since, judge
from domainflow.settings import Settings
from domainflow.store import migrate, monitor_sql
from domainflow.store.embedded import EmbeddedServer
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind
from domainflow.verify import check_next

EVENTS: Final = 20  # a campaign
TICKS_S: Final = os.sysconf("SC_CLK_TCK")
STAND_STILL: Final = """
update domainflow.head set status = 'running' where stream in (
  select stream from domainflow.head where stream like 'campaign/%%' order by stream limit %s)
"""
PIDS: Final = "select pid from pg_stat_activity"


class Spent:
    """CPU seconds of this process and of a server since it was made."""

    def __init__(self, server: EmbeddedServer, home: Path) -> None:
        self._postmaster = int((home / "postgres/data/postmaster.pid").read_text().split("\n")[0])
        self._dsn = server.dsn("domainflow")
        self._here_s, self._there_s = time.process_time(), self._of_server_s()

    def here_s(self) -> float:
        return time.process_time() - self._here_s

    def there_s(self) -> float:
        return self._of_server_s() - self._there_s

    def _of_server_s(self) -> float:
        """Of all its processes: of those that have ended too, since their parent has waited for them."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            pids = [row[0] for row in connection.execute(PIDS).fetchall()]
        ended = _stat(self._postmaster)
        return sum(ended) + sum(sum(_stat(pid)[:2]) for pid in pids)


def _stat(pid: int) -> list[float]:
    """User and system time of a process, and of its children that have ended; zero when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [0.0] * 4
    return [int(field) / TICKS_S for field in fields[11:15]]


def measure(store: Postgres, spent: Spent, looks: int) -> Iterator[Figure]:
    """Look so often, then verify what falls to as many looks."""
    settings = Settings()
    limits = Limits(settings.stall_s, settings.held_s, settings.lag_s)
    seconds = looks * settings.monitor_s
    since: Since = {}
    for _ in range(looks):
        with store.upkeep(Kind.SWEEP, one_instant=True) as connection:
            watched = monitor_sql.observe(connection, **limits._asdict())
        since = judge(watched, since, now_s=time.monotonic(), limits=limits).since
    looked_s, looked_there_s = spent.here_s(), spent.there_s()
    after, verified, began_s = "", 0, time.monotonic()
    while verified < settings.verify_events_per_s * seconds:
        slice_ = check_next(store, after, int(settings.verify_events_per_s * settings.monitor_s))
        after, verified = slice_.after, verified + slice_.events
    took_s = time.monotonic() - began_s
    here_s, there_s = spent.here_s() - looked_s, spent.there_s() - looked_there_s
    yield Figure("look_ms_of_cpu", looked_s / looks * 1e3, "ms")
    yield Figure("look_ms_of_postgres", looked_there_s / looks * 1e3, "ms")
    yield Figure("verify_us_of_cpu_an_event", here_s / verified * 1e6, "us")
    yield Figure("verify_us_of_postgres_an_event", there_s / verified * 1e6, "us")
    yield Figure("verify_share_of_time", took_s / seconds, "s/s", goal=0.05)
    yield Figure("share_of_one_core", (looked_s + here_s) / seconds, "s/s", goal=0.01)
    yield Figure("share_of_one_core_postgres", (looked_there_s + there_s) / seconds, "s/s", goal=0.01)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--campaigns", type=int, default=2_000)
    parser.add_argument("--looks", type=int, default=40)
    told = parser.parse_args()
    with folder() as home, EmbeddedServer(home) as server:
        migrate.up(server.dsn("domainflow"))
        fill(server.dsn("domainflow"), campaigns=told.campaigns, events=EVENTS)
        with psycopg.connect(server.dsn("domainflow"), autocommit=True) as connection:
            connection.execute(STAND_STILL, (told.campaigns // 8,))
        store = Postgres(lambda: server.dsn("domainflow_app"), revive=server.ensure)
        try:
            show(measure(store, Spent(server, home), told.looks), as_json=told.json)
        finally:
            store.close()


if __name__ == "__main__":
    main()
