"""Names by offset out of frozen lists, and the canonical file that holds one."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainflow.errors import Corrupt, Unavailable
from domainflow.spec import DnsPersona, HttpPersona, Names, Words, WordsSource
from domainflow.vocabulary import Phase
from domainflow.work import generation
from domainflow.work.canonical_file import BLOCK_BYTES, CanonicalFile
from domainflow.work.port import BatchSpec


def frozen_words(folder: Path, words: list[str], *, constant: str = "", tlds: tuple[str, ...]) -> tuple[Words, Path]:
    sha256, file = canonical_bytes(folder, words)
    source = WordsSource(words="words.txt", constant=constant, tlds=tlds)
    return generation.canonical_words(source, sha256=sha256, words=len(words)), file


def canonical_bytes(folder: Path, lines: list[str]) -> tuple[str, Path]:
    content = "\n".join(lines).encode()
    file = folder / "canonical"
    file.write_bytes(content)
    return hashlib.sha256(content).hexdigest(), file


def test_words_count_through_their_tlds_first(tmp_path: Path) -> None:
    source, file = frozen_words(tmp_path, ["ant", "bee", "cow"], constant="-Hub", tlds=("net", ".COM", "com"))
    assert source.tlds == (".com", ".net")
    assert generation.space(source) == 6
    every = ["ant-hub.com", "ant-hub.net", "bee-hub.com", "bee-hub.net", "cow-hub.com", "cow-hub.net"]
    assert generation.names(source, 0, 6, file) == every
    for start in range(7):
        for stop in range(start, 7):
            assert generation.names(source, start, stop, file) == every[start:stop]


def test_a_word_that_grows_too_long_with_its_constant_or_tld_is_invalid(tmp_path: Path) -> None:
    long_tld = ".".join(["b" * 63, "b" * 63, "b" * 63])  # 191 characters, and the dot
    source, file = frozen_words(tmp_path, ["a" * 60, "a" * 62, "aa"], constant="xy", tlds=("com", long_tld))
    assert generation.names(source, 0, 6, file) == [
        f"aaxy.{long_tld}" if name == "long" else name
        for name in (None, f"{'a' * 60}xy.com", None, None, "long", "aaxy.com")
    ]


def test_an_a_label_does_not_grow(tmp_path: Path) -> None:
    words = ["xn--bcher-kva"]
    plain, file = frozen_words(tmp_path, words, tlds=("com",))
    assert generation.names(plain, 0, 1, file) == ["xn--bcher-kva.com"]
    below, file = frozen_words(tmp_path, words, constant=".shop", tlds=("com",))
    assert generation.names(below, 0, 1, file) == ["xn--bcher-kva.shop.com"]
    grown, file = frozen_words(tmp_path, words, constant="shop", tlds=("com",))
    assert generation.names(grown, 0, 1, file) == [None]


def test_a_constant_outside_of_ascii_is_encoded_with_its_word(tmp_path: Path) -> None:
    source, file = frozen_words(tmp_path, ["b"], constant="Ücher", tlds=("de",))
    assert generation.names(source, 0, 1, file) == ["xn--bcher-kva.de"]


def test_the_offset_of_a_name_is_its_line(tmp_path: Path) -> None:
    lines = [f"name{number}.example" for number in range(20_000)]  # several blocks
    sha256, file = canonical_bytes(tmp_path, lines)
    source = Names(sha256=sha256, names=20_000)
    assert file.stat().st_size > 4 * BLOCK_BYTES
    assert generation.names(source, 0, 20_000, file) == lines
    assert generation.names(source, 4999, 5001, file) == ["name4999.example", "name5000.example"]
    assert generation.names(source, 19_999, 20_000, file) == ["name19999.example"]


@given(st.lists(st.integers(1, BLOCK_BYTES + 2), min_size=1, max_size=8), st.data())
def test_any_lines_of_a_canonical_file_are_found_whatever_their_length(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], data: st.DataObject
) -> None:
    lines = [str(place) * length for place, length in enumerate(lengths)]
    sha256, file = canonical_bytes(tmp_path_factory.getbasetemp(), lines)
    canonical_file = CanonicalFile(file, sha256)
    start = data.draw(st.integers(0, len(lines)))
    stop = data.draw(st.integers(start, len(lines)))
    assert canonical_file.count == len(lines)
    assert canonical_file.lines(start, stop) == lines[start:stop]


def test_bytes_that_are_not_those_of_the_hash_are_corrupt(tmp_path: Path) -> None:
    sha256, file = canonical_bytes(tmp_path, ["a.example", "b.example"])
    file.write_bytes(b"a.example\nc.example")
    with pytest.raises(Corrupt, match=f"not to {sha256}"):
        CanonicalFile(file, sha256)


def test_a_file_that_is_cut_off_after_it_was_opened_is_corrupt(tmp_path: Path) -> None:
    sha256, file = canonical_bytes(tmp_path, ["a.example", "b.example"])
    canonical_file = CanonicalFile(file, sha256)
    file.write_bytes(b"a.exam")
    with pytest.raises(Corrupt, match="it ends before line 2 of 2"):
        canonical_file.lines(0, 2)


def test_a_missing_canonical_file_is_for_later(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="canonical file: No such file or directory; nothing was done"):
        CanonicalFile(tmp_path / "missing", "")


def batch(source: Names, start: int, stop: int, *, base: int = 0, file: str = "") -> BatchSpec:
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


def test_a_batch_names_its_positions_from_the_base_of_its_campaign(tmp_path: Path) -> None:
    lines = ["a.example", "b.example", "c.example", "d.example"]
    sha256, file = canonical_bytes(tmp_path, lines)
    spec = batch(Names(sha256=sha256, names=4), 1, 3, base=1, file=str(file))
    assert generation.batch_names(spec) == ["c.example", "d.example"]


def test_a_batch_of_words_needs_their_file() -> None:
    with pytest.raises(ValueError, match="needs the file of its canonical bytes"):
        generation.batch_names(batch(Names(sha256="", names=4), 0, 1))
