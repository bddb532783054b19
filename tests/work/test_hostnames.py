"""Which texts are host names, what they become, and which rule the others break."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainflow.work.hostnames import Fault, encoded, normalise, normalise_label, normalise_suffix

LABEL_63 = "a" * 63
NAME_253 = ".".join([LABEL_63, LABEL_63, LABEL_63, "a" * 61])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("example.com", "example.com"),
        ("  Example.COM.\r\n", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER。example", "xn--bcher-kva.example"),
        ("\uff45xample.com", "example.com"),
        ("faß.de", "xn--fa-hia.de"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("XN--Bcher-KVA.example", "xn--bcher-kva.example"),
        ("xn--0000000000.com", "xn--0000000000.com"),  # does not decode, but DNS takes it
        ("1.2.3.4.in-addr.arpa", "1.2.3.4.in-addr.arpa"),
        ("a--b.x", "a--b.x"),
        (f"{LABEL_63}.com", f"{LABEL_63}.com"),
        (NAME_253, NAME_253),
        (f"{NAME_253}.", NAME_253),
    ],
)
def test_a_valid_text_becomes_one_lower_case_a_label_name(text: str, name: str) -> None:
    assert normalise(text) == name
    assert not isinstance(normalise(text), Fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.EMPTY),
        ("  ", Fault.EMPTY),
        (".", Fault.EMPTY),
        (f"{NAME_253}a", Fault.TOO_LONG),
        (f"{'ö' * 40}.{'ö' * 40}.{'ö' * 40}.{'aö' * 20}.{'zö' * 20}.{'xö' * 20}.com", Fault.TOO_LONG),
        ("ü" * 100_000, Fault.TOO_LONG),
        (f"{LABEL_63}a.com", Fault.LABEL_TOO_LONG),
        (f"{'ö' * 63}a.com", Fault.LABEL_TOO_LONG),
        ("a..com", Fault.EMPTY_LABEL),
        (".a.com", Fault.EMPTY_LABEL),
        ("a.com..", Fault.EMPTY_LABEL),
        ("under_score.com", Fault.BAD_CHARACTER),
        ("two words.com", Fault.BAD_CHARACTER),
        ("http://a.com", Fault.BAD_CHARACTER),
        ("*.a.com", Fault.BAD_CHARACTER),
        ("a@b.com", Fault.BAD_CHARACTER),
        ("a.com\nb.com", Fault.BAD_CHARACTER),
        ("nul\0.com", Fault.BAD_CHARACTER),
        ("ö_.com", Fault.BAD_CHARACTER),
        ("\udcff.com", Fault.BAD_CHARACTER),
        ("-a.com", Fault.EDGE_HYPHEN),
        ("a-.com", Fault.EDGE_HYPHEN),
        ("a.-", Fault.EDGE_HYPHEN),
        ("\u0301a.com", Fault.BAD_IDNA),
        ("aא.com", Fault.BAD_IDNA),
        ("localhost", Fault.SINGLE_LABEL),
        ("ö", Fault.SINGLE_LABEL),
        ("127.0.0.1", Fault.NUMERIC_TLD),
        ("127.1", Fault.NUMERIC_TLD),
        ("a.0x7f", Fault.NUMERIC_TLD),
    ],
)
def test_any_other_text_is_refused_by_the_first_rule_it_breaks(text: str, fault: Fault) -> None:
    assert normalise(text) is fault


def test_the_vocabulary_of_faults_is_fixed() -> None:
    assert [fault.value for fault in Fault] == [
        "empty",
        "too_long",
        "bad_character",
        "bad_idna",
        "empty_label",
        "label_too_long",
        "edge_hyphen",
        "single_label",
        "numeric_tld",
    ]


@pytest.mark.parametrize(
    ("text", "suffix"),
    [("com", ".com"), (".CO.uk", ".co.uk"), ("рф", ".xn--p1ai"), (" net. ", ".net")],
)
def test_a_suffix_has_one_leading_dot(text: str, suffix: str) -> None:
    assert normalise_suffix(text) == suffix


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.EMPTY),
        (".", Fault.EMPTY),
        ("..com", Fault.EMPTY_LABEL),
        ("c_m", Fault.BAD_CHARACTER),
        ("-com", Fault.EDGE_HYPHEN),
        ("co.1", Fault.NUMERIC_TLD),
        ("1", Fault.NUMERIC_TLD),
    ],
)
def test_a_suffix_obeys_the_rules_of_labels(text: str, fault: Fault) -> None:
    assert normalise_suffix(text) is fault


def test_a_label_has_no_dot_and_may_be_a_number() -> None:
    assert normalise_label(" Zürich ") == "xn--zrich-kva"
    assert normalise_label("123") == "123"
    assert normalise_label("a.b") is Fault.BAD_CHARACTER
    assert normalise_label("a。ö") is Fault.BAD_CHARACTER


def test_encoding_trims_nothing() -> None:
    assert encoded("a.com") == "a.com"
    assert encoded(" a.com") is Fault.BAD_CHARACTER
    assert encoded("a.com.") is Fault.EMPTY_LABEL


@given(st.text(max_size=80) | st.from_regex(r"[a-zA-Z0-9öß.-]{1,80}", fullmatch=True))
def test_what_is_normalised_stays_as_it_is(text: str) -> None:
    name = normalise(text)
    if not isinstance(name, Fault):
        assert normalise(name) == name
        assert name == name.lower()
        assert name.isascii()
