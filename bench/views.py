"""What it costs to look at a campaign: with what was folded kept, and without.

    python bench/views.py [--json] [--rounds 7]

`view()` of a campaign that has accounted two hundred batches, while nothing happens; and of one that is moved by a
command before each look.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from typing import Final

from _commit_drivers import PRINCIPAL
from _figures import Figure, arguments, show
from commit import folder
from msgspec import structs

from domainflow import CampaignHandle, CampaignSpec, Runtime
from domainflow.actors.campaign.events import PhaseConfig
from domainflow.folds import Folds
from domainflow.reading import Reading
from domainflow.settings import Settings
from domainflow.spec import DnsPersona, PatternSource
from domainflow.vocabulary import PatternType, Phase

SPEC: Final = CampaignSpec(
    name="looked at",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=5, character_set="abcdef", constant="x", tld="com", count=3000
    ),
    batch_size=15,
    skip=(Phase.DNS_VALIDATION, Phase.HTTP_KEYWORD_VALIDATION, Phase.ANALYSIS),
)
LOOKS: Final = 100


def took_ms(look: Callable[[], object], before: Callable[[], object]) -> float:
    """Median time of a look."""
    times = []
    for _ in range(LOOKS):
        before()
        began_s = time.perf_counter()
        look()
        times.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(times)


def figures(rounds: int) -> Iterator[Figure]:
    """Medians of rounds, each with its baseline beside it."""
    with folder() as home, Runtime.open(home=home, settings=Settings(workers=1)) as runtime:
        operations = runtime.as_principal(PRINCIPAL)
        still = operations.create_campaign(SPEC)
        still.start()
        still.wait()
        yield _compared("view_while_nothing_happens", runtime, still, bool, rounds)
        moving = operations.create_campaign(structs.replace(SPEC, skip=()))
        waits_s = cycle((0.5, 1.0))

        def move() -> None:
            config = PhaseConfig(dns=DnsPersona(query_timeout_s=next(waits_s)))
            moving.configure_phase(Phase.DNS_VALIDATION, config)

        yield _compared("view_after_each_command", runtime, moving, move, rounds)


def _compared(
    name: str, runtime: Runtime, campaign: CampaignHandle, before: Callable[[], object], rounds: int
) -> Figure:
    parts = replace(runtime._parts, folds=Folds(0))  # noqa: SLF001 - the same, with nothing kept
    unkept = Reading(parts, PRINCIPAL, campaign.id)
    pairs = [(took_ms(campaign.view, before), took_ms(unkept.view, before)) for _ in range(rounds)]
    kept_ms, unkept_ms = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Figure(name, kept_ms, "ms", unkept_ms)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    show(figures(asked.rounds), as_json=asked.json)


if __name__ == "__main__":
    main()
