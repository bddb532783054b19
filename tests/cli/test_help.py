"""Every verb explains itself, fast, and every word on the command line is checked."""

import subprocess
import sys

import pytest

from domainflow.cli import CAMPAIGN_VERBS, MIGRATE_VERBS, PHASE_VERBS, VERBS, main
from domainflow.cli.options import with_default_seed

ALL_VERBS = [
    *((verb,) for verb in VERBS),
    *(("campaign", verb) for verb in CAMPAIGN_VERBS),
    *(("phase", verb) for verb in PHASE_VERBS),
    *(("migrate", verb) for verb in MIGRATE_VERBS),
]


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    """Exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


@pytest.mark.parametrize("verb", ALL_VERBS, ids=" ".join)
def test_every_verb_has_help_with_global_options_and_exit_codes(
    capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    code, out, err = call(capsys, *verb, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: domainflow {' '.join(verb)}")
    assert "--json" in out
    assert "Exit codes: 0 done" in out


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, "--help")
    for verb in (*VERBS, "campaign", "phase", "migrate"):
        assert f"│ {verb} " in out


def test_help_does_not_wait_for_the_database_s_libraries() -> None:
    script = (
        "import sys, domainflow.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'psycopg', 'pykka', 'structlog', 'pycurl'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["bogus"], 'Unknown command "bogus"'),
        (["run"], "SPEC"),
        (["run", "x.toml", "--bogus"], "--bogus"),
        (["run", "x.toml", "--lab=x"], "--lab"),
        (["campaign", "list", "--limit", "0"], "--limit: 0 must be from 1 to 10000"),
        (["campaign", "list", "--role", "boss"], "--role: 'boss' is none of super_admin, admin, operator, viewer"),
        (["campaign", "list", "--tenant", "a b"], "--tenant: 'a b' must be 1 to 100 of letters"),
        (["campaign", "list", "--log-level", "LOUD"], "--log-level: log level must be one of"),
        (["campaign", "start", "x", "--lab"], "--lab and --export: need --follow"),
        (["phase", "skip", "x", "nonsense"], "nonsense"),
        (["lab", "--dns-port", "99999"], "--dns-port: 99999 must be from 0 to 65535"),
        (["migrate", "down", "--to", "-1"], "--to: -1 must be 0 or more"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], rule: str
) -> None:
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert rule in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["run", "s", "--lab"], ["run", "s", "--lab=7"]),
        (["run", "--lab", "s"], ["run", "--lab=7", "s"]),
        (["run", "s", "--lab", "--continue"], ["run", "s", "--lab=7", "--continue"]),
        (["run", "s", "--lab", "42"], ["run", "s", "--lab", "42"]),
    ],
)
def test_the_lab_has_a_seed_when_none_is_given(words: list[str], meant: list[str]) -> None:
    assert with_default_seed(words) == meant
