"""How long to wait before trying again: truncated exponential backoff with jitter, as one pure function."""

from typing import Final

BASE_S: Final = 0.2
CAP_S: Final = 30.0
JITTER_SHARE: Final = 0.2  # the part of a delay that chance may take off

# 2**63 seconds is past any cap; the min keeps a runaway counter from overflowing a float.
_MAX_DOUBLINGS: Final = 63


def delay_s(attempt: int, jitter: float, *, base_s: float = BASE_S, cap_s: float = CAP_S) -> float:
    """Seconds to wait before `attempt`.

    Doubles from `base_s` at attempt 1 up to `cap_s`, then takes off up to a fifth, so that what failed together
    does not come back together.

    Args:
        attempt: 1-based; 1 is the first retry.
        jitter: drawn by the caller from [0, 1).
        base_s: of attempt 1, at least 0; 0 makes every delay 0.
        cap_s: no delay is longer.

    Raises:
        ValueError: `attempt` is below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempt must be at least 1, not {attempt}")
    doubled_s = base_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS)
    return float(min(doubled_s, cap_s) * (1.0 - JITTER_SHARE * jitter))
