"""Worker processes on this host, each with one event loop and several batches at once.

One thread of the host speaks with all of them: it starts, feeds, hears and buries the workers. Workers are processes of
our own, not of an executor: those outlive a killed host, and one death breaks the whole pool. A worker that hangs
without dying is not seen here; whoever watches progress may `cancel` its items.
"""

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, assert_never

import msgspec

from domainflow.engines.frames import Cancel, Done, Dropped, Failed, Ready, Report, Run
from domainflow.engines.port import LostWorker
from domainflow.engines.process import WorkerProcess, restart_delay_s
from domainflow.work.port import BatchFailure, BatchResult, BatchSpec

_QUICK_DEATH_S: Final = 10.0  # a worker that lived longer did not die of its start

log = logging.getLogger("domainflow.engine")


class LocalEngine:
    """Worker processes on this host. Callbacks run in the engine's own thread: return soon, raise nothing.

    `on_result` gets each batch's end once; `on_lost` each death of a worker, also of an idle one; `on_free` is called
    when slots appeared without a result (a worker is ready, a cancelled batch has ended). After `stop` none is called.
    """

    def __init__(  # noqa: PLR0913 - who is told of what
        self,
        *,
        workers: int = 2,
        batches_per_worker: int = 4,
        on_result: Callable[[BatchResult | BatchFailure], None],
        on_lost: Callable[[LostWorker], None],
        on_free: Callable[[], None] = lambda: None,
        early: list[WorkerProcess] | None = None,
    ) -> None:
        """Nothing is started yet, but for the workers in `early` (see `process.start_early`), which `start` takes."""
        self._wanted = workers
        self._batches_per_worker = batches_per_worker
        self._on_result = on_result
        self._on_lost = on_lost
        self._on_free = on_free
        self._early = early or []
        self._lock = threading.Lock()  # guards _workers, what each of them runs and _waiting
        self._workers: list[WorkerProcess] = []
        self._waiting: BatchSpec | None = None  # to run alone: until then the emptiest worker takes no other batch
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.settimeout(0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._speak, name="engine", daemon=True)
        self._quick_deaths = 0
        self._start_at = 0.0  # monotonic: no worker is started before

    def start(self) -> None:
        self._thread.start()

    def free(self, *, alone: bool = False) -> int:
        with self._lock:
            if not alone:
                return sum(worker.free(self._batches_per_worker) for worker in self._open())
            ready = self._ready()
            return sum(not worker.running for worker in ready) or int(bool(ready) and self._waiting is None)

    def pids(self) -> tuple[int, ...]:
        """The workers that are ready for batches."""
        with self._lock:
            return tuple(worker.pid for worker in self._workers if worker.ready)

    def submit(self, spec: BatchSpec, *, alone: bool = False) -> bool:
        with self._lock:
            if not (self._wait_for_a_worker(spec) if alone else self._give_beside_others(spec)):
                return False
        self._wake()
        return True

    def _wait_for_a_worker(self, spec: BatchSpec) -> bool:
        if self._waiting is not None or not self._ready():
            return False
        self._waiting = spec
        self._serve_who_waits()
        return True

    def _give_beside_others(self, spec: BatchSpec) -> bool:
        roomy = [worker for worker in self._open() if worker.free(self._batches_per_worker)]
        if not roomy:
            return False
        self._give(min(roomy, key=_load), spec)
        return True

    def _ready(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.ready]

    def _open(self) -> list[WorkerProcess]:
        """The workers for batches that need none to themselves.

        One worker at most is kept from them: who waits while another batch runs alone has its worker after it.
        """
        ready = self._ready()
        if self._waiting is None or any(worker.alone for worker in ready):
            return ready
        return sorted(ready, key=_load)[1:]

    def _serve_who_waits(self) -> None:
        idle = next((worker for worker in self._ready() if not worker.running), None)
        if self._waiting is not None and idle is not None:
            idle.alone = True
            self._give(idle, self._waiting)
            self._waiting = None

    def _give(self, worker: WorkerProcess, spec: BatchSpec) -> None:
        worker.running[spec.item, spec.fence] = None
        worker.post(Run(msgspec.structs.replace(spec, rate_share=1 / self._wanted)))

    def cancel(self, item: int) -> None:
        with self._lock:
            if self._waiting is not None and self._waiting.item == item:
                self._waiting = None
            for worker in self._workers:
                for running, fence in worker.running:
                    if running == item:
                        worker.post(Cancel(item, fence))
        self._wake()

    def stop(self, timeout_s: float) -> None:
        """End all workers within `timeout_s`. Batches under way are given up: nothing more is heard of them."""
        deadline = time.monotonic() + timeout_s
        self._stopping.set()
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        with self._lock:
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.close()
        for worker in workers:
            worker.bury(max(0.0, deadline - time.monotonic()))
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _wake(self) -> None:
        # a full pipe holds a wake-up already; a closed one means that nobody is to be woken
        with contextlib.suppress(OSError):
            self._wake_in.send(b"\0")

    # --- from here on: the engine's own thread

    def _speak(self) -> None:
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        while self._early:
            self._employ(self._early.pop())
        while not self._stopping.is_set():
            wait_s = self._replace_the_dead()
            with self._lock:
                for worker in self._workers:
                    self._selector.modify(worker.link, worker.interest(), worker)
            for key, events in self._selector.select(wait_s):
                if isinstance(key.data, WorkerProcess):
                    self._attend(key.data, events)
                else:
                    self._wake_out.recv(4096)

    def _replace_the_dead(self) -> float | None:
        """Start what is missing; how many seconds until more may be started, None if nothing is missing."""
        while len(self._workers) < self._wanted:
            if (wait_s := self._start_at - time.monotonic()) > 0:
                return wait_s
            try:
                worker = WorkerProcess()
            except OSError:
                log.exception("worker_not_started")
                self._put_off_starts(quick=True)
                continue
            self._employ(worker)
        return None

    def _employ(self, worker: WorkerProcess) -> None:
        self._selector.register(worker.link, selectors.EVENT_READ, worker)
        with self._lock:
            self._workers.append(worker)

    def _attend(self, worker: WorkerProcess, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            with self._lock:
                worker.flush()
        if events & selectors.EVENT_READ:
            reports = worker.hear()
            for report in reports or ():
                self._take(worker, report)
            if reports is None:
                self._lose(worker)

    def _take(self, worker: WorkerProcess, report: Report) -> None:
        match report:
            case Ready():
                with self._lock:
                    worker.ready = True
                    self._serve_who_waits()
                self._tell(self._on_free)
            case Done(result):
                self._release(worker, result.item, result.fence)
                self._tell(partial(self._on_result, result))
            case Failed(failure):
                self._release(worker, failure.item, failure.fence)
                self._tell(partial(self._on_result, failure))
            case Dropped(item, fence):
                self._release(worker, item, fence)
                self._tell(self._on_free)
            case other:
                assert_never(other)

    def _release(self, worker: WorkerProcess, item: int, fence: int) -> None:
        with self._lock:
            worker.running.pop((item, fence), None)
            worker.alone = worker.alone and bool(worker.running)
            self._serve_who_waits()

    def _lose(self, worker: WorkerProcess) -> None:
        with self._lock:
            self._workers.remove(worker)
            items = tuple(worker.running)
        self._selector.unregister(worker.link)
        worker.close()
        worker.bury(1.0)
        self._put_off_starts(quick=time.monotonic() - worker.started_at < _QUICK_DEATH_S)
        log.warning("worker_lost pid=%d items=%d", worker.pid, len(items))
        self._tell(partial(self._on_lost, LostWorker(worker.pid, items)))

    @staticmethod
    def _tell(callback: Callable[[], None]) -> None:
        """A callback that raises is the host's defect; it must not end the thread that all workers depend on."""
        try:
            callback()
        except Exception:
            log.exception("callback_failed")

    def _put_off_starts(self, *, quick: bool) -> None:
        self._quick_deaths = self._quick_deaths + 1 if quick else 0
        self._start_at = time.monotonic() + restart_delay_s(self._quick_deaths)


def _load(worker: WorkerProcess) -> int:
    return len(worker.running)
