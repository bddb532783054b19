"""Markup from strangers, made safe to parse: what is left of it costs a parser time in proportion to its length.

A tree builder is quadratic in the attributes of a tag, and in depth times tags (200 000 nested divs in 1 MB took a
minute). Pure; nothing here understands a page.
"""

import re
from typing import Final

_SMALL_CHARS: Final = 16_384  # the worst page of this length parses in 0.05 s
_MOST_STEPS: Final = 2_000_000  # tags times depth: about 0.5 s for the worst, twice what the longest real pages have
_LEAST_DEPTH: Final = 10  # assumed, so that tags alone are bounded too

# Every "<letter" of the input is consumed by one match and put out without attributes, whatever quotes or ends of file
# follow; possessive, so that no input makes it go back.
_COSTLY: Final = re.compile(
    r"""<(?P<raw>script|style)\b.*?(?:</(?P=raw)\b[^>]*+>|\Z)"""
    r"""|<!--.*?(?:-->|\Z)"""
    r"""|<(?P<name>/?[a-z][^\s/>]*+)(?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+)?+)*+(?:>|\Z)""",
    re.IGNORECASE | re.DOTALL,
)
_TAG: Final = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
# Elements that do not stay open when their like begins again, so that they make no depth.
_FLAT: Final = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"),
        *("p", "li", "dt", "dd", "option", "tr", "td", "th", "thead", "tbody"),
    }
)


def tame(markup: str) -> str:
    """The markup without scripts, styles, comments and attributes if it is long; "" if it cannot be parsed in time."""
    if markup.count("<") * _LEAST_DEPTH > _MOST_STEPS:
        return ""
    if len(markup) > _SMALL_CHARS:
        markup = _COSTLY.sub(_without_attributes, markup)
    return "" if _is_too_deep(markup) else markup


def _without_attributes(tag: re.Match[str]) -> str:
    name = tag["name"]
    return f"<{name}>" if name else " "


def _is_too_deep(markup: str) -> bool:
    tags = markup.count("<")
    if tags * tags < 2 * _MOST_STEPS:  # half of them deep and the other half beside that
        return False
    depth, deepest = 0, _LEAST_DEPTH
    for seen, tag in enumerate(_TAG.finditer(markup)):
        if seen * deepest > _MOST_STEPS:
            return True
        if tag[2].lower() not in _FLAT:
            depth = max(0, depth - 1) if tag[1] else depth + 1
            deepest = max(deepest, depth)
    return False
