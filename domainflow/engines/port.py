"""What every engine promises to the claimer, and what it reports back.

Words only: no process, no socket, no batch is run here.
"""

from typing import Protocol

from msgspec import Struct

from domainflow.work.port import BatchSpec


class LostWorker(Struct, frozen=True):
    """A worker that died with batches under way. Whether they were finished is not known; nothing of them came back."""

    pid: int
    items: tuple[tuple[int, int], ...]  # (item, fence), in the order they were handed out; may be empty


class Engine(Protocol):
    """Runs batches somewhere else. Every call returns at once unless it says otherwise, from any thread."""

    def start(self) -> None:
        """Start the workers. They take batches once they have reported for work (`free` grows)."""
        ...

    def free(self, *, alone: bool = False) -> int:
        """Batches that could be handed out now; with `alone`, how many of those that run alone."""
        ...

    def submit(self, spec: BatchSpec, *, alone: bool = False) -> bool:
        """Hand out a batch; False if there is no slot, and then nothing happened.

        One that is to run `alone` has a worker to itself. If none is idle it waits for one, which takes no other batch
        meanwhile; only one batch may wait. No worker's death is a loss of a batch that waits.
        """
        ...

    def cancel(self, item: int) -> None:
        """End a batch without a result; one that only waits is gone at once.

        A result that was already on its way may still arrive.
        """
        ...

    def stop(self, timeout_s: float) -> None:
        """End all workers, whatever they do, within `timeout_s`."""
        ...
