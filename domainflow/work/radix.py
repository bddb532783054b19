"""Names of a range of offsets, by mixed radix: the right-most digits are spelled out once, the rest is a prefix.

A name is a function of (source, offset), so any host makes any range at any time. Nothing here reads a file, checks a
source's rules or holds more than one range and one block of 4 096 tails a source.
"""

from functools import lru_cache
from itertools import product
from math import prod
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from domainflow.spec import Pattern, Words
from domainflow.vocabulary import PatternType
from domainflow.work.hostnames import MAX_NAME_CHARS, Fault, encoded, encoded_labels

TAIL_NAMES: Final = 4096  # 0.3 MB; a larger block gains nothing, since a batch is about as long
_PLAIN: Final = "a"  # a character that is valid wherever a variable part may stand

Digit = tuple[str, ...]


class _Table(Struct, frozen=True):
    """A pattern, ready to be counted."""

    digits: tuple[Digit, ...]  # left of the tail, most significant first
    tail: tuple[str, ...]  # what the remaining digits spell, in order
    valid_tail: tuple[str | None, ...]  # likewise; None: valid with no prefix. Empty: depends on the prefix
    plain_tail: str  # valid with every valid prefix


def pattern_names(pattern: Pattern, start: int, stop: int) -> list[str | None]:
    """The names of offsets [start, stop), in order; None where the combination is no host name."""
    table = _table(pattern)
    size = len(table.tail)
    names: list[str | None] = []
    for block in range(start // size, -(-stop // size)):
        first = block * size
        names += _block_names(table, _spelled(table.digits, block), max(start - first, 0), min(stop - first, size))
    return names


def word_names(source: Words, words: list[str], start: int, stop: int) -> list[str | None]:
    """The names of offsets [start, stop), in order; None where the combination is no host name.

    `words` are the words of that range: from number `start // T` to the one of `stop - 1`, with T the TLDs.
    """
    tlds = source.tlds
    names: list[str | None] = []
    for number, word in enumerate(words, start // len(tlds)):
        first = number * len(tlds)
        names += _word_block(source, word, tlds[max(start - first, 0) : stop - first])
    return names


def digits_of(pattern: Pattern) -> tuple[Digit, ...]:
    """The variable characters from left to right, each carrying the fixed text that stands before (or behind) it."""
    length, alphabet = pattern.variable_length, pattern.character_set
    match pattern.pattern_type:
        case PatternType.PREFIX:
            return (*_plain_digits(length - 1, alphabet), _digit("", alphabet, pattern.constant + pattern.tld))
        case PatternType.SUFFIX if length == 1:
            return (_digit(pattern.constant, alphabet, pattern.tld),)
        case PatternType.SUFFIX:
            middle = _plain_digits(length - 2, alphabet)
            return (_digit(pattern.constant, alphabet), *middle, _digit("", alphabet, pattern.tld))
        case PatternType.BOTH:
            first = (*_plain_digits(length - 1, alphabet), _digit("", alphabet, pattern.constant))
            return (*first, *_plain_digits(length - 1, alphabet), _digit("", alphabet, pattern.tld))


def _word_block(source: Words, word: str, tlds: tuple[str, ...]) -> list[str | None]:
    # An A-label that grows is the A-label of something nobody meant.
    grows = source.constant[:1] not in {"", "."}
    stem = Fault.BAD_IDNA if grows and word.startswith("xn--") else encoded_labels(word + source.constant)
    if isinstance(stem, Fault):
        return [None] * len(tlds)
    room = MAX_NAME_CHARS - len(stem)
    return [stem + tld if len(tld) <= room else None for tld in tlds]


def _block_names(table: _Table, prefix: str, start: int, stop: int) -> list[str | None]:
    if not table.valid_tail:
        return [_name_or_none(prefix + tail) for tail in table.tail[start:stop]]
    if _name_or_none(prefix + table.plain_tail) is None:
        return [None] * (stop - start)
    return [tail and prefix + tail for tail in table.valid_tail[start:stop]]


def _name_or_none(text: str) -> str | None:
    name = encoded(text)
    return None if isinstance(name, Fault) else name


@lru_cache(maxsize=16)  # a worker runs a few campaigns at once
def _table(pattern: Pattern) -> _Table:
    digits = digits_of(pattern)
    left = len(digits) - 1
    while left > 0 and prod(map(len, digits[left - 1 :])) <= TAIL_NAMES:
        left -= 1
    tail = tuple(map("".join, product(*digits[left:])))
    plain = ["".join(digit) for digit in digits_of(replace(pattern, character_set=_PLAIN))]
    # Between ASCII characters that are not dots, whether a name is valid is decided place by place, so a prefix and a
    # tail can be judged apart, each beside a plain other half. IDNA judges a label as a whole.
    apart = (pattern.character_set + pattern.constant).isascii()
    plain_prefix = "".join(plain[:left])
    return _Table(
        digits=digits[:left],
        tail=tail,
        valid_tail=tuple(_valid_with(plain_prefix, text) for text in tail) if apart else (),
        plain_tail="".join(plain[left:]),
    )


def _valid_with(prefix: str, tail: str) -> str | None:
    return None if isinstance(encoded(prefix + tail), Fault) else tail


def _plain_digits(count: int, alphabet: str) -> tuple[Digit, ...]:
    return (tuple(alphabet),) * count


def _digit(before: str, alphabet: str, behind: str = "") -> Digit:
    return tuple(before + character + behind for character in alphabet)


def _spelled(digits: tuple[Digit, ...], number: int) -> str:
    parts = []
    for digit in reversed(digits):
        number, value = divmod(number, len(digit))
        parts.append(digit[value])
    return "".join(reversed(parts))
