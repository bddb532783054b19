"""What goes to standard output: tables for people, or JSON. Nothing here knows what it prints."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_EXACT: Final = 2**53  # beyond it, readers that hold numbers as doubles would change an integer
PLAIN_WIDTH: Final = 160  # columns, where no terminal says


class Output:
    """Standard output of one command."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        plain = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        # Names of campaigns are other people's text: no markup, no emoji, no guessed colours.
        self.console = Console(markup=False, emoji=False, highlight=False, width=PLAIN_WIDTH if plain else None)

    def object(self, value: object) -> None:
        """Print one JSON object on a line of its own: a Struct or a mapping."""
        print(encode(value), flush=True)  # noqa: T201 - standard output is what this class is for

    def line(self, text: str, style: str = "") -> None:
        """Print one line for people, at once."""
        self.console.print(Text(text, style=style), soft_wrap=True)
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Say something beside the results: a line, or an object with nothing else."""
        if self.json:
            self.object({"note": text})
        else:
            self.line(text)

    def rows(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table for people; a column whose name starts with `#` holds numbers."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in columns:
            numbers = column.startswith("#")
            table.add_column(column.removeprefix("#"), justify="right" if numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)


def encode(value: object) -> str:
    """One line of JSON; times are ISO 8601, integers beyond 2**53 are strings."""
    return msgspec.json.encode(_exact(msgspec.to_builtins(value))).decode()


def _exact(value: object) -> object:
    match value:
        case int() if not isinstance(value, bool) and abs(value) > MOST_EXACT:
            return str(value)
        case Mapping():
            return {key: _exact(held) for key, held in value.items()}
        case list() | tuple():
            return [_exact(held) for held in value]
        case _:
            return value
