"""Workers that are started before there is anything to do for them."""

import os
from pathlib import Path

import pytest
from child import descendants, eventually

from domainflow.engines.local import LocalEngine
from domainflow.engines.process import WorkerProcess, dismiss, start_early
from domainflow.errors import StoreUnavailable
from domainflow.runtime import Runtime

WORKER = "domainflow.engines.worker"


def engine(early: list[WorkerProcess]) -> LocalEngine:
    return LocalEngine(workers=3, on_result=lambda _: None, on_lost=lambda _: None, early=early)


def workers() -> list[int]:
    return [process.pid for process in descendants(os.getpid()) if WORKER in process.command]


def test_an_engine_takes_the_early_workers_and_starts_what_is_missing() -> None:
    early = start_early(2)
    pids = {worker.pid for worker in early}
    started = engine(early)
    started.start()
    try:
        eventually(lambda: len(started.pids()) == 3, "three workers are ready")
        assert early == []
        assert pids < set(started.pids())
    finally:
        started.stop(5.0)


def test_early_workers_that_no_engine_takes_are_ended() -> None:
    early = start_early(2)
    pids = {worker.pid for worker in early}
    assert pids <= set(workers())
    dismiss(early)
    assert early == []
    assert pids.isdisjoint(workers())


def test_a_runtime_that_finds_no_postgres_leaves_no_worker(tmp_path: Path) -> None:
    before = workers()
    with pytest.raises(StoreUnavailable):
        Runtime.open("postgresql://127.0.0.1:1/none", home=tmp_path)
    assert workers() == before
