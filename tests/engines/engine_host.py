"""What the tests of the engine share: one that is told of, batches that end and batches that do not."""

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from domainflow.engines.local import LocalEngine
from domainflow.engines.port import LostWorker
from domainflow.spec import DnsPersona, HttpPersona, Pattern
from domainflow.vocabulary import PatternType, Phase
from domainflow.work.port import BatchFailure, BatchResult, BatchSpec

PATIENCE_S: Final = 20.0


class Host:
    """An engine and what it has reported, as signals to wait for."""

    def __init__(self, *, workers: int = 1, batches_per_worker: int = 2) -> None:
        self.results: queue.Queue[BatchResult | BatchFailure] = queue.Queue()
        self.lost: queue.Queue[LostWorker] = queue.Queue()
        self._freed = threading.Semaphore(0)
        self.engine = LocalEngine(
            workers=workers,
            batches_per_worker=batches_per_worker,
            on_result=self.results.put,
            on_lost=self.lost.put,
            on_free=self._freed.release,
        )

    def __enter__(self) -> Self:
        self.engine.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.stop(5.0)

    def wait_for(self, slots: int) -> None:
        """Until so many batches could be handed out."""
        while self.engine.free() < slots:
            assert self._freed.acquire(timeout=PATIENCE_S)

    def result(self) -> BatchResult | BatchFailure:
        return self.results.get(timeout=PATIENCE_S)


@contextmanager
def silent_resolver() -> Iterator[str]:
    """A resolver that takes questions and never answers: a batch that asks it takes as long as its time-out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        holder.settimeout(PATIENCE_S)
        yield "{}:{}".format(*holder.getsockname())


def batch(
    item: int, *, phase: Phase = Phase.DOMAIN_GENERATION, dns: DnsPersona | None = None, names: int = 3
) -> BatchSpec:
    return BatchSpec(
        item=item,
        fence=item + 100,
        attempt=1,
        phase=phase,
        start=0,
        stop=names,
        source=Pattern(
            pattern_type=PatternType.PREFIX, variable_length=2, character_set="abc", constant="x", tld=".test"
        ),
        base=0,
        dns=dns or DnsPersona(),
        http=HttpPersona(),
    )


def endless(item: int, notation: str) -> BatchSpec:
    return batch(item, phase=Phase.DNS_VALIDATION, dns=DnsPersona(resolvers=(notation,), query_timeout_s=600.0))
