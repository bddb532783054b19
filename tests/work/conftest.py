"""One lab for all tests of the works that only ask it."""

from collections.abc import Iterator

import pytest

from domainflow.lab.process import Lab
from domainflow.lab.world import World

SEED = 23


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab.start(tmp_path_factory.mktemp("lab"), SEED) as running:
        yield running


@pytest.fixture(scope="session")
def world() -> World:
    return World(SEED)
