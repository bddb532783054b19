"""A campaign of 20 000 names finds, line by line, what follows from the lab's seed."""

import csv
import multiprocessing
from collections.abc import Iterator

import oracle
import pytest
from msgspec.structs import replace
from scene import STRICT, WORLD, Scene, job

from domainflow.spec import WordsSource
from domainflow.vocabulary import DnsOutcome, DnsReason, HttpOutcome, LeadStatus, Rejection


def compared(count: int, scene: Scene, timeout_s: float) -> list[str]:
    """The export of a campaign of `count` names, each line of which was found as expected."""
    source = job().source
    assert isinstance(source, WordsSource)
    campaign = scene.started(job(replace(source, count=count)))
    wanted = list(oracle.lines(WORLD, oracle.word_names(source)[:count], STRICT))
    scene.completed(campaign, timeout_s)
    found = scene.lines(campaign)
    assert len(found) == len(wanted) == count + 1
    differences = [pair for pair in zip(found, wanted, strict=True) if pair[0] != pair[1]]
    assert differences[:5] == [], f"{len(differences)} lines differ"
    return found


def _burn() -> None:
    while True:
        pass


@pytest.fixture
def _busy_cores() -> Iterator[None]:
    burners = [multiprocessing.get_context("spawn").Process(target=_burn, daemon=True) for _ in range(2)]
    for burner in burners:
        burner.start()
    yield
    for burner in burners:
        burner.kill()
        burner.join()
        burner.close()


def test_20_000_names_come_out_as_the_seed_says_with_every_outcome_and_reason(scene: Scene) -> None:
    found = compared(20_000, scene, timeout_s=100)
    rows = list(csv.DictReader(found))
    seen = {column: {row[column] for row in rows} - {""} for column in oracle.COLUMNS}
    assert seen["dns_reason"] == set(DnsReason)
    assert seen["dns_status"] == set(DnsOutcome) - {"pending"}
    assert seen["http_status"] == set(HttpOutcome) - {"pending"}
    assert seen["lead_status"] == set(LeadStatus) - {"pending"}
    assert seen["rejection"] == set(Rejection) - {"pending"}


@pytest.mark.usefixtures("_busy_cores")
def test_4000_names_come_out_the_same_while_both_cores_are_busy(scene: Scene) -> None:
    compared(4000, scene, timeout_s=100)


@pytest.mark.chaos
@pytest.mark.alone
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_busy_cores")
def test_20_000_names_come_out_the_same_while_both_cores_are_busy(scene: Scene) -> None:
    compared(20_000, scene, timeout_s=600)
