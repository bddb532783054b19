"""One-dimensional arrays in the binary form that Postgres takes them in, a whole array at a time.

psycopg makes them too, element by element in Python: for the forty arrays of a batch of commits that is most of what
the client does. The form: https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES and the
receive functions of each type.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

US_TO_2000: Final = 946_684_800_000_000  # from 1970: a timestamptz counts from 2000
NULL: Final = b"\xff\xff\xff\xff"
LENGTH: Final = struct.Struct(">i")


class Array(bytes):
    """An encoded array. The type of its elements is that of its class."""


class Bigints(Array):
    """Of type bigint[]."""


class Integers(Array):
    """Of type integer[]."""


class Smallints(Array):
    """Of type smallint[]."""


class Times(Array):
    """Of type timestamptz[]."""


class Texts(Array):
    """Of type text[]."""


class Byteas(Array):
    """Of type bytea[]."""


NAMES: Final[dict[type[Array], str]] = {
    Bigints: "int8",
    Integers: "int4",
    Smallints: "int2",
    Times: "timestamptz",
    Texts: "text",
    Byteas: "bytea",
}
OIDS: Final = {of: psycopg.adapters.types[name].oid for of, name in NAMES.items()}


def bigints(values: Sequence[int | None]) -> Bigints:
    """Encode 64-bit integers. Raises struct.error for a larger one."""
    return Bigints(_numbers(OIDS[Bigints], "q", 8, values))


def integers(values: Sequence[int | None]) -> Integers:
    """Encode 32-bit integers. Raises struct.error for a larger one."""
    return Integers(_numbers(OIDS[Integers], "i", 4, values))


def smallints(values: Sequence[int | None]) -> Smallints:
    """Encode 16-bit integers. Raises struct.error for a larger one."""
    return Smallints(_numbers(OIDS[Smallints], "h", 2, values))


def times(values_us: Sequence[int]) -> Times:
    """Encode points in time, microseconds since 1970."""
    return Times(_numbers(OIDS[Times], "q", 8, [value - US_TO_2000 for value in values_us]))


def texts(values: Iterable[str | None]) -> Texts:
    """Encode strings. Raises UnicodeError for half a surrogate pair."""
    return Texts(_strings(OIDS[Texts], [None if value is None else value.encode() for value in values]))


def byteas(values: Sequence[bytes | None]) -> Byteas:
    """Encode bytes."""
    return Byteas(_strings(OIDS[Byteas], values))


def _numbers(oid: int, letter: str, size: int, values: Sequence[int | None]) -> bytes:
    if None in values:
        one = struct.Struct(f">{letter}")
        return _strings(oid, [None if value is None else one.pack(value) for value in values])
    flat: list[int | None] = [size] * (2 * len(values))
    flat[1::2] = values
    return _head(oid, len(values), nulls=False) + struct.pack(">" + f"i{letter}" * len(values), *flat)


def _strings(oid: int, values: Sequence[bytes | None]) -> bytes:
    length = LENGTH.pack
    body = [NULL if value is None else length(len(value)) + value for value in values]
    return _head(oid, len(values), nulls=True) + b"".join(body)


def _head(oid: int, count: int, *, nulls: bool) -> bytes:
    """Dimensions, whether there may be nulls, the type; of the one dimension its length and where it begins."""
    return struct.pack(">iiIii", 1, nulls, oid, count, 1) if count else struct.pack(">iiI", 0, 0, oid)


def _register(of: type[Array], name: str) -> None:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = psycopg.adapters.types[name].array_oid

        def dump(self, obj: Array) -> bytes:
            return obj

    psycopg.adapters.register_dumper(of, ArrayDumper)


for _of, _name in NAMES.items():
    _register(_of, _name)
