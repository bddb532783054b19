"""However much is stored, the verifier's memory stays small. Stores that have lived long are made by bulk loads."""

from typing import Final

import pytest
from _fill import fill
from child import Child
from databases import Database

MIB: Final = 1 << 20
MOST_BYTES: Final = 64 * MIB


@pytest.mark.timeout(600)  # ten seconds on an idle machine
def test_memory_is_bounded_with_many_streams_and_a_long_one(database: Database) -> None:
    fill(database.admin_dsn, campaigns=500, events=200)
    fill(database.admin_dsn, campaigns=1, events=100_000)
    assert_bounded(database, within_s=500.0)


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_memory_is_bounded_with_five_million_events(database: Database) -> None:
    fill(database.admin_dsn, campaigns=100_000, events=50)
    assert_bounded(database, within_s=7000.0)


def assert_bounded(database: Database, *, within_s: float) -> None:
    with Child("verify.measured:verify_all", dsn=database.dsn) as child:
        assert child.wait_line("faults", within_s=within_s) == "0"
        grew = int(child.wait_line("grew"))
        print(f"verify: {float(child.wait_line('took')):.1f} s, {grew / MIB:.1f} MiB")  # noqa: T201 - a figure
        child.finish()
    assert grew <= MOST_BYTES
