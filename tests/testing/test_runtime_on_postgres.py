"""The same stories over a real Postgres: real commit statements, claims and folds, with faults at the wire."""

from collections.abc import Iterator

import pytest
from databases import Database
from durable import acting, emptied, migrated
from house import House, reading
from runtime_stories import clients
from sides import OnPostgres
from test_runtime_stories import explored

from domainflow.store.postgres import Postgres
from domainflow.testing import World

__all__ = ["emptied", "migrated"]  # fixtures


@pytest.fixture
def store(emptied: Database) -> Iterator[Postgres]:
    made = Postgres(lambda: emptied.dsn, revive=lambda: None, connections=2)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("schedules", "seed"),
    [pytest.param(300, 0, marks=pytest.mark.timeout(300)), pytest.param(10_000, 1, marks=[pytest.mark.chaos])],
)
def test_no_promise_is_broken_on_postgres(emptied: Database, store: Postgres, schedules: int, seed: int) -> None:
    def story(world: World) -> None:
        with acting(emptied.dsn) as actor:
            side = OnPostgres(world, store, actor)
            try:
                clients(lambda _: House(world, side), world)
            finally:
                side.leave()

    with reading(OnPostgres):
        explored(story, schedules, seed * 1_000_000)
