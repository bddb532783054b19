"""Batches that run alone: they get a worker to themselves, also where no worker is ever idle."""

import os
import signal

from domainflow.engines.port import LostWorker

from engine_host import PATIENCE_S, Host, batch, endless, silent_resolver  # isort: skip  # beside this file


def test_a_batch_that_runs_alone_has_a_worker_to_itself() -> None:
    with silent_resolver() as notation, Host(workers=2, batches_per_worker=2) as host:
        host.wait_for(slots=4)
        assert host.engine.submit(endless(1, notation))
        assert host.engine.submit(endless(2, notation), alone=True)
        assert host.engine.free() == 1  # beside the first
        host.engine.cancel(2)
        host.wait_for(slots=3)
        assert host.engine.submit(batch(4), alone=True)
        assert host.result().item == 4


def test_as_many_run_alone_as_workers_are_idle_and_one_may_wait() -> None:
    host = Host(workers=2, batches_per_worker=2)
    assert host.engine.free(alone=True) == 0  # no worker is there
    assert not host.engine.submit(batch(9), alone=True)
    with silent_resolver() as notation, host:
        host.wait_for(slots=4)
        free = []
        for item in (1, 2, 3):
            free.append(host.engine.free(alone=True))
            assert host.engine.submit(endless(item, notation), alone=True)
        assert [*free, host.engine.free(alone=True)] == [2, 1, 1, 0]
        assert not host.engine.submit(batch(4), alone=True)


def test_while_one_waits_to_run_alone_the_emptiest_worker_takes_no_more_and_then_that_one() -> None:
    with silent_resolver() as notation, Host(workers=2, batches_per_worker=3) as host:
        host.wait_for(slots=6)
        for item in (1, 2, 3):  # two on one worker, one on the other
            assert host.engine.submit(endless(item, notation))
        assert host.engine.submit(batch(4), alone=True)
        assert host.engine.free() == 1
        assert host.engine.submit(endless(5, notation))
        assert not host.engine.submit(batch(6))
        host.engine.cancel(2)  # the only one on the emptiest
        assert host.result().item == 4
        assert (host.engine.free(), host.engine.free(alone=True)) == (3, 1)


def test_one_that_waits_to_run_alone_has_the_worker_of_the_one_that_did() -> None:
    with silent_resolver() as notation, Host(workers=2, batches_per_worker=2) as host:
        host.wait_for(slots=4)
        assert host.engine.submit(endless(1, notation))
        assert host.engine.submit(endless(2, notation), alone=True)
        assert host.engine.submit(batch(3), alone=True)
        assert host.engine.free() == 1  # no second worker is kept
        host.engine.cancel(2)
        assert host.result().item == 3


def test_one_that_waits_to_run_alone_outlives_the_worker_it_waits_for() -> None:
    with silent_resolver() as notation, Host(workers=1, batches_per_worker=2) as host:
        host.wait_for(slots=2)
        (pid,) = host.engine.pids()
        assert host.engine.submit(endless(1, notation))
        assert host.engine.submit(batch(2), alone=True)
        os.kill(pid, signal.SIGKILL)
        assert host.lost.get(timeout=PATIENCE_S) == LostWorker(pid, ((1, 101),))
        assert host.result().item == 2
        assert host.lost.empty()


def test_one_that_is_cancelled_while_it_waits_keeps_no_worker_any_more() -> None:
    with silent_resolver() as notation, Host(workers=1, batches_per_worker=2) as host:
        host.wait_for(slots=2)
        assert host.engine.submit(endless(1, notation))
        assert host.engine.submit(batch(2), alone=True)
        assert host.engine.free() == 0
        host.engine.cancel(2)
        assert host.engine.free() == 1
        assert host.engine.submit(batch(3))
        assert host.result().item == 3
        host.engine.cancel(1)
        host.wait_for(slots=2)
        assert host.results.empty()
