"""How long a campaign's actor takes to know its state again, and what its snapshots cost beside its events.

    python bench/rebuild.py [--json] [--events 10000] [--rounds 15]

On the embedded server. A campaign of so many events is read and folded, as an actor's start and a view do it: from its
first event on, and from a snapshot that lies as far behind as the policy allows. What snapshots cost is added up by the
policy for a campaign that accounts so many batches: an ordinary one, and one with a keyword list of a megabyte. The
baseline is a snapshot each 64 events.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Final, LiteralString

import psycopg
from _figures import Figure, arguments, show
from _fill import CONTEXT, fill
from commit import folder, runtime_of
from msgspec.structs import replace

from domainflow import Runtime
from domainflow.actors.campaign.actor import RULES
from domainflow.actors.campaign.events import BatchesAccounted, CampaignCreated, PhaseStarted
from domainflow.actors.campaign.history import CampaignEvent
from domainflow.actors.rules import encode, tag_of
from domainflow.actors.snapshots import MOST_EVENTS, NEW, Behind
from domainflow.spec import KeywordRule
from domainflow.store.chain import GENESIS
from domainflow.store.port import NewEvent
from domainflow.vocabulary import Phase

EACH: Final = 64
GOALS_MS: Final = {"without": 500.0, "with": 20.0}
LIST_BYTES: Final = 1 << 20
OF_THE_LONG: Final[LiteralString] = "select stream from domainflow.head where stream like 'campaign/%'"
SET_BACK: Final[LiteralString] = "update domainflow.snapshot set version = %s, state = %s where stream = %s"


def rebuilt(runtime: Runtime, stream: str, *, fold_version: int, rounds: int) -> float:
    """Milliseconds to read and fold it; median."""
    took_ms = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        RULES.fold(runtime.store.peek(stream, fold_version=fold_version))
        took_ms.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(took_ms)


def figures(events: int, rounds: int) -> Iterator[Figure]:
    """All of them."""
    with folder() as home, runtime_of(home, 1) as runtime:
        fill(runtime.admin_dsn or "", campaigns=1, events=events)
        with psycopg.connect(runtime.admin_dsn or "", autocommit=True) as connection:
            (stream,) = connection.execute(OF_THE_LONG).fetchone() or ("",)
            whole = runtime.store.peek(stream, fold_version=0)
            version = max(1, events - MOST_EVENTS + 1)
            state = RULES.fold(replace(whole, events=whole.events[:version]))
            connection.execute(SET_BACK, (version, encode(state), stream))
        for name, fold_version in (("without", 0), ("with", RULES.fold_version)):
            took_ms = rebuilt(runtime, stream, fold_version=fold_version, rounds=rounds)
            yield Figure(f"rebuild_of_{events}_events_{name}_snapshot", took_ms, "ms", None, GOALS_MS[name])
    began_s = time.perf_counter()
    RULES.fold(whole)
    yield Figure("fold_an_event", (time.perf_counter() - began_s) * 1e6 / events, "us")
    ordinary = state.spec
    keywords = tuple(KeywordRule(text=f"{number:0200}") for number in range(LIST_BYTES // 200))
    for name, created in (("", ordinary), ("_with_a_long_list", replace(ordinary, keywords=keywords))):
        policy, each = written(created, events, is_due), written(created, events, lambda now: now.events >= EACH)
        yield Figure(f"snapshot_bytes_a_byte_of_events{name}", policy, "1", each)


def is_due(now: Behind) -> bool:
    """As runtimes have it."""
    return now.is_due


def written(created: CampaignCreated, events: int, due: Callable[[Behind], bool]) -> float:
    """Bytes of snapshots a byte of events, while a campaign accounts so many batches."""
    state, behind, logged, pictured = RULES.initial, NEW, 0, 0
    for event in story(created, events):
        state = RULES.evolve(state, event)
        stored = NewEvent(
            version=1,
            type=tag_of(event),
            type_version=1,
            recorded_at_us=0,
            context=CONTEXT,
            body=encode(event),
            hash=GENESIS,
        )
        behind, logged = behind.then([stored]), logged + len(stored.body) + len(stored.context)
        if due(behind):
            picture = len(encode(state))
            behind, pictured = Behind(snapshot_bytes=picture), pictured + picture
    return pictured / logged


def story(created: CampaignCreated, events: int) -> Iterator[CampaignEvent]:
    """It is created, and then one batch after the other is accounted."""
    yield created
    yield PhaseStarted(phase=Phase.DNS_VALIDATION, run=1, width=10, batches=events, total=10 * events)
    counts = (("resolved", 4), ("unresolved", 6))
    for number in range(events - 2):
        yield BatchesAccounted(phase=Phase.DNS_VALIDATION, run=1, batches=(number,), items=(number,), counts=counts)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    show(figures(asked.events, asked.rounds), as_json=asked.json)


if __name__ == "__main__":
    main()
