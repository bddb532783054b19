"""The main of a worker process: batches come in over one socket, results go back over it.

All batches run as coroutines of one event loop. A second thread only reads the socket, so that the process ends with
its host even while the loop is busy. No state outlives the process, and nothing here knows actors or SQL.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from functools import partial
from typing import Final, NoReturn, assert_never

from domainflow.engines.frames import (
    Cancel,
    Done,
    Dropped,
    Failed,
    FrameSplitter,
    Ready,
    Report,
    Run,
    decode_order,
    encode,
)
from domainflow.errors import DomainFlowError
from domainflow.vocabulary import Phase
from domainflow.work import analysis, dns, generation, http
from domainflow.work.port import BatchFailure, BatchResult, BatchSpec, Work

WORKS: Final[dict[Phase, Work]] = {
    Phase.DOMAIN_GENERATION: generation.run,
    Phase.DNS_VALIDATION: dns.run,
    Phase.HTTP_KEYWORD_VALIDATION: http.run,
    Phase.ANALYSIS: analysis.run,
}

_CHUNK_BYTES: Final = 1 << 18
_REASON_CHARS: Final = 500

log = logging.getLogger("domainflow.worker")


class _Worker:
    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._batches: dict[tuple[int, int], asyncio.Task[BatchResult]] = {}
        self._outbox: asyncio.Queue[Report] = asyncio.Queue()  # no more than the batches the host hands out

    def read_orders(self) -> NoReturn:
        """Runs in the second thread. The end of the stream is the end of the host, however that came about."""
        splitter = FrameSplitter()
        while chunk := _read(self._link):
            for body in splitter.feed(chunk):
                self._loop.call_soon_threadsafe(self._obey, body)
        # Not sys.exit: nothing may delay this, and there is nothing to tidy up that the kernel does not.
        os._exit(0)

    async def send_reports(self) -> NoReturn:
        """A host that is slow to read holds up the reports, not the loop."""
        self._outbox.put_nowait(Ready())
        while True:
            report = await self._outbox.get()
            await asyncio.to_thread(self._link.sendall, encode(report))

    def _obey(self, body: bytes) -> None:
        match decode_order(body):
            case Run(spec):
                batch = self._loop.create_task(_result(spec), name=f"batch {spec.item}")
                self._batches[spec.item, spec.fence] = batch
                batch.add_done_callback(partial(self._end, spec))
            case Cancel(item, fence):
                if (batch_under_way := self._batches.get((item, fence))) is not None:
                    batch_under_way.cancel()
            case other:
                assert_never(other)

    def _end(self, spec: BatchSpec, batch: asyncio.Task[BatchResult]) -> None:
        """Report the end of a batch. A callback, since a task that is cancelled before its first step runs no code."""
        del self._batches[spec.item, spec.fence]
        if batch.cancelled():
            self._outbox.put_nowait(Dropped(spec.item, spec.fence))
        elif (problem := batch.exception()) is not None:
            log.error("batch_failed", exc_info=problem)
            self._outbox.put_nowait(Failed(BatchFailure(item=spec.item, fence=spec.fence, reason=_reason(problem))))
        else:
            self._outbox.put_nowait(Done(batch.result()))


async def _result(spec: BatchSpec) -> BatchResult:
    return await WORKS[spec.phase](spec)


def _read(link: socket.socket) -> bytes:
    try:
        return link.recv(_CHUNK_BYTES)
    except OSError:  # reset by a host that died with reports unread
        return b""


def _reason(problem: BaseException) -> str:
    """Our own messages are written for people; of others, which may carry paths or values, only the kind is told."""
    told = str(problem) if isinstance(problem, DomainFlowError) else f"unexpected {type(problem).__name__}"
    return told[:_REASON_CHARS]


async def _serve(link: socket.socket) -> None:
    worker = _Worker(link)
    threading.Thread(target=worker.read_orders, name="orders", daemon=True).start()
    await worker.send_reports()  # for ever: the reading thread ends the process


def main() -> None:
    """Serve the socket whose descriptor is the first argument, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the host, which then ends its workers in order
    asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
