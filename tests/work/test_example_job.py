"""The job of `make run` is sound and large enough to be run again on one home."""

from pathlib import Path

from domainflow.lab.text import LAB_KEYWORDS
from domainflow.lab.world import World
from domainflow.security.input import load_spec
from domainflow.spec import WordsSource
from domainflow.work.freezing import freeze
from domainflow.work.generation import check, names, space

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_main_job_has_names_for_ten_runs_all_valid_and_distinct(tmp_path: Path) -> None:
    spec = load_spec(EXAMPLES / "main_job.toml")
    check(spec.source)
    assert isinstance(spec.source, WordsSource)
    source, frozen = freeze(spec.source)
    file = tmp_path / "canonical"
    with frozen:
        file.write_bytes(b"".join(frozen.chunks()))
    assert frozen.dropped == {}
    assert frozen.count >= 2500
    assert spec.source.count == 20_000
    assert space(source) >= 10 * spec.source.count
    made = names(source, 0, space(source), file)
    assert None not in made
    assert len(set(made)) == len(made)


def test_the_main_job_looks_for_what_the_lab_plants() -> None:
    assert load_spec(EXAMPLES / "main_job.toml").keywords == LAB_KEYWORDS


def test_a_fifth_of_the_main_jobs_names_resolve_in_the_lab(tmp_path: Path) -> None:
    spec = load_spec(EXAMPLES / "main_job.toml")
    assert isinstance(spec.source, WordsSource)
    source, frozen = freeze(spec.source)
    file = tmp_path / "canonical"
    with frozen:
        file.write_bytes(b"".join(frozen.chunks()))
    world = World(seed=1)
    resolving = sum(world.host(name).resolves for name in names(source, 0, 5000, file) if name is not None)
    assert 0.15 * 5000 < resolving < 0.20 * 5000
