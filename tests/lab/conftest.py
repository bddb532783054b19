"""One lab for all tests of a session that only ask it."""

from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from domainflow.lab.process import Lab
from domainflow.lab.world import Host, World

SEED = 11
Find = Callable[[Callable[[Host], bool]], Host]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    home: Path = tmp_path_factory.mktemp("lab")
    with Lab.start(home, SEED) as running:
        yield running


@pytest.fixture(scope="session")
def world() -> World:
    return World(SEED)


@pytest.fixture(scope="session")
def find(world: World) -> Find:
    """The first of 200 000 names whose host is as wanted."""

    def first(wanted: Callable[[Host], bool]) -> Host:
        hosts = (world.host(f"name{i}.com") for i in islice(count(), 200_000))
        return next(host for host in hosts if wanted(host))

    return first
