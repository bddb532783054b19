"""A file of real names is a source: international names as they are asked for, repeats and refuse counted by reason."""

import itertools
import json
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import oracle
import pytest
from scene import STRICT, WORLD, Scene, job

from domainflow.spec import NamesSource

PACKAGE = "disposable-email-domains@1.0.62"  # another version has another number of names
REAL_NAMES = 121_570
INVALID_LINES = {
    "bad_character": "under_score.com",
    "bad_idna": "snow☃man.com",
    "edge_hyphen": "-edge.com",
    "empty_label": "two..dots.com",
    "label_too_long": f"{'a' * 64}.com",
    "numeric_tld": "10.0.0.1",
    "single_label": "localhost",
    "too_long": ".".join(["a" * 60] * 5),
}


def a_labels(names: list[str]) -> list[str]:
    """The names in ASCII, without repeats, in their order; by Python's own IDNA."""
    return list(dict.fromkeys(name.encode("idna").decode("ascii") for name in names))


def test_names_of_a_file_are_worked_on_in_its_order_and_what_is_left_out_is_counted(
    scene: Scene, tmp_path: Path
) -> None:
    valid = ["harbour.com", "taxinyköping.se", "tś.xyz", "президент.рф", "mill.co.uk", "xn--t-tma.xyz"]
    repeats = ["HARBOUR.com.", "xn--taxinykping-xfb.se"]
    file = tmp_path / "names.txt"
    file.write_text("\n".join(["# a list", "", *valid, *INVALID_LINES.values(), *repeats, "last.org"]))
    campaign = scene.started(job(NamesSource(file=str(file))))
    scene.completed(campaign)
    names = ["harbour.com", "xn--taxinykping-xfb.se", "xn--t-tma.xyz", "xn--d1abbgf6aiiy.xn--p1ai", "mill.co.uk"]
    assert scene.lines(campaign) == list(oracle.lines(WORLD, [*names, "last.org"], STRICT))
    stored = campaign.listed()
    assert stored is not None
    assert dict(stored.dropped) == {**dict.fromkeys(INVALID_LINES, 1), "duplicate": 3, "comment": 1, "blank": 1}
    assert (stored.lines, stored.lines_total) == (6, 6 + 8 + 3 + 2)


def test_two_campaigns_may_work_on_the_same_file(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("one.com\ntwo.com\n")
    first, second = (scene.started(job(NamesSource(file=str(file)))) for _ in range(2))
    scene.completed(first)
    scene.completed(second)
    assert scene.lines(first) == scene.lines(second) == list(oracle.lines(WORLD, ["one.com", "two.com"], STRICT))


@pytest.fixture(scope="session")
def real_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, which fetches the names")
    folder = tmp_path_factory.mktemp("npm")
    subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=folder, check=True, timeout=120, capture_output=True)  # noqa: S603
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        member = package.extractfile("package/index.json")
        assert member is not None
        names: list[str] = json.load(member)
    assert len(names) == REAL_NAMES
    return names


@pytest.mark.chaos
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_121_570_real_names_are_worked_on_within_five_minutes(
    scene: Scene, real_names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invalid = itertools.islice(itertools.cycle(INVALID_LINES.values()), 200)
    lines = list(real_names)
    for place, line in enumerate(invalid):
        lines.insert(place * 600, line)
    file = tmp_path / "names.txt"
    file.write_text("\n".join(lines))
    began_s = time.monotonic()
    campaign = scene.started(job(NamesSource(file=str(file))))
    scene.completed(campaign, timeout_s=300)
    elapsed_s = time.monotonic() - began_s
    with capsys.disabled():
        print(f"\n{REAL_NAMES} names in {elapsed_s:.0f} s")  # noqa: T201
    stored = campaign.listed()
    assert stored is not None
    assert dict(stored.dropped) == {**dict.fromkeys(INVALID_LINES, 25), "duplicate": 12}
    names = a_labels(real_names)
    assert stored.lines == len(names) == 121_558
    found, wanted = scene.lines(campaign), list(oracle.lines(WORLD, names, STRICT))
    assert [pair for pair in zip(found, wanted, strict=True) if pair[0] != pair[1]][:5] == []
