"""A campaign of 20 000 names finds, line by line, what follows from the lab's seed."""

import csv
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import oracle
import pytest
from conftest import Database
from msgspec.structs import replace
from scene import SEED, beside_a_lab, over_the_lab

from domainflow.lab.world import World
from domainflow.security.input import load_spec
from domainflow.spec import WordsSource
from domainflow.vocabulary import DnsOutcome, DnsReason, HttpOutcome, LeadStatus, Rejection

MAIN_JOB = Path(__file__).parents[2] / "examples" / "main_job.toml"


def compare_a_campaign(count: int, database: Database, home: Path, timeout_s: float) -> list[str]:
    spec = over_the_lab(load_spec(MAIN_JOB))
    assert isinstance(spec.source, WordsSource)
    spec = replace(spec, source=replace(spec.source, count=count), http=replace(spec.http, request_timeout_s=5.0))
    names = oracle.word_names(spec.source)[:count]
    with beside_a_lab(database.dsn, home) as scene:
        campaign = scene.started(spec)
        wanted = list(oracle.lines(World(SEED), names, spec.scoring))
        scene.completed(campaign, timeout_s)
        found = scene.exported(campaign)
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


def test_20_000_names_come_out_as_the_seed_says_with_every_outcome_and_reason(database: Database, home: Path) -> None:
    found = compare_a_campaign(20_000, database, home, timeout_s=100)
    rows = list(csv.DictReader(found))
    seen = {column: {row[column] for row in rows} - {""} for column in oracle.COLUMNS}
    assert seen["dns_reason"] == set(DnsReason)
    assert seen["dns_status"] == set(DnsOutcome) - {"pending"}
    assert seen["http_status"] == set(HttpOutcome) - {"pending"}
    assert seen["lead_status"] == set(LeadStatus) - {"pending"}
    assert seen["rejection"] == set(Rejection) - {"pending"}


@pytest.mark.usefixtures("_busy_cores")
def test_4000_names_come_out_the_same_while_both_cores_are_busy(database: Database, home: Path) -> None:
    compare_a_campaign(4000, database, home, timeout_s=100)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_busy_cores")
def test_20_000_names_come_out_the_same_while_both_cores_are_busy(database: Database, home: Path) -> None:
    compare_a_campaign(20_000, database, home, timeout_s=600)
