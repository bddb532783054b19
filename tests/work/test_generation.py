"""Sources: canonical form, size, identity, and names by offset."""

import asyncio
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainflow.errors import InvalidInput
from domainflow.spec import (
    DnsPersona,
    HttpPersona,
    Names,
    NamesSource,
    Pattern,
    PatternSource,
    Source,
    Words,
    WordsSource,
)
from domainflow.vocabulary import PatternType, Phase
from domainflow.work import generation, hostnames
from domainflow.work.port import BatchSpec

INT64_MAX = 9_223_372_036_854_775_807
LETTERS_AND_DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"


def pattern_source(  # noqa: PLR0913 - a row of a table names what differs
    pattern_type: PatternType = PatternType.PREFIX,
    *,
    length: int = 2,
    alphabet: str = "abc",
    constant: str = "x",
    tld: str = ".com",
    count: int = 0,
) -> PatternSource:
    return PatternSource(
        pattern_type=pattern_type,
        variable_length=length,
        character_set=alphabet,
        constant=constant,
        tld=tld,
        count=count,
    )


def at(source: Source, *offsets: int) -> list[str | None]:
    return [name for offset in offsets for name in generation.names(source, offset, offset + 1)]


# --- golden values


@pytest.mark.parametrize(
    ("pattern_type", "length", "offsets", "labels"),
    [
        (PatternType.PREFIX, 2, (0, 1, 2, 3, 8), ["aax", "abx", "acx", "bax", "ccx"]),
        (PatternType.SUFFIX, 2, (0, 1, 2, 3, 8), ["xaa", "xab", "xac", "xba", "xcc"]),
        (PatternType.BOTH, 1, (0, 1, 3, 5, 8), ["axa", "axb", "bxa", "bxc", "cxc"]),
        (PatternType.BOTH, 2, (40,), ["bbxbb"]),
        (PatternType.PREFIX, 1, (0, 2), ["ax", "cx"]),
        (PatternType.SUFFIX, 1, (0, 2), ["xa", "xc"]),
    ],
)
def test_offsets_spell_fixed_width_numbers_most_significant_first(
    pattern_type: PatternType, length: int, offsets: tuple[int, ...], labels: list[str]
) -> None:
    pattern = generation.canonical(pattern_source(pattern_type, length=length))
    assert at(pattern, *offsets) == [f"{label}.com" for label in labels]


@pytest.mark.parametrize(
    ("alphabet", "constant", "tld"),
    [("abc", "x", ".com"), ("cba", "X", "com"), ("AABBCC", "x", "COM."), ("bacabca", "x", " .Com")],
)
def test_writings_of_one_pattern_have_one_hash(alphabet: str, constant: str, tld: str) -> None:
    pattern = generation.canonical(pattern_source(alphabet=alphabet, constant=constant, tld=tld))
    assert generation.source_hash(pattern) == "56dff8d01f966d989e686cb89aa13c3d2ccde354759db7ec78e75e18d244b6ff"
    assert pattern == Pattern(
        pattern_type=PatternType.PREFIX, variable_length=2, character_set="abc", constant="x", tld=".com"
    )


def test_words_and_names_are_known_by_the_hash_of_their_bytes() -> None:
    words = Words(sha256="ab" * 32, words=2, constant="x", tlds=(".com", ".net"))
    compact = f'{{"words":"{"ab" * 32}","constantString":"x","tlds":[".com",".net"]}}'
    assert generation.source_hash(words) == hashlib.sha256(compact.encode()).hexdigest()
    names = Names(sha256="cd" * 32, names=2)
    assert generation.source_hash(names) == hashlib.sha256(f'{{"names":"{"cd" * 32}"}}'.encode()).hexdigest()


@pytest.mark.parametrize(
    ("source", "size"),
    [
        (pattern_source(), 9),
        (pattern_source(PatternType.BOTH, length=2), 81),
        (pattern_source(alphabet=LETTERS_AND_DIGITS, length=12), 4_738_381_338_321_616_896),
        (pattern_source(alphabet="aAa", length=20), 1),
    ],
)
def test_the_space_is_the_alphabet_to_the_power_of_the_places(source: PatternSource, size: int) -> None:
    assert generation.space(generation.canonical(source)) == size


def test_outside_of_ascii_labels_are_encoded_as_a_whole() -> None:
    pattern = generation.canonical(pattern_source(alphabet="ÜaÄ", constant="Ö", tld="рф", length=1))
    assert (pattern.character_set, pattern.constant, pattern.tld) == ("aäü", "ö", ".xn--p1ai")
    assert generation.names(pattern, 0, 3) == ["xn--a-1ga.xn--p1ai", "xn--4ca0b.xn--p1ai", "xn--ndal.xn--p1ai"]


# --- laws


def by_divmod(pattern: Pattern, offset: int) -> str | None:
    length = pattern.variable_length
    places = 2 * length if pattern.pattern_type is PatternType.BOTH else length
    digits = []
    for _ in range(places):
        offset, digit = divmod(offset, len(pattern.character_set))
        digits.append(pattern.character_set[digit])
    variable = "".join(reversed(digits))
    label = {
        PatternType.PREFIX: variable + pattern.constant,
        PatternType.SUFFIX: pattern.constant + variable,
        PatternType.BOTH: variable[:length] + pattern.constant + variable[length:],
    }[pattern.pattern_type]
    name = hostnames.encoded(label + pattern.tld)
    return None if isinstance(name, hostnames.Fault) else name


patterns = st.builds(
    Pattern,
    pattern_type=st.sampled_from(PatternType),
    variable_length=st.integers(1, 4),
    character_set=st.sampled_from(["a", "ab", "-ab", "-_a", "-09az", LETTERS_AND_DIGITS, "-äö", "aא"]),
    constant=st.sampled_from(["x", "x-", "-x", "shop.x", "ö", "a" * 50, "a" * 61]),
    tld=st.sampled_from([".com", ".co.uk", ".xn--p1ai"]),
)


@st.composite
def ranges_of_patterns(draw: st.DrawFn) -> tuple[Pattern, int, int, int]:
    pattern = draw(patterns)
    size = generation.space(pattern)
    near = draw(st.integers(0, size))
    bounds = st.integers(near, min(size, near + 300))
    start, middle, stop = sorted((draw(bounds), draw(bounds), draw(bounds)))
    return pattern, start, middle, stop


@given(ranges_of_patterns())
def test_a_range_is_what_its_offsets_spell_one_by_one(case: tuple[Pattern, int, int, int]) -> None:
    pattern, start, _, stop = case
    assert generation.names(pattern, start, stop) == [by_divmod(pattern, offset) for offset in range(start, stop)]


@given(ranges_of_patterns())
def test_two_neighbouring_ranges_are_one(case: tuple[Pattern, int, int, int]) -> None:
    pattern, start, middle, stop = case
    halves = generation.names(pattern, start, middle) + generation.names(pattern, middle, stop)
    assert halves == generation.names(pattern, start, stop)


@pytest.mark.parametrize("pattern_type", PatternType)
def test_no_two_offsets_share_a_name(pattern_type: PatternType) -> None:
    pattern = generation.canonical(pattern_source(pattern_type, alphabet="-aé1x", constant="n-n"))
    valid = [name for name in generation.names(pattern, 0, generation.space(pattern)) if name is not None]
    assert 0 < len(set(valid)) == len(valid) < generation.space(pattern)


def test_a_range_across_blocks_deep_in_a_large_space_is_exact() -> None:
    pattern = generation.canonical(pattern_source(alphabet=LETTERS_AND_DIGITS, length=12))
    start = 4_738_381_338_321_616_896 - 5000
    made = generation.names(pattern, start, start + 5000)
    assert made == [by_divmod(pattern, offset) for offset in range(start, start + 5000)]
    assert made[-1] == "zzzzzzzzzzzzx.com"


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (2, 1), (0, 10), (9, 10)])
def test_offsets_outside_of_the_space_are_an_error(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match=rf"offsets {start} to {stop} are not within the 9 of the source"):
        generation.names(generation.canonical(pattern_source()), start, stop)


# --- refusals


BAD_PATTERNS = [
    (
        pattern_source(PatternType.BOTH, constant=""),
        "source.constant: must not be empty between two variable parts",
    ),
    (pattern_source(tld=""), "source.tld: '' is no TLD (empty)"),
    (pattern_source(tld="c_m"), "source.tld: 'c_m' is no TLD (bad_character)"),
    (pattern_source(tld="..com"), "source.tld: '..com' is no TLD (empty_label)"),
    (pattern_source(tld="1"), "source.tld: '1' is no TLD (numeric_tld)"),
    (pattern_source(tld="a\nb"), r"source.tld: 'a\nb' is no TLD (bad_character)"),
    (
        pattern_source(alphabet="ab."),
        "source.character_set: '.' cannot be a character of a variable part",
    ),
    (
        pattern_source(alphabet="e\u0301"),
        r"source.character_set: '\u0301' cannot be a character of a variable part",
    ),
    (
        pattern_source(alphabet="a\ufb01"),
        r"source.character_set: '\ufb01' cannot be a character of a variable part",
    ),
    (
        pattern_source(alphabet="-"),
        "source.character_set: '-' makes only invalid names here (edge_hyphen)",
    ),
    (
        pattern_source(alphabet="_!"),
        "source.character_set: '!_' makes only invalid names here (bad_character)",
    ),
    (
        pattern_source(constant="x_"),
        "source.constant: 'x_' makes every name of this pattern invalid (bad_character)",
    ),
    (
        pattern_source(constant="x-"),
        "source.constant: 'x-' makes every name of this pattern invalid (edge_hyphen)",
    ),
    (
        pattern_source(length=20, alphabet="a", constant="b" * 44),
        f"source.constant: '{'b' * 44}' makes every name of this pattern invalid (label_too_long)",
    ),
    (pattern_source(constant="ö_"), r"source.constant: '\xf6_' cannot be part of a name (bad_character)"),
    (
        pattern_source(alphabet=LETTERS_AND_DIGITS, length=13),
        f"source.variable_length: makes a space of 170581728179578208256 names, more than {INT64_MAX}",
    ),
    (pattern_source(count=10), "source.count: 10 names are more than the 9 of the source"),
]


@pytest.mark.parametrize(("source", "message"), BAD_PATTERNS)
def test_a_pattern_that_cannot_work_is_refused_with_key_and_rule(source: PatternSource, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        generation.check(source)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (WordsSource(words="w", tlds=("com", "c_m")), "source.tlds[1]: 'c_m' is no TLD (bad_character)"),
        (
            WordsSource(words="w", constant="x.", tlds=("com",)),
            "source.constant: 'x.' makes every name invalid (empty_label)",
        ),
    ],
)
def test_a_words_source_that_cannot_work_is_refused_with_key_and_rule(source: WordsSource, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        generation.check(source)
    assert str(refusal.value) == message


def test_sound_sources_pass() -> None:
    generation.check(pattern_source(count=9))
    generation.check(pattern_source(PatternType.PREFIX, constant=""))
    generation.check(pattern_source(alphabet="a_"))  # its combinations with _ are counted, not refused
    generation.check(WordsSource(words="w", constant="-shop", tlds=("com",)))
    generation.check(NamesSource(file="names.txt"))


# --- the phase


def batch(source: Source, start: int, stop: int, *, base: int = 0, file: str = "") -> BatchSpec:
    return BatchSpec(
        item=7,
        fence=3,
        attempt=1,
        phase=Phase.DOMAIN_GENERATION,
        start=start,
        stop=stop,
        source=source,
        base=base,
        source_file=file,
        dns=DnsPersona(),
        http=HttpPersona(),
    )


def test_a_batch_counts_valid_and_invalid_names_and_keeps_none() -> None:
    pattern = generation.canonical(pattern_source(alphabet="-ab", length=8))
    result = asyncio.run(generation.run(batch(pattern, 0, 5000, base=1000)))
    expected = [by_divmod(pattern, offset) for offset in range(1000, 6000)]
    assert result.counts == (("invalid", expected.count(None)), ("valid", 5000 - expected.count(None)))
    assert 0 < expected.count(None) < 5000
    assert (result.item, result.fence, result.outcomes, result.hits) == (7, 3, b"", ())
