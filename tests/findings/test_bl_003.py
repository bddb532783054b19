"""BL-003, lifecycle consistency: results = counters + what is done and not accounted, at every instant, kills included.

The seed is printed; BL_003_SEED repeats it.
"""

import os
import random
from pathlib import Path
from typing import Final

import psycopg
from databases import Database

from bl_003 import NAMES, SPEC, Law, Story  # isort: skip  # beside this file

STEPS: Final = 7
UNGUARDED: Final = "domainflow.store.commit:FULL=findings.unguarded:FULL"
TOTALS: Final = "select count(*) from domainflow.batch where phase = 1"


def told(database: Database, home: Path, *patch: str) -> Law:
    seed = int(os.environ.get("BL_003_SEED") or random.SystemRandom().randrange(2**32))
    print(f"BL_003_SEED={seed}")  # noqa: T201 - shown when the test fails
    story = Story(database, home, random.Random(seed), patch=patch)  # noqa: S311 - instants of kills, no secret
    law = story.tell(STEPS)
    print(story.told, f"{law.looks} looks, {law.waiting} with batches waiting")  # noqa: T201 - likewise
    return law


def test_results_are_counted_or_wait_to_be_at_every_instant_whatever_happens_to_the_host(
    database: Database, home: Path
) -> None:
    law = told(database, home)
    assert law.faults == []
    assert law.looks > 100
    assert law.waiting > 0, "it never saw the instants that matter"
    with psycopg.connect(database.admin_dsn) as connection:
        assert connection.execute(TOTALS).fetchone() == (NAMES // SPEC.batch_size,)


def test_it_is_the_deletion_in_the_same_commit_that_keeps_them_so(database: Database, home: Path) -> None:
    assert told(database, home, UNGUARDED).faults != []
