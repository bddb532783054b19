"""The examples run as they stand: each as a process of its own, offline, in a home of its own."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

EXAMPLES: Final = Path(__file__).parent.parent / "examples"
SOON_S: Final = 60.0


def output_of(example: str, home: Path, *words: str) -> str:
    """Run an example to its good end, in a folder without settings; return what it printed."""
    ended = subprocess.run(  # noqa: S603 - our own interpreter and file
        [sys.executable, "-W", "error", str(EXAMPLES / example), str(home), *words],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=SOON_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


def test_embedded_in_a_script_300_names_go_through_all_phases_and_leads_are_printed(home: Path) -> None:
    printed = output_of("embed_script.py", home)
    for phase in ("domain_generation", "dns_validation", "http_keyword_validation", "analysis"):
        assert f"{phase} completed" in printed
    leads = re.findall(r"^0\.\d{3}  ...shop\.com  \w+ \d", printed, re.MULTILINE)
    assert re.search(rf"is completed with {len(leads)} leads$", printed.strip())
    assert leads


def test_beside_a_web_application_a_campaign_is_completed_over_http(home: Path) -> None:
    printed = output_of("embed_beside_web.py", home, "--once")
    assert re.search(r"GET /campaigns/[0-9a-f-]{36} says completed: \{.*'qualified': \d+", printed)


def test_a_watch_goes_on_behind_its_version_in_the_next_life_of_the_runtime(home: Path) -> None:
    printed = output_of("watch_campaign.py", home)
    assert "closed at version 6" in printed
    assert re.search(r"completed: \d+ changes seen, each once and in order", printed)


def test_totals_that_a_projection_keeps_are_what_the_campaign_counts(home: Path) -> None:
    printed = output_of("keep_totals.py", home)
    assert re.search(r"^dns_validation +\S+ +\d+$", printed, re.MULTILINE)
    assert printed.strip().endswith("\nas the campaign counts them")


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py"), key=str), ids=lambda path: path.name)
def test_an_example_can_be_read_on_one_page(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= 80


def test_an_actor_of_the_host_s_own_is_supervised_and_explored(tmp_path: Path) -> None:
    assert output_of("own_actor.py", tmp_path) == "ann: seat 1\nbob: seat 2\ncid: sold out\n"
    assert explored(EXAMPLES / "own_actor.py").returncode == 0


def test_what_is_wrong_with_it_is_found_and_drawn(tmp_path: Path) -> None:
    text = (EXAMPLES / "own_actor.py").read_text()
    forgetful = text.replace("self.free.pop()", "self.free[-1]")
    assert forgetful != text
    (tmp_path / "forgetful.py").write_text(forgetful)
    told = explored(tmp_path / "forgetful.py")
    assert told.returncode == 1
    assert "---Buy---" in told.stdout
    assert "again: DOMAINFLOW_REPLAY='seed=0'" in told.stdout


def explored(example: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of an example as its reader would."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", str(example)]
    return subprocess.run(words, cwd=example.parent, capture_output=True, text=True, timeout=SOON_S, check=False)  # noqa: S603 - our own
