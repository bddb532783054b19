"""Rows as text: CSV for spreadsheets, JSON Lines for programs. Streams; closes nothing.

Titles and URLs come from strangers. A CSV cell that a spreadsheet would take for a formula (it begins with = + - @, a
tab, a carriage return or a line feed) gets an apostrophe before it, as OWASP advises; JSON Lines have the text as it
is.
"""

import csv
from collections.abc import Iterable
from typing import Final, TextIO

import msgspec

from domainflow.export.rows import Row

COLUMNS: Final = Row.__struct_fields__
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
MOST_EXACT: Final = 2**53  # above it a browser's numbers have holes


def write_csv(rows: Iterable[Row], file: TextIO) -> int:
    """Write a header and a line a row (RFC 4180: commas, CRLF); return how many rows.

    `file` is open with newline="" and in UTF-8. Lists are one cell: addresses separated by spaces, keywords as
    `keyword:count` separated by commas. What does not apply is empty.
    """
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    number = 0
    for number, row in enumerate(rows, 1):  # noqa: B007 - it is returned
        writer.writerow(_cells(row))
    return number


def write_jsonl(rows: Iterable[Row], file: TextIO) -> int:
    """Write an object a line, keys as in COLUMNS; return how many rows.

    Addresses are a list, keywords an object of counts, what does not apply is null or empty. Integers above 2**53 are
    strings, since browsers could not hold them.
    """
    encoder = msgspec.json.Encoder()
    number = 0
    for number, row in enumerate(rows, 1):  # noqa: B007 - it is returned
        fields = msgspec.structs.asdict(row)
        fields["position"] = _exact(row.position)
        fields["keywords"] = {keyword: _exact(count) for keyword, count in row.keywords}
        file.write(encoder.encode(fields).decode() + "\n")
    return number


def _cells(row: Row) -> list[str]:
    joined = {
        "addresses": " ".join(row.addresses),
        "keywords": ",".join(f"{keyword}:{count}" for keyword, count in row.keywords),
    }
    values = (joined.get(name, getattr(row, name)) for name in COLUMNS)
    return [_inert("" if value is None else str(value)) for value in values]


def _inert(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _exact(number: int) -> int | str:
    return str(number) if abs(number) > MOST_EXACT else number
