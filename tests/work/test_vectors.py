import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainflow.errors import Corrupt
from domainflow.work.port import DNS_CODES
from domainflow.work.vectors import pack, unpack


@given(st.lists(st.integers(min_value=0, max_value=len(DNS_CODES) - 1), max_size=300))
def test_what_was_packed_is_unpacked(codes: list[int]) -> None:
    assert unpack(pack(codes), len(codes)) == codes


def test_the_first_name_is_in_the_high_nibble_and_an_odd_end_is_filled_with_zero() -> None:
    assert zlib.decompress(pack([1, 2, 3])) == b"\x12\x30"


def test_a_thousand_dead_names_take_a_few_bytes() -> None:
    assert len(pack([2] * 1000)) < 20


@pytest.mark.parametrize("code", [-1, len(DNS_CODES)])
def test_a_code_that_does_not_exist_is_not_packed(code: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        pack([1, code])


@pytest.mark.parametrize(
    ("packed", "names"),
    [
        (pack([1, 2, 3]), 5),
        (pack([1, 2, 3]), 2),
        (pack([1, 2, 3]) + b"more", 3),
        (pack([1] * 100)[:-3], 100),
        (b"no zlib", 2),
        (zlib.compress(b"\x1f"), 2),
        (zlib.compress(b"\x12\x34"), 3),
    ],
    ids=["too short", "too long", "trailing bytes", "cut", "garbage", "unknown code", "filled with something"],
)
def test_a_vector_that_is_not_exactly_right_is_corrupt(packed: bytes, names: int) -> None:
    with pytest.raises(Corrupt):
        unpack(packed, names)


def test_a_vector_that_unfolds_to_far_more_is_refused_before_it_does() -> None:
    with pytest.raises(Corrupt):
        unpack(zlib.compress(bytes(100_000_000), level=9), 10)
