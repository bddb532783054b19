"""What the scripts of the peers share: what they are told, threads that work at once, what they print."""

import argparse
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from psycopg.conninfo import conninfo_to_dict

THREADS: Final = 8
WARM_S: Final = 0.3  # connections are made, statements are prepared; it is not in the rate


@dataclass(frozen=True)
class Done:
    """What one run came to."""

    done: int  # as many as must be found in the database, those of warming up among them
    rate: float  # a second


def told(doc: str | None) -> tuple[dict[str, Any], float]:
    """How to connect, as libpq's parameters, and for how many seconds."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dsn")
    parser.add_argument("seconds", type=float)
    asked = parser.parse_args()
    return conninfo_to_dict(asked.dsn), asked.seconds


def threads(works: list[Callable[[], object]], seconds: float) -> Done:
    """Do each of `works` again and again for so long, each in a thread of its own, after a while to warm up."""
    warm, timed = _threads(works, WARM_S), _threads(works, seconds)
    return Done(warm.done + timed.done, timed.rate)


def _threads(works: list[Callable[[], object]], seconds: float) -> Done:
    counts = [0] * len(works)
    began_s = time.perf_counter()

    def again(number: int) -> None:
        while time.perf_counter() - began_s < seconds:
            works[number]()
            counts[number] += 1

    running = [threading.Thread(target=again, args=(number,)) for number in range(len(works))]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return Done(sum(counts), sum(counts) / (time.perf_counter() - began_s))


def say(what: str, done: Done) -> None:
    """Print the one line that the bench reads."""
    print(json.dumps({"what": what, "done": done.done, "rate": done.rate}), flush=True)
