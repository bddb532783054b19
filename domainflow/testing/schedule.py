"""One order of events, as what is different in it from the natural one: points held back, faults that befall.

The natural order is the one in which things could first have happened. A schedule is a value; it is written in one line
and read back, which is how a story is told again.
"""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from domainflow.errors import InvalidInput
from domainflow.testing import points

_UNTIL = "~"
_PRESSED = "pressed"


class Schedule(Struct, frozen=True, kw_only=True):
    """What is different from the natural order, and the seed of everything else that chance decides."""

    seed: int = 0  # of the story's chance: jitter, ids
    pressed: bool = False  # time may pass although something could happen; else it passes when nothing can
    held: Mapping[str, str | None] = {}  # point -> the one it waits for; None: until nothing else can happen
    faults: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """One line, from which `parse` makes it again."""
        held = [name if until is None else f"{name}{_UNTIL}{until}" for name, until in self.held.items()]
        pressed = [_PRESSED] if self.pressed else []
        return " ".join([f"seed={self.seed}", *pressed, *held, *(f"+{fault}" for fault in sorted(self.faults))])

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read one back.

        Raises:
            InvalidInput: not such a line.
        """
        first, *rest = line.split() or [""]
        if not first.startswith("seed=") or not first[5:].isdecimal():
            raise InvalidInput(f"a schedule begins with seed=NUMBER, not with {first!r}")
        faults = frozenset(word[1:] for word in rest if word.startswith("+"))
        held = dict(_held(word) for word in rest if not word.startswith("+") and word != _PRESSED)
        return cls(seed=int(first[5:]), pressed=_PRESSED in rest, held=held, faults=faults)

    def sentence(self) -> str:
        """What is different, for people."""
        held = [f"{points.words(name)} is held back{_until(until)}" for name, until in self.held.items()]
        clauses = [*held, *(f"{fault} befalls" for fault in sorted(self.faults))]
        return "; ".join(clauses) if clauses else "everything happens in its natural order"


def _held(word: str) -> tuple[str, str | None]:
    name, _, until = word.partition(_UNTIL)
    return name, until or None


def _until(until: str | None) -> str:
    return " until nothing else can happen" if until is None else f" until after {points.words(until)}"
