"""A user's list becomes canonical bytes, or one line says why it cannot."""

import hashlib
import tracemalloc
from pathlib import Path

import pytest

from domainflow.errors import InvalidInput
from domainflow.spec import Names, NamesSource, Words, WordsSource
from domainflow.work import freezing
from domainflow.work.freezing import Frozen, freeze, freeze_names, freeze_words


def a_file(folder: Path, content: bytes) -> Path:
    path = folder / "list.txt"
    path.write_bytes(content)
    return path


def lines_of(frozen: Frozen) -> list[str]:
    content = b"".join(frozen.chunks())
    assert hashlib.sha256(content).hexdigest() == frozen.sha256
    assert len(content) == frozen.size_bytes
    assert frozen.lines_total == frozen.count + sum(frozen.dropped.values())
    lines = content.decode("ascii").split("\n")
    assert len(lines) == frozen.count
    return lines


def test_words_are_sorted_distinct_labels(tmp_path: Path) -> None:
    path = a_file(tmp_path, "\ufeff# fruit\r\nPear\r\n\r\napple\npear\n  fig \nZürich\n7up".encode())
    with freeze_words(path) as frozen:
        assert lines_of(frozen) == ["7up", "apple", "fig", "pear", "xn--zrich-kva"]
        assert frozen.dropped == {"blank": 1, "comment": 1, "duplicate": 1}
        assert frozen.lines_total == 8


def test_words_that_are_no_labels_are_counted_by_reason(tmp_path: Path) -> None:
    path = a_file(tmp_path, b"good\ntwo words\na.b\n-edge\nedge-\nunder_score\n" + b"a" * 64 + b"\n")
    with freeze_words(path) as frozen:
        assert lines_of(frozen) == ["good"]
        assert frozen.dropped == {"bad_character": 3, "edge_hyphen": 2, "label_too_long": 1}


def test_names_keep_the_order_of_their_first_lines(tmp_path: Path) -> None:
    path = a_file(tmp_path, "zoo.example\nBücher.example\na.example\nZOO.example.\nxn--bcher-kva.example".encode())
    with freeze_names(path) as frozen:
        assert lines_of(frozen) == ["zoo.example", "xn--bcher-kva.example", "a.example"]
        assert frozen.dropped == {"duplicate": 2}


PLANTED = [
    (b"# comment", "comment", 10),
    (b"", "blank", 8),
    (b"localhost", "single_label", 30),
    (b"10.0.0.1", "numeric_tld", 20),
    (b"under_score.example", "bad_character", 50),
    (b"-a.example", "edge_hyphen", 30),
    (b"a..example", "empty_label", 20),
    (b"a" * 64 + b".example", "label_too_long", 20),
    (b"abcdefg." * 40 + b"example", "too_long", 10),
    ("a\u05d0.example".encode(), "bad_idna", 20),
]


def test_200_planted_invalid_lines_and_12_duplicates_are_counted_by_reason(tmp_path: Path) -> None:
    assert sum(times for _, reason, times in PLANTED if reason not in {"comment", "blank"}) == 200
    good = [f"name{number}.example".encode() for number in range(1000)]
    planted = [line for line, _, times in PLANTED for _ in range(times)]
    mixed = [line for pair in zip(good, planted, strict=False) for line in pair] + good[len(planted) :]
    path = a_file(tmp_path, b"\n".join([*mixed, *good[:12]]))
    with freeze_names(path) as frozen:
        assert lines_of(frozen) == [f"name{number}.example" for number in range(1000)]
        assert frozen.dropped == {"duplicate": 12} | {reason: times for _, reason, times in PLANTED}
        assert frozen.lines_total == 1230


@pytest.mark.parametrize("run_lines", [1, 2, 7, 500_000])
def test_sorting_through_temporary_files_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_lines: int
) -> None:
    monkeypatch.setattr(freezing, "_RUN_LINES", run_lines)
    monkeypatch.setattr(freezing, "_IN_MEMORY_BYTES", 10 * run_lines)
    numbers = [(number * 7919) % 101 for number in range(300)]
    path = a_file(tmp_path, "\n".join(f"n{number}.example" for number in numbers).encode())
    with freeze_names(path) as frozen:
        assert lines_of(frozen) == [f"n{number}.example" for number in dict.fromkeys(numbers)]
        assert frozen.dropped == {"duplicate": 199}
    path = a_file(tmp_path, "\n".join(f"n{number:03}" for number in numbers).encode())
    with freeze_words(path) as frozen:
        assert lines_of(frozen) == [f"n{number:03}" for number in range(101)]
        assert frozen.dropped == {"duplicate": 199}


def test_memory_does_not_grow_with_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "_RUN_LINES", 1000)
    monkeypatch.setattr(freezing, "_IN_MEMORY_BYTES", 1000)
    path = a_file(tmp_path, "".join(f"{number * 7919 % 20_011:05}.example\n" for number in range(20_000)).encode())
    tracemalloc.start()
    try:
        with freeze_names(path) as frozen:
            assert frozen.count == 20_000
        assert tracemalloc.get_traced_memory()[1] < 1_500_000  # 0.5 MB; held at once it would be 4.6 MB
    finally:
        tracemalloc.stop()


def test_chunks_start_at_the_beginning_each_time(tmp_path: Path) -> None:
    with freeze_names(a_file(tmp_path, b"a.example\nb.example\n")) as frozen:
        assert list(frozen.chunks(8)) == [b"a.exampl", b"e\nb.exam", b"ple"]
        assert list(frozen.chunks()) == [b"a.example\nb.example"]


def test_a_words_source_is_frozen_with_its_canonical_tlds(tmp_path: Path) -> None:
    path = a_file(tmp_path, b"b\na\n")
    source, frozen = freeze(WordsSource(words=str(path), constant="-X", tlds=("net", "Com"), count=4))
    with frozen:
        sha256 = hashlib.sha256(b"a\nb").hexdigest()
        assert source == Words(sha256=sha256, words=2, constant="-x", tlds=(".com", ".net"))
        assert lines_of(frozen) == ["a", "b"]


def test_a_names_source_is_frozen(tmp_path: Path) -> None:
    source, frozen = freeze(NamesSource(file=str(a_file(tmp_path, b"b.example\na.example\n"))))
    with frozen:
        assert source == Names(sha256=hashlib.sha256(b"b.example\na.example").hexdigest(), names=2)


def test_more_names_than_the_file_has_are_refused(tmp_path: Path) -> None:
    path = a_file(tmp_path, b"b.example\na.example\n")
    with pytest.raises(InvalidInput) as refusal:
        freeze(NamesSource(file=str(path), count=3))
    assert str(refusal.value) == "source.count: 3 names are more than the 2 of the source"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "has no usable line (it is empty)"),
        (b"# only\n\n\n_._\n", "has no usable line (1 bad_character, 2 blank, 1 comment)"),
        (b"good.example\n" + b"x" * 10_000_000, "line 2: longer than 10000 bytes"),
        (b"good.example\n" + b"x" * 10_001 + b"\nmore.example", "line 2: longer than 10000 bytes"),
        (b"good.example\nnul\0.example\n", "line 2: holds a NUL byte; a text file is needed"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "line 1: holds a NUL byte; a text file is needed"),
        (b"\x89PNG\r\n\x1a\n\0\0", "line 1: byte 1 is not UTF-8"),
        ("good.example\n".encode("utf-16"), "line 1: holds a NUL byte; a text file is needed"),
        (b"good.example\nb\xfccher.example\n", "line 2: byte 2 is not UTF-8"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_file_that_is_no_list_is_refused_with_file_line_and_rule(tmp_path: Path, content: bytes, rule: str) -> None:
    path = a_file(tmp_path, content)
    for freeze_list in (freeze_names, freeze_words):
        with pytest.raises(InvalidInput) as refusal:
            freeze_list(path)
        assert str(refusal.value) == f"{path}: {rule}"


def test_a_line_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    with freeze_names(a_file(tmp_path, b"#" * 10_000 + b"\r\na.example")) as frozen:
        assert lines_of(frozen) == ["a.example"]
        assert frozen.dropped == {"comment": 1}


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    rules = {
        "missing.txt": "cannot be read (No such file or directory)",
        "loop": "cannot be read (Too many levels of symbolic links)",
        ".": "is a directory; a file is needed",
        "a\0b": "cannot be read (embedded null byte)",
    }
    for name, rule in rules.items():
        path = tmp_path / name
        with pytest.raises(InvalidInput) as refusal:
            freeze_words(path)
        assert str(refusal.value) == f"{path}: {rule}".replace("\0", "\\x00")
    with pytest.raises(InvalidInput, match=r"^/dev/zero: is no regular file$"):
        freeze_words(Path("/dev/zero"))


def test_a_file_above_1_gib_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(1024**3 + 1)  # a hole: takes no space
    with pytest.raises(InvalidInput) as refusal:
        freeze_names(path)
    assert str(refusal.value) == f"{path}: 1073741825 bytes are more than 1073741824"
