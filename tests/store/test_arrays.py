"""Arrays in the binary form that Postgres takes: what goes in comes out."""

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from databases import Database
from durable import emptied, migrated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import RawCursor

from domainflow.store import pool
from domainflow.store.arrays import Array, bigints, byteas, integers, smallints, texts, times

__all__ = ["emptied", "migrated"]  # fixtures

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def back(dsn: str, type_: str, array: Array) -> Any:  # noqa: ANN401 - whatever it holds
    with pool.connect(dsn, "app") as connection:
        row = RawCursor(connection).execute(f"select $1::{type_}[]".encode(), (array,), binary=True).fetchone()
    return row and row[0]


def of(bound: int) -> st.SearchStrategy[list[int | None]]:
    return st.lists(st.one_of(st.none(), st.integers(-bound, bound - 1)), max_size=20)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(small=of(2**15), middle=of(2**31), large=of(2**63), binary=st.lists(st.one_of(st.none(), st.binary())))
def test_numbers_and_bytes_come_back(
    migrated: Database, small: list[int | None], middle: list[int | None], large: list[int | None],
    binary: list[bytes | None],
) -> None:  # fmt: skip
    assert back(migrated.dsn, "int2", smallints(small)) == small
    assert back(migrated.dsn, "int4", integers(middle)) == middle
    assert back(migrated.dsn, "int8", bigints(large)) == large
    assert back(migrated.dsn, "bytea", byteas(binary)) == binary


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.one_of(st.none(), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))),
    seconds=st.lists(st.integers(-10_000_000_000, 10_000_000_000)),
)
def test_texts_and_times_come_back(migrated: Database, words: list[str | None], seconds: list[int]) -> None:
    assert back(migrated.dsn, "text", texts(words)) == words
    come = back(migrated.dsn, "timestamptz", times([second * 1_000_000 + 1 for second in seconds]))
    assert come == [EPOCH + timedelta(seconds=second, microseconds=1) for second in seconds]


@pytest.mark.parametrize(
    ("encode", "value"), [(smallints, 2**15), (integers, -(2**31) - 1), (bigints, 2**63), (bigints, 2**70)]
)
def test_a_number_that_does_not_fit_is_refused(encode: Any, value: int) -> None:  # noqa: ANN401 - any of them
    for values in ([value], [None, value]):
        with pytest.raises(struct.error):
            encode(values)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(UnicodeError):
        texts(["\ud800"])
