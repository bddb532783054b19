import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainflow.errors import InvalidInput
from domainflow.spec import KeywordRule
from domainflow.vocabulary import KeywordRuleType
from domainflow.work.keywords import KeywordIndex
from domainflow.work.port import Match


def find(text: str, *rules: KeywordRule, title: str = "") -> tuple[Match, ...]:
    return KeywordIndex(rules).find(title, text)


def counts(text: str, *keywords: str) -> dict[str, int]:
    return {match.keyword: match.count for match in find(text, *(KeywordRule(text=keyword) for keyword in keywords))}


def test_case_width_and_composition_do_not_matter() -> None:
    assert counts("CAFÉ, cafe\u0301 and ｃａｆé", "café") == {"café": 3}


def test_only_whole_words_count() -> None:
    assert counts("shop shops workshop shop_1 shop-a (shop)", "shop") == {"shop": 3}


def test_a_keyword_that_ends_in_a_sign_needs_no_boundary_there() -> None:
    assert counts("c++ c++11 abc++", "c++") == {"c++": 2}


def test_keywords_inside_each_other_all_count() -> None:
    assert counts("free shipping", "free", "free shipping", "shipping") == {
        "free": 1,
        "free shipping": 1,
        "shipping": 1,
    }


def test_a_case_sensitive_rule_is_met_only_as_written() -> None:
    (match,) = find("IT it It", KeywordRule(text="IT", case_sensitive=True))
    assert match.count == 1


def test_title_and_text_are_counted_together_and_matches_come_in_the_order_of_the_rules() -> None:
    found = find("a b", KeywordRule(text="b", category="x"), KeywordRule(text="a"), title="A walk")
    assert [(m.keyword, m.category, m.count, m.in_title) for m in found] == [("b", "x", 1, False), ("a", "", 2, True)]


def test_the_snippet_is_of_the_first_hit_in_the_text() -> None:
    (match,) = find("one two Key four key", KeywordRule(text="key", context_chars=4), title="key")
    assert match.snippet == "two Key fou"


def test_a_snippet_stands_right_behind_letters_that_fold_to_more() -> None:
    (match,) = find("Straße ﬁn ß KEY end", KeywordRule(text="key", context_chars=2))
    assert match.snippet == "ß KEY e"


def test_sharp_s_is_found_by_its_folded_form() -> None:
    assert counts("Die STRASSE", "straße") == {"straße": 1}


def test_a_regular_expression_counts_each_match_and_is_case_insensitive() -> None:
    (match,) = find("ab12 AB3 é ab", KeywordRule(text="ab[0-9]+", kind=KeywordRuleType.REGEX, context_chars=0))
    assert (match.count, match.snippet) == (2, "ab12")


def test_an_expression_that_matches_nothing_at_all_places_is_no_match() -> None:
    assert find("abc", KeywordRule(text="x*", kind=KeywordRuleType.REGEX)) == ()


def test_an_expression_that_would_backtrack_for_ever_does_not() -> None:
    assert find("a" * 50_000, KeywordRule(text="(a+)+$b", kind=KeywordRuleType.REGEX)) == ()


def test_a_snippet_after_letters_outside_ascii_is_cut_at_characters() -> None:
    (match,) = find("ééé key", KeywordRule(text="k.y", kind=KeywordRuleType.REGEX, context_chars=1))
    assert match.snippet == "key"


@pytest.mark.parametrize(
    "rule", [KeywordRule(text="(", kind=KeywordRuleType.REGEX), KeywordRule(text=" ")], ids=["expression", "blank"]
)
def test_a_rule_that_cannot_be_used_is_refused(rule: KeywordRule) -> None:
    with pytest.raises(InvalidInput, match=r"\[0\]"):
        KeywordIndex((rule,))


def test_the_same_keyword_twice_is_two_matches() -> None:
    found = find("key", KeywordRule(text="key", category="a"), KeywordRule(text="KEY", category="b"))
    assert [(match.category, match.count) for match in found] == [("a", 1), ("b", 1)]


@given(st.lists(st.sampled_from(["free", "shop", "shops", "x", "-", "é"]), max_size=40))
def test_counts_of_words_are_those_of_the_words(words: list[str]) -> None:
    expected = {word: words.count(word) for word in ("shop", "free", "é") if word in words}
    assert counts(" ".join(words), "shop", "free", "é") == expected
