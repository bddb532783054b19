"""One runtime beside a lab a module; a tenant of its own a test."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from scene import SEED, Scene

from domainflow.lab.process import Lab
from domainflow.runtime import Runtime
from domainflow.security.context import Principal
from domainflow.store.embedded import EmbeddedServer

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def runtime(server: EmbeddedServer) -> Iterator[Runtime]:
    """A runtime with a database and a home of its own, in which a lab runs."""
    name = f"acceptance_{os.getpid()}_{next(_numbers)}"
    home = Path(tempfile.mkdtemp(prefix="domainflow-"))
    with psycopg.connect(server.dsn("domainflow"), autocommit=True) as connection:
        connection.execute(f"create database {name}")
        dsn, admin_dsn = server.dsn("domainflow_app", name), server.dsn("domainflow", name)
        with Lab.start(home, SEED), Runtime.open(dsn, admin_dsn=admin_dsn, home=home) as opened:
            yield opened
        connection.execute(f"drop database {name} with (force)")
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def scene(runtime: Runtime) -> Scene:
    """That runtime, asked by an operator of a new tenant."""
    return Scene(runtime, Principal(id="alice", roles=("operator",), tenant=f"tenant-{next(_numbers)}"))
