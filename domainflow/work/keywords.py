"""Which keywords stand in a page, how often, and in what words.

Pure. Compiled once for a set of rules, so that twenty thousand cost little more a page than twenty.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

import re2
from ahocorasick_rs import AhoCorasick

from domainflow.errors import InvalidInput
from domainflow.spec import KeywordRule
from domainflow.vocabulary import KeywordRuleType
from domainflow.work.port import Match

_MATCH_CHARS: Final = 200  # of a hit that are kept in a snippet
_SEARCHED_CHARS: Final = 1_000_000  # beyond a book's length a page is there to cost time

_Span: TypeAlias = tuple[int, int]  # [start, stop) in the text as normalised, not folded


class _Found(Protocol):
    def span(self) -> _Span: ...


class _Pattern(Protocol):
    def finditer(self, text: str) -> Iterator[_Found]: ...


class _Text:
    """A text normalised to NFKC, its folded form, and the way back from a place in the latter."""

    def __init__(self, text: str) -> None:
        self.shown = unicodedata.normalize("NFKC", text[:_SEARCHED_CHARS])
        self.folded = self.shown.casefold()
        self._origin: list[int] | None = None

    def origin(self, place: int) -> int:
        """The place in `shown` of the character whose folded form stands at `place`."""
        if len(self.shown) == len(self.folded):  # nearly always: no ß, no ligature
            return place
        if self._origin is None:
            self._origin = [at for at, character in enumerate(self.shown) for _ in character.casefold()]
            self._origin.append(len(self.shown))
        return self._origin[place]


class KeywordIndex:
    """A set of rules, compiled.

    String rules match whole words: where the keyword begins (or ends) with a letter, digit or underscore, no such
    character may stand before (or after) it. Text and keyword are compared in NFKC, casefolded unless the rule is
    case-sensitive; every occurrence counts, overlapping ones too. Regex rules are RE2 over the NFKC text, each
    non-empty, non-overlapping match counts. Only the first 1 000 000 characters of a text are searched.
    """

    def __init__(self, rules: tuple[KeywordRule, ...]) -> None:
        """Compile. Raises InvalidInput for an expression that RE2 does not take or a keyword without characters."""
        self._rules = rules
        strings = [(place, rule) for place, rule in enumerate(rules) if rule.kind is KeywordRuleType.STRING]
        folded = [(place, _Text(rule.text).folded) for place, rule in strings if not rule.case_sensitive]
        exact = [(place, _Text(rule.text).shown) for place, rule in strings if rule.case_sensitive]
        self._folded = _Strings(folded)
        self._exact = _Strings(exact)
        self._patterns = [
            (place, _compile(place, rule)) for place, rule in enumerate(rules) if rule.kind is KeywordRuleType.REGEX
        ]

    def find(self, title: str, text: str) -> tuple[Match, ...]:
        """A `Match` for each rule that hits title or text, in the order of the rules.

        The snippet is of the first hit in the text, else of the first in the title.
        """
        shown_title, shown_text = _Text(title), _Text(text)
        in_title, in_text = self._spans(shown_title), self._spans(shown_text)
        return tuple(
            self._match(place, in_title.get(place, []), in_text.get(place, []), (shown_title.shown, shown_text.shown))
            for place in sorted(in_title.keys() | in_text.keys())
        )

    def _match(self, place: int, title: list[_Span], text: list[_Span], shown: tuple[str, str]) -> Match:
        rule = self._rules[place]
        first = _snippet(shown[1], min(text), rule) if text else _snippet(shown[0], min(title), rule)
        return Match(rule.text, rule.category, len(title) + len(text), bool(title), first)

    def _spans(self, text: _Text) -> dict[int, list[_Span]]:
        """Where each rule hits."""
        found: dict[int, list[_Span]] = {}
        for place, (start, stop) in self._folded.find(text.folded):
            found.setdefault(place, []).append((text.origin(start), text.origin(stop)))
        for place, span in self._exact.find(text.shown):
            found.setdefault(place, []).append(span)
        for place, pattern in self._patterns:
            spans = [match.span() for match in pattern.finditer(text.shown)]
            if spans := [(start, stop) for start, stop in spans if start < stop]:
                found[place] = spans
        return found


class _Strings:
    """Aho-Corasick over the distinct needles, each with the places of its rules."""

    def __init__(self, needles: list[tuple[int, str]]) -> None:
        places: dict[str, list[int]] = {}
        for place, needle in needles:
            if not needle.strip():
                raise InvalidInput(f"keywords[{place}]: has no character to look for")
            places.setdefault(needle, []).append(place)
        self._places = list(places.values())
        self._automaton = AhoCorasick(list(places)) if places else None

    def find(self, text: str) -> Iterator[tuple[int, _Span]]:
        if self._automaton is None:
            return
        for needle, start, stop in self._automaton.find_matches_as_indexes(text, overlapping=True):
            if _is_whole(text, start, stop):
                for place in self._places[needle]:
                    yield place, (start, stop)


def _is_whole(text: str, start: int, stop: int) -> bool:
    cut_before = start > 0 and _is_word(text[start - 1]) and _is_word(text[start])
    return not cut_before and not (stop < len(text) and _is_word(text[stop]) and _is_word(text[stop - 1]))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _compile(place: int, rule: KeywordRule) -> _Pattern:
    options = re2.Options()
    options.case_sensitive = rule.case_sensitive
    options.log_errors = False
    try:
        pattern: _Pattern = re2.compile(rule.text, options)
    except re2.error:
        raise InvalidInput(f"keyword_rules[{place}]: not a regular expression that RE2 takes: {rule.text!r}") from None
    return pattern


def _snippet(text: str, span: _Span, rule: KeywordRule) -> str:
    start, stop = span[0], min(span[1], span[0] + _MATCH_CHARS)
    return re.sub(r"\s+", " ", text[max(0, start - rule.context_chars) : stop + rule.context_chars]).strip()


@lru_cache(maxsize=8)
def index_of(rules: tuple[KeywordRule, ...]) -> KeywordIndex:
    """The compiled rules, kept for the next batch of the same campaign. Raises as `KeywordIndex`."""
    return KeywordIndex(rules)
