"""From a commit to whoever watches or subscribes, in this process and in another one.

    python bench/sync.py [--json] [--campaigns 200] [--seconds 5]

On an embedded server of its own, with fsync on: any transaction of a server holds its feed back. First the maximal rate
of transitions by the public path (see commit.py) is measured, then they are sent at half of it. Time counts from the
moment that the commit lane has the answer to COMMIT to the moment that whoever iterates has the change. Eight campaigns
are watched, all are subscribed to.
"""

import multiprocessing
import queue
import statistics
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeAlias

from _commit_drivers import PRINCIPAL, Public
from _figures import Figure, arguments, show
from commit import folder, runtime_of

from domainflow import Operations, Runtime
from domainflow.errors import AskTimeout

WATCHED: Final = 8
PATIENCE_S: Final = 60.0
QUIET_S: Final = 3.0  # after the last change
GOALS_MS: Final = {"watch": (None, 10.0), "subscription": (None, 10.0), "elsewhere": (5.0, 50.0)}

Seen: TypeAlias = dict[tuple[str, int], float]  # campaign and version -> when, on the clock that all processes share


class Stamps:
    """An ear that notes when the versions of a campaign were committed: its lane wakes it once for each."""

    def __init__(self, campaign: str, version: int, seen: Seen) -> None:
        self._campaign, self._version, self._seen = campaign, version, seen

    def set(self) -> None:
        """One more is committed."""
        self._version += 1
        self._seen[self._campaign, self._version] = time.monotonic()


class Paced(Public):
    """Campaigns that are moved at a rate, whatever comes of it."""

    def __init__(self, runtime: Runtime, campaigns: int) -> None:
        super().__init__(runtime, campaigns)
        self.ids = [ref.path.removeprefix("campaigns/") for ref in self._refs]

    def pace(self, rate: float, seconds: float) -> int:
        """Send so many a second, each to the campaign that has been idle for longest; how many it were."""
        idle = deque(range(len(self._refs)))
        began_s, sent, under_way = time.monotonic(), 0, 0
        while (passed_s := time.monotonic() - began_s) < seconds or under_way:
            while passed_s < seconds and sent < passed_s * rate and idle:
                self._send(idle.popleft())
                sent, under_way = sent + 1, under_way + 1
            try:
                number, _, _, error = self._answers.get(timeout=0.001)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            idle.append(number)
            under_way -= 1
        return sent


def note(changes: Iterable[tuple[str, int]], seen: Seen) -> None:
    """Note when each came, until it has been quiet for a while."""
    try:
        for place in changes:
            seen[place] = time.monotonic()
    except AskTimeout:
        return


def subscribed(operations: Operations) -> Iterator[tuple[str, int]]:
    """Every change of every campaign from now on."""
    subscription = operations.subscribe(timeout_s=QUIET_S)
    return ((change.campaign, change.version) for change in subscription)


def watched(operations: Operations, id_: str) -> Iterator[tuple[str, int]]:
    """Every change of one campaign from now on."""
    campaign = operations.campaign(id_)
    after = campaign.view().version
    return ((id_, change.version) for change in campaign.watch(after, timeout_s=QUIET_S))


def elsewhere(dsn: str, home: Path, wire: Connection) -> None:
    """The other process: subscribes, says so, and sends what it saw in the end."""
    with Runtime.open(dsn, home=home, campaigns=False, work=False) as runtime:
        changes, seen = subscribed(runtime.as_principal(PRINCIPAL)), Seen()
        wire.send("ready")
        note(changes, seen)
        wire.send(seen)


def story(campaigns: int, seconds: float) -> tuple[Seen, dict[str, Seen], float]:
    """When each version was committed, when each kind of listener saw it, and the rate."""
    here, there = multiprocessing.Pipe()
    committed: Seen = {}
    seen: dict[str, Seen] = {"watch": {}, "subscription": {}}
    with folder() as home, runtime_of(home, campaigns) as runtime, ExitStack() as ears:
        operations, paced = runtime.as_principal(PRINCIPAL), Paced(runtime, campaigns)
        rate = statistics.median(paced.run(seconds / 3, campaigns).rate for _ in range(3)) / 2
        for id_ in paced.ids:
            version = operations.campaign(id_).view().version
            hub = runtime._parts.waking.hub  # noqa: SLF001 - where the lanes say what they committed
            ears.enter_context(hub.listening(f"campaign/{id_}", Stamps(id_, version, committed)))
        other = multiprocessing.get_context("spawn").Process(target=elsewhere, args=(runtime.store.dsn, home, there))
        other.start()
        here.recv()  # it is ready
        kinds = [(subscribed(operations), seen["subscription"])]
        kinds += [(watched(operations, id_), seen["watch"]) for id_ in paced.ids[:WATCHED]]
        threads = [threading.Thread(target=note, args=kind) for kind in kinds]
        for thread in threads:
            thread.start()
        paced.pace(rate, seconds)
        for thread in threads:
            thread.join(PATIENCE_S)
        seen["elsewhere"] = here.recv()
        other.join(PATIENCE_S)
    return committed, seen, rate


def figures(campaigns: int, seconds: float) -> Iterator[Figure]:
    """Median and 99th percentile of each kind, ms."""
    committed, seen, rate = story(campaigns, seconds)
    yield Figure("half_of_the_maximal_rate", rate, "1/s")
    for kind, places in seen.items():
        expected = {place for place in committed if kind != "watch" or place[0] in {id_ for id_, _ in places}}
        if missing := expected - places.keys():
            raise SystemExit(f"{kind}: {len(missing)} of {len(expected)} changes were never seen")
        late_ms = sorted((places[place] - committed[place]) * 1e3 for place in expected)
        goals = GOALS_MS[kind]
        yield Figure(f"commit_to_{kind}_p50", statistics.median(late_ms), "ms", None, goals[0])
        yield Figure(f"commit_to_{kind}_p99", late_ms[int(len(late_ms) * 0.99)], "ms", None, goals[1])


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--campaigns", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    show(figures(asked.campaigns, asked.seconds), as_json=asked.json)


if __name__ == "__main__":
    main()
