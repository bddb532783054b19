"""The two times there are: a monotonic one to measure with, a wall clock to show people.

Due times and leases are judged by the database's clock, never by these.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where time comes from: a seam, so that a test can own it."""

    def monotonic_s(self) -> float:
        """Seconds since an unspecified moment; never goes back, and means nothing outside this process."""
        ...

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)
