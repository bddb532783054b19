"""SI-001: transactions keep together what belongs together, whatever befalls them, and leave nothing behind."""

import pytest
from child import Child
from databases import Database, await_none_idle

from domainflow.store import open_transactions

from findings.transacting import checked, prepare, transact  # isort: skip  # a folder beside this one's

MANY_S = 600.0
SEED = 1


@pytest.mark.parametrize(
    "operations",
    [1_500, pytest.param(10_000, marks=[pytest.mark.chaos, pytest.mark.timeout(MANY_S)])],
)
def test_mixed_operations_keep_their_word_under_errors_cancels_and_lost_sessions(
    database: Database, operations: int
) -> None:
    prepare(database)
    told = transact(database, operations, SEED)
    print(dict(told.outcomes))  # noqa: T201 - the mix, and what befell it
    assert checked(database, told) == []
    assert open_transactions.all_open() == ()
    await_none_idle(database.admin_dsn)
    assert told.outcomes["moved planted"] > 0
    assert told.outcomes["moved"] > operations // 5
    assert len(told.done) > operations // 2


def test_without_rollback_on_an_error_the_same_finds_what_was_half_done(database: Database) -> None:
    with Child(
        "findings.transacting:child",
        patch=("domainflow.store.postgres:transaction=findings.unguarded_transaction:without_rollback",),
        dsn=database.dsn,
        admin_dsn=database.admin_dsn,
        operations=600,
        seed=SEED,
    ) as running:
        assert int(running.wait_line("found", within_s=100.0)) > 0
        assert running.wait_line("fault").startswith("coins: ")
        running.finish()
