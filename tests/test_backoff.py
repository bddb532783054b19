import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainflow.backoff import delay_s


def test_delays_double_from_a_fifth_of_a_second_to_half_a_minute() -> None:
    assert [delay_s(attempt, 0.0) for attempt in (1, 2, 3, 8, 9, 1000)] == [0.2, 0.4, 0.8, 25.6, 30.0, 30.0]


def test_jitter_takes_off_at_most_a_fifth() -> None:
    assert delay_s(1, 0.5, base_s=1) == 0.9


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        delay_s(0, 0.0)


@given(attempt=st.integers(1, 10_000), jitter=st.floats(0, 1, exclude_max=True), base_s=st.floats(0, 10))
def test_a_delay_is_never_above_the_cap_nor_below_four_fifths_of_its_own(
    attempt: int, jitter: float, base_s: float
) -> None:
    full_s = delay_s(attempt, 0.0, base_s=base_s)
    assert 0.8 * full_s <= delay_s(attempt, jitter, base_s=base_s) * 1.000_001
    assert delay_s(attempt, jitter, base_s=base_s) <= full_s <= 30.0
