"""A token bucket, judged by the clock its caller reads. It sleeps never and starts no timer."""


class TokenBucket:
    """Lets `rate_per_s` through on average, at most `burst` at once; a rate of 0 lets everything through."""

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = max(1.0, burst)
        self._tokens = self._burst
        self._counted_at_s: float | None = None

    def take(self, now_s: float) -> float:
        """0 and one token less, or, with nothing taken, the seconds until there will be one."""
        if not self._rate_per_s:
            return 0.0
        self._refill(now_s)
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate_per_s
        self._tokens -= 1
        return 0.0

    def debit(self, now_s: float) -> float:
        """Take one token that may not be there yet, and say how long from now it will take to be earned."""
        if not self._rate_per_s:
            return 0.0
        self._refill(now_s)
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate_per_s)

    def _refill(self, now_s: float) -> None:
        passed_s = 0.0 if self._counted_at_s is None else max(0.0, now_s - self._counted_at_s)
        self._tokens = min(self._burst, self._tokens + passed_s * self._rate_per_s)
        self._counted_at_s = now_s
