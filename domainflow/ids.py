"""Ids that sort by the time they were made: UUID version 7 (RFC 9562, 5.7), as 32 hex digits.

Nothing here reads what an id means; two ids of one microsecond have no order.
"""

import os
import struct
import time
from collections import deque
from typing import Final

_NS_A_MS: Final = 1_000_000
_DRAWN_AT_ONCE: Final = 256  # a system call for each number costs more than all the rest
_drawn: Final[deque[int]] = deque()
os.register_at_fork(after_in_child=_drawn.clear)  # or parent and child would go on with the same numbers


def new_id() -> str:
    """An id that was never handed out before: 32 lower-case hex digits."""
    return uuid7(time.time_ns(), _chance())


def uuid7(unix_ns: int, random_bits: int) -> str:
    """The version 7 UUID of a moment, as hex digits: 48 bits of milliseconds, 12 of their fraction, 62 of chance.

    Args:
        unix_ns: nanoseconds since 1970, from 0 on; beyond the year 10889 they wrap.
        random_bits: drawn by the caller from [0, 2**62).

    Source: RFC 9562, 5.7 and 6.2 (method 3: the fraction of a millisecond stands where chance could).
    """
    ms, rest_ns = divmod(unix_ns, _NS_A_MS)
    fraction = rest_ns * 4096 // _NS_A_MS
    return f"{(ms & (1 << 48) - 1) << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random_bits:032x}"


def _chance() -> int:
    while True:
        try:
            return _drawn.pop() >> 2
        except IndexError:
            _drawn.extend(struct.unpack(f"{_DRAWN_AT_ONCE}Q", os.urandom(8 * _DRAWN_AT_ONCE)))
