"""What a host and its worker process say to each other, and how it is cut out of a byte stream.

Each frame is a four-byte big-endian length and that many bytes of msgpack. Nothing here reads or writes a socket.
"""

from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from domainflow.work.port import BatchFailure, BatchResult, BatchSpec

_PREFIX_BYTES: Final = 4


class Run(Struct, frozen=True, tag="run"):
    """Do this batch."""

    spec: BatchSpec


class Cancel(Struct, frozen=True, tag="cancel"):
    """End this batch; it is answered by `Dropped` unless its result was faster."""

    item: int
    fence: int


class Ready(Struct, frozen=True, tag="ready"):
    """The worker has loaded everything and takes batches."""


class Done(Struct, frozen=True, tag="done"):
    """A batch ended with a result."""

    result: BatchResult


class Failed(Struct, frozen=True, tag="failed"):
    """A batch raised."""

    failure: BatchFailure


class Dropped(Struct, frozen=True, tag="dropped"):
    """A batch was cancelled."""

    item: int
    fence: int


Order: TypeAlias = Run | Cancel
Report: TypeAlias = Ready | Done | Failed | Dropped

_ENCODER: Final = msgspec.msgpack.Encoder()
_ORDERS: Final = msgspec.msgpack.Decoder(Order)
_REPORTS: Final = msgspec.msgpack.Decoder(Report)


def encode(message: Order | Report) -> bytes:
    """The frame of a message."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(_PREFIX_BYTES, "big") + body


def decode_order(body: bytes) -> Order:
    """The order in a frame's body. Raises msgspec.ValidationError for anything else."""
    order: Order = _ORDERS.decode(body)
    return order


def decode_report(body: bytes) -> Report:
    """The report in a frame's body. Raises msgspec.ValidationError for anything else."""
    report: Report = _REPORTS.decode(body)
    return report


class FrameSplitter:
    """Cuts a byte stream into the bodies of its frames. Both ends are ours, so lengths are not doubted."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The bodies completed by `chunk`, in order."""
        self._rest += chunk
        bodies = []
        start = 0
        while len(self._rest) - start >= _PREFIX_BYTES:
            body_start = start + _PREFIX_BYTES
            stop = body_start + int.from_bytes(self._rest[start:body_start], "big")
            if len(self._rest) < stop:
                break
            bodies.append(bytes(self._rest[body_start:stop]))
            start = stop
        del self._rest[:start]
        return bodies
