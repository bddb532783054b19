"""Ids that sort by the time they were made: UUID version 7 (RFC 9562, 5.7), as 32 hex digits.

Nothing here reads what an id means; two ids of one microsecond have no order.
"""

import secrets
import time
from typing import Final
from uuid import UUID

_RANDOM_BITS: Final = 62
_NS_A_MS: Final = 1_000_000


def new_id() -> str:
    """An id that was never handed out before: 32 lower-case hex digits."""
    return uuid7(time.time_ns(), secrets.randbits(_RANDOM_BITS)).hex


def uuid7(unix_ns: int, random_bits: int) -> UUID:
    """The version 7 UUID of a moment: 48 bits of milliseconds, 12 of their fraction, 62 of chance.

    Args:
        unix_ns: nanoseconds since 1970, from 0 on; beyond the year 10889 they wrap.
        random_bits: drawn by the caller from [0, 2**62).

    Source: RFC 9562, 5.7 and 6.2 (method 3: the fraction of a millisecond stands where chance could).
    """
    ms, rest_ns = divmod(unix_ns, _NS_A_MS)
    fraction = rest_ns * 4096 // _NS_A_MS
    return UUID(int=(ms & (1 << 48) - 1) << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random_bits)
