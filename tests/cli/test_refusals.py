"""What cannot be done is said in one line, with a documented exit code, and leaves nothing behind."""

import json
from pathlib import Path

import pytest

from domainflow.cli import main
from domainflow.cli.errors import report
from domainflow.errors import Corrupt, Denied, Fenced, InvalidInput, StoreUnavailable
from tests.cli.conftest import Cli

GOOD = 'name = "abc"\n[source]\nkind = "names"\nfile = "names.txt"\n'

BAD_SPECS = {
    "an unknown key": (f"nme = 3\n{GOOD}", "nme: unknown key, did you mean name?"),
    "a name that is too short": (GOOD.replace("abc", "ab"), "name: Expected `str` of length >= 3"),
    "a value of another type": (f"batch_size = true\n{GOOD}", "batch_size: Expected `int`"),
    "a value out of range": (f"batch_size = 0\n{GOOD}", "batch_size: Expected `int` >= 1"),
    "no source": ('name = "abc"\n', "source: is required"),
    "a resolver that is none": (f'{GOOD}[dns]\nresolvers = ["a b"]\n', "dns.resolvers[0]: 'a b' must be system"),
    "no TOML": ("[source", "line 1: "),
}


@pytest.mark.parametrize("text", BAD_SPECS.values(), ids=BAD_SPECS.keys())
def test_a_bad_spec_is_refused_with_file_key_path_and_rule_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: tuple[str, str]
) -> None:
    spec, home = tmp_path / "spec.toml", tmp_path / "home"
    spec.write_text(text[0])
    with pytest.raises(SystemExit) as ended:
        main(["run", str(spec), "--lab", "--home", str(home)])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.err.startswith(f"error: {spec}: {text[1]}")
    assert said.err.count("\n") == 1
    assert not home.exists()


def test_an_error_is_json_where_json_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", str(tmp_path / "none.toml"), "--json"])
    said = json.loads(capsys.readouterr().err)
    assert said["error"]["code"] == "invalid_input"
    assert said["error"]["message"] == f"{tmp_path}/none.toml: cannot be read (No such file or directory)"


@pytest.mark.parametrize("how", [(), ("--detach",)], ids=["here", "detached"])
@pytest.mark.parametrize("target", ["found.xls", "no/such/folder/found.csv"])
def test_an_export_that_could_not_be_written_is_refused_before_the_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    target: str,
    how: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "spec.toml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["run", "spec.toml", *how, "--export", str(tmp_path / target), "--home", str(tmp_path / "home")])
    assert ended.value.code == 2
    assert "--export: " in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_a_spec_that_names_a_missing_file_creates_no_campaign(cli: Cli) -> None:
    spec = cli.home / "missing.toml"
    spec.write_text(GOOD.replace("names.txt", "missing.txt"))
    done = cli("run", str(spec))
    assert done.returncode == 2
    assert "missing.txt: cannot be read" in done.stderr
    assert done.stderr.count("\n") == 1
    assert all(one["name"] != "abc" for one in cli.json("campaign", "list")["campaigns"])


def test_a_database_that_is_not_there_is_unavailable_and_its_password_stays_secret(cli: Cli) -> None:
    done = cli("campaign", "list", DOMAINFLOW_DSN="postgresql://somebody:hunter2@127.0.0.1:1/nowhere")
    assert done.returncode == 3
    assert "127.0.0.1" in done.stderr
    assert "check DOMAINFLOW_DSN, or unset it for the embedded server" in done.stderr
    assert "hunter2" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_home_that_cannot_be_made_is_unavailable(cli: Cli) -> None:
    done = cli("campaign", "list", "--home", "/proc/nowhere")
    assert done.returncode == 3
    assert "set DOMAINFLOW_HOME" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unexpected_error_is_one_line_without_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ZeroDivisionError("secret"), json=False) == 70
    assert capsys.readouterr().err == (
        "error: internal error: ZeroDivisionError (run with DOMAINFLOW_DEBUG=1 for the trace)\n"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [(InvalidInput, 2), (Denied, 2), (StoreUnavailable, 3), (Fenced, 4), (Corrupt, 5), (KeyboardInterrupt, 130)],
)
def test_exit_codes_say_what_can_be_done(
    capsys: pytest.CaptureFixture[str], error: type[BaseException], code: int
) -> None:
    assert report(error("two\nlines"), json=False) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_a_setting_out_of_range_is_refused_by_its_variable(cli: Cli) -> None:
    done = cli("campaign", "list", DOMAINFLOW_WORKERS="many")
    assert done.returncode == 2
    assert done.stderr.startswith("error: DOMAINFLOW_WORKERS=many: ")


def test_a_campaign_that_is_not_there_is_refused(cli: Cli) -> None:
    done = cli("campaign", "show", "ffffffff")
    assert done.returncode == 2
    assert done.stderr == "error: there is no campaign ffffffff that tester may see\n"
