"""The pools behind a real pgbouncer in transaction mode, whose few sessions are everybody's."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import pytest
from _pgbouncer import PGBOUNCER, pgbouncer
from databases import Database
from durable import SOON_S, emptied, in_thread, migrated
from stage import nothing_to_revive

from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

__all__ = ["emptied", "migrated"]  # fixtures

ROUNDS: Final = 30  # psycopg prepares what it has sent five times
WHO: Final = """
select current_user::text, current_setting('domainflow.tenants', true), current_setting('statement_timeout')
"""

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="there is no pgbouncer on this machine")


@dataclass(frozen=True)
class Pooled:
    direct: Database
    dsn: str


@pytest.fixture
def pooled(emptied: Database, home: Path) -> Iterator[Pooled]:
    """A pgbouncer of its own, with two sessions to the server."""
    with pgbouncer(emptied.dsn, home, sessions=2) as dsn:
        yield Pooled(emptied, dsn)


def test_roles_tenants_and_limits_hold_behind_a_pooler_and_leave_nothing_in_its_sessions(pooled: Pooled) -> None:
    store = Postgres(lambda: pooled.direct.dsn, revive=nothing_to_revive, connections=4, pooled_dsn=pooled.dsn)
    seen: Counter[tuple[str, str, str]] = Counter()
    sessions = set()

    def look(tenant: str) -> None:
        for _ in range(ROUNDS):
            with store.tenants(Kind.VIEW, tenant) as connection:
                seen[connection.execute(WHO).fetchone()] += 1  # type: ignore[index]  # it is a row
                connection.execute("select pg_sleep(0.001)")
            with store.upkeep(Kind.SWEEP) as connection:
                seen[connection.execute(WHO).fetchone()] += 1  # type: ignore[index]  # likewise
                sessions.add(connection.execute("select pg_backend_pid()").fetchone())

    try:
        for looking in [in_thread(lambda tenant=tenant: look(tenant)) for tenant in ("acme", "umbrella") * 2]:  # type: ignore[misc]
            looking.result(2 * SOON_S)
    finally:
        store.close()
    assert seen == {
        ("domainflow_app", "acme", "10s"): 2 * ROUNDS,
        ("domainflow_app", "umbrella", "10s"): 2 * ROUNDS,
        ("domainflow_upkeep", "", "5s"): 4 * ROUNDS,
    }
    assert len(sessions) == 2
    with psycopg.connect(pooled.dsn, autocommit=True, prepare_threshold=None) as anybody:
        rows = {anybody.execute(WHO).fetchone() for _ in range(ROUNDS)}
    assert rows == {("domainflow_app", "", "0")}


def test_what_fails_behind_a_pooler_is_rolled_back(pooled: Pooled) -> None:
    store = Postgres(lambda: pooled.direct.dsn, revive=nothing_to_revive, connections=2, pooled_dsn=pooled.dsn)

    def fail() -> None:
        with store.tenants(Kind.TOOL, "acme") as connection:
            connection.execute("insert into domainflow.quota (tenant, principal) values ('acme', 'alice')")
            raise LookupError

    try:
        with pytest.raises(LookupError):
            fail()
        with store.tenants(Kind.TOOL, "acme") as connection:
            assert connection.execute("select principal from domainflow.quota").fetchall() == []
    finally:
        store.close()
