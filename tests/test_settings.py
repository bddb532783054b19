"""Settings: defaults, what the environment says, and nonsense refused by name."""

from pathlib import Path

import msgspec
import pytest

from domainflow.errors import InvalidInput
from domainflow.settings import Settings, dotenv, from_environment


def test_without_a_word_the_defaults_hold() -> None:
    assert from_environment() == Settings()
    assert (Settings().workers, Settings().commit_lanes, Settings().window, Settings().lease_s) == (2, 2, 32, 15.0)
    assert (Settings().most_active, Settings().most_created_a_day) == (10, 50)


def test_the_environment_wins_over_what_the_host_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOMAINFLOW_WORKERS", "5")
    monkeypatch.setenv("DOMAINFLOW_LEASE_S", "2.5")
    settings = from_environment(Settings(workers=3, window=7))
    assert (settings.workers, settings.window, settings.lease_s) == (5, 7, 2.5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("WORKERS", "0"),
        ("WORKERS", "65"),
        ("WORKERS", "two"),
        ("WORKERS", ""),
        ("WORKERS", "1.5"),
        ("COMMIT_LANES", "3"),
        ("LEASE_S", "1"),
        ("LEASE_S", "nan"),
        ("LEASE_S", "inf"),
        ("TICK_S", "-1"),
    ],
)
def test_nonsense_is_refused_with_the_name_of_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"DOMAINFLOW_{name}", text)
    with pytest.raises(InvalidInput, match=f"^DOMAINFLOW_{name}={text}: "):
        from_environment()


def test_variables_that_are_no_settings_are_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOMAINFLOW_DSN", "postgresql://nowhere")
    assert from_environment() == Settings()


def test_every_default_is_within_its_range() -> None:
    assert msgspec.convert(msgspec.structs.asdict(Settings()), Settings) == Settings()


def test_every_duration_says_its_unit() -> None:
    floats = [field.name for field in msgspec.structs.fields(Settings) if isinstance(field.default, float)]
    assert all(name.endswith(("_s", "_days")) for name in floats)


def test_a_dotenv_file_gives_our_variables_only(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# ours\nDOMAINFLOW_DSN='postgresql://a=b'\nPATH=/evil\n\nDOMAINFLOW_HOME = /x\nDOMAINFLOW_\n"
    )
    assert dotenv(tmp_path) == {"DOMAINFLOW_DSN": "postgresql://a=b", "DOMAINFLOW_HOME": "/x"}


def test_no_dotenv_file_says_nothing(tmp_path: Path) -> None:
    assert dotenv(tmp_path) == {}
