"""What happened, as a sequence diagram in text: a line of life for each actor and thread, an arrow for each message."""

import itertools
from collections.abc import Sequence
from typing import Final

from domainflow.testing.exchange import Passed

_NARROWEST: Final = 15
_WIDEST_PAGE: Final = 140
_MOST_LINES: Final = 60
_MOST_NAMES: Final = 8  # more lines of life nobody can follow


def diagram(passed: Sequence[Passed], held: Sequence[str], *, but: Sequence[str] = ()) -> str:
    """The last lines of it, oldest first.

    Args:
        passed: what arrived and what was taken out.
        held: points that were held back; their arrows are double.
        but: whoever is left out, the supervisor say.
    """
    shown = [each for each in passed if not {each.sender, each.receiver} & set(but)]
    names = list(dict.fromkeys(name for each in shown for name in (each.sender, each.receiver) if name))
    if not names:
        return ""
    if len(names) > _MOST_NAMES:
        return "\n".join(_cut([_sentence(each, held) for each in shown]))
    width = max(_NARROWEST, min(max(map(len, names)) + 4, _WIDEST_PAGE // len(names))) | 1  # odd: it has a middle
    head = "".join(name[: width - 1].center(width) for name in names)
    return "\n".join([head.rstrip(), *_cut([_line(each, names, width, held) for each in shown])])


def _cut(lines: Sequence[str]) -> list[str]:
    """The last of them, and as one those that say the same one after the other."""
    grouped = [(line, len(list(same))) for line, same in itertools.groupby(lines)]
    told = [line if times == 1 else f"{line}   ({times} times)" for line, times in grouped]
    return [*([f"… {len(told) - _MOST_LINES} earlier"] if len(told) > _MOST_LINES else []), *told[-_MOST_LINES:]]


def _sentence(each: Passed, held: Sequence[str]) -> str:
    if not each.sender:
        return f"    {each.receiver} handles {each.kind}"
    return f"{each.sender} {'==' if each.point in held else '--'} {each.kind} -> {each.receiver}"


def _line(each: Passed, names: Sequence[str], width: int, held: Sequence[str]) -> str:
    cells = ["|".center(width) for _ in names]
    if not each.sender:
        place = names.index(each.receiver)
        cells[place] = f"* {each.kind}"[: width - 1].center(width)
        return "".join(cells).rstrip()
    first, last = sorted((names.index(each.sender), names.index(each.receiver)))
    row = "".join(cells)
    start, stop = first * width + width // 2, last * width + width // 2
    stroke = "=" if each.point in held else "-"
    label = each.kind[: stop - start - 4].center(stop - start - 2, stroke)
    arrow = f"{label}>" if names.index(each.sender) == first else f"<{label}"
    return (row[: start + 1] + arrow + row[stop:]).rstrip()
