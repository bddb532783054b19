"""The hash chain of a stream: what each event's hash covers.

Fixed-width fields and hashes only, so that the preimage is unambiguous and plain SQL can recompute it
(`verify_sql`). Upcasting never rewrites bytes, so a chain verifies for ever.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Final

from domainflow.store.port import Recorded

GENESIS: Final = bytes(32)  # the previous hash of version 1
TAG: Final = b"domainflow event 1"


def link(  # noqa: PLR0913 - everything that the hash covers
    *,
    stream: str,
    version: int,
    previous: bytes,
    tenant: str,
    recorded_at_us: int,
    type_: str,
    type_version: int,
    context: bytes,
    body: bytes,
) -> bytes:
    """Return the 32-byte hash of an event that follows `previous`."""
    preimage = (
        TAG,
        _digest(stream),
        version.to_bytes(8, "big"),
        previous,
        _digest(tenant),
        recorded_at_us.to_bytes(8, "big"),
        _digest(type_),
        type_version.to_bytes(4, "big"),
        sha256(context).digest(),
        sha256(body).digest(),
    )
    return sha256(b"".join(preimage)).digest()


@lru_cache(maxsize=4096)  # names come again and again
def _digest(name: str) -> bytes:
    return sha256(name.encode()).digest()


def follows(recorded: Recorded, version: int, previous: bytes) -> bool:
    """Whether an event that was read back is the one behind `version`, whose hash is `previous`, word for word."""
    return recorded.version == version + 1 and recorded.hash == link(
        stream=recorded.stream,
        version=recorded.version,
        previous=previous,
        tenant=recorded.tenant,
        recorded_at_us=recorded.recorded_at_us,
        type_=recorded.type,
        type_version=recorded.type_version,
        context=recorded.context,
        body=recorded.body,
    )
