import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from domainflow.engines.frames import Dropped, FrameSplitter, encode
from domainflow.engines.port import LostWorker
from domainflow.engines.process import restart_delay_s
from domainflow.spec import DnsPersona
from domainflow.vocabulary import Phase
from domainflow.work.port import BatchFailure, BatchResult

from engine_host import PATIENCE_S, Host, batch, endless, silent_resolver  # isort: skip  # beside this file


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_batch_comes_back_as_its_result() -> None:
    with Host() as host:
        host.wait_for(slots=2)
        assert host.engine.submit(batch(7, names=9))
        assert host.result() == BatchResult(item=7, fence=107, counts=(("invalid", 0), ("valid", 9)))


def test_workers_take_as_many_batches_at_once_as_they_may_and_no_more() -> None:
    with silent_resolver() as notation, Host(workers=2, batches_per_worker=2) as host:
        host.wait_for(slots=4)
        assert [host.engine.submit(endless(item, notation)) for item in range(5)] == [True] * 4 + [False]
        assert host.engine.free() == 0
        assert len(set(host.engine.pids())) == 2


def test_a_cancelled_batch_gives_its_slot_back_and_no_result() -> None:
    with silent_resolver() as notation, Host(batches_per_worker=1) as host:
        host.wait_for(slots=1)
        assert host.engine.submit(endless(1, notation))
        host.engine.cancel(1)
        host.wait_for(slots=1)
        assert host.engine.submit(batch(2))
        assert host.result().item == 2
        assert host.results.empty()


def test_a_batch_that_raises_is_a_failure_with_a_reason_for_people() -> None:
    with Host() as host:
        host.wait_for(slots=2)
        assert host.engine.submit(batch(1, phase=Phase.DNS_VALIDATION, dns=DnsPersona(resolvers=("lab",))))
        failure = host.result()
        assert isinstance(failure, BatchFailure)
        assert (failure.item, failure.fence) == (1, 101)
        assert failure.reason.startswith("the resolver `lab` needs a running lab")


def test_an_unforeseen_failure_tells_its_kind_and_nothing_else() -> None:
    with Host() as host:
        host.wait_for(slots=2)
        assert host.engine.submit(batch(1, names=100))  # the source has nine
        assert host.result() == BatchFailure(item=1, fence=101, reason="unexpected ValueError")


def test_a_killed_worker_loses_its_batches_once_and_is_replaced() -> None:
    with silent_resolver() as notation, Host() as host:
        host.wait_for(slots=2)
        (pid,) = host.engine.pids()
        assert host.engine.submit(endless(1, notation))
        assert host.engine.submit(endless(2, notation))
        os.kill(pid, signal.SIGKILL)
        assert host.lost.get(timeout=PATIENCE_S) == LostWorker(pid, ((1, 101), (2, 102)))
        host.wait_for(slots=2)
        assert host.engine.pids() != (pid,)
        assert host.engine.submit(batch(3))
        assert host.result().item == 3
        assert host.lost.empty()


def test_a_worker_that_dies_idle_is_reported_without_items() -> None:
    with Host() as host:
        host.wait_for(slots=2)
        (pid,) = host.engine.pids()
        os.kill(pid, signal.SIGTERM)
        assert host.lost.get(timeout=PATIENCE_S) == LostWorker(pid, ())


def test_an_interrupt_is_for_the_host_to_obey_and_not_for_a_worker() -> None:
    with Host() as host:
        host.wait_for(slots=2)
        (pid,) = host.engine.pids()
        os.kill(pid, signal.SIGINT)
        assert host.engine.submit(batch(1))
        assert host.result().item == 1
        assert host.engine.pids() == (pid,)


def test_nothing_is_left_after_stop_and_nothing_more_is_heard() -> None:
    with silent_resolver() as notation, Host(workers=2) as host:
        host.wait_for(slots=4)
        pids = host.engine.pids()
        assert host.engine.submit(endless(1, notation))
        host.engine.stop(5.0)
        assert not any(is_alive(pid) for pid in pids)
        assert (host.engine.free(), host.engine.pids(), host.engine.submit(batch(2))) == (0, (), False)
        assert (host.results.empty(), host.lost.empty()) == (True, True)


def test_stop_kills_a_worker_that_does_not_run() -> None:
    with Host() as host:
        host.wait_for(slots=2)
        (pid,) = host.engine.pids()
        os.kill(pid, signal.SIGSTOP)
        host.engine.stop(0.2)
        assert not is_alive(pid)


_HOST_SCRIPT = """
import threading
from domainflow.engines.local import LocalEngine
ready = threading.Semaphore(0)
engine = LocalEngine(workers=2, on_result=print, on_lost=print, on_free=ready.release)
engine.start()
ready.acquire(); ready.acquire()
print(*engine.pids(), flush=True)
threading.Event().wait()
"""


def test_no_worker_outlives_a_host_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _HOST_SCRIPT], stdout=subprocess.PIPE, text=True) as host:  # noqa: S603  (our own interpreter)
        try:
            assert host.stdout is not None
            pids = [int(pid) for pid in host.stdout.readline().split()]
            assert len(pids) == 2
            assert all(is_alive(pid) for pid in pids)
        finally:
            host.kill()
    until(lambda: not any(is_alive(pid) for pid in pids))


def test_each_worker_gets_its_share_of_a_rate() -> None:
    class Gone(asyncio.DatagramProtocol):
        transport: asyncio.DatagramTransport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(data[:2] + b"\x81\x83" + data[4:], addr)

    async def play(host: Host) -> float:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Gone, local_addr=("127.0.0.1", 0))
        protocol.transport = transport
        notation = "{}:{}".format(*transport.get_extra_info("sockname"))
        limited = DnsPersona(resolvers=(notation,), rate_limit_qps=20, rate_limit_burst=2)
        began_s = time.monotonic()
        assert host.engine.submit(batch(1, phase=Phase.DNS_VALIDATION, dns=limited, names=6))
        result = await asyncio.to_thread(host.result)
        transport.close()
        assert isinstance(result, BatchResult)
        assert result.counts == (("NXDOMAIN", 6),)
        return time.monotonic() - began_s

    with Host(workers=2) as host:
        host.wait_for(slots=4)
        assert asyncio.run(play(host)) >= 0.5  # one at once, five more at ten a second


@pytest.mark.parametrize(("deaths", "delay_s"), [(0, 0.0), (1, 0.1), (2, 0.2), (5, 1.6), (8, 10.0), (9999, 10.0)])
def test_workers_that_die_young_are_replaced_ever_more_slowly(deaths: int, delay_s: float) -> None:
    assert restart_delay_s(deaths) == pytest.approx(delay_s)


def test_frames_are_cut_out_of_any_pieces() -> None:
    stream = b"".join(encode(Dropped(item, 1)) for item in range(5))
    for size in range(1, len(stream)):
        splitter = FrameSplitter()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [body for piece in pieces for body in splitter.feed(piece)] == [
            encode(Dropped(i, 1))[4:] for i in range(5)
        ]
