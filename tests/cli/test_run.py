"""A campaign from the command line: run, looked at, exported, interrupted and resumed."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import CALL_S, Cli, campaign_in

SLOW_QPS = 150  # 200 names are some 400 questions: time enough to interrupt them


def read_until(process: subprocess.Popen[str], start: str) -> str:
    """Read lines until one starts like this; the test's own time-out bounds it."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith(start):
            return said
    raise AssertionError(f"it ended with {process.wait()} before it said {start!r}:\n{said}")


def is_running(pid: int) -> bool:
    """Whether there is such a process. Its parent is gone, so that it is reaped by the system."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def finished(cli: Cli) -> str:
    """The id of a campaign that a `run` has finished."""
    done = cli("run", cli.spec("finished", constant="fini"), "--lab", "42", "--export", str(cli.home / "found.jsonl"))
    assert done.returncode == 0, done.stderr + done.stdout
    assert "completed" in done.stdout
    assert "leads found: " in done.stdout
    return campaign_in(done.stdout)


def test_a_finished_campaign_accounts_for_every_name(cli: Cli, finished: str) -> None:
    view = cli.json("campaign", "show", finished)
    assert view["status"] == "completed"
    assert [phase["status"] for phase in view["phases"]] == ["completed"] * 4
    assert view["phases"][1]["done"] == 200
    assert sum(view["phases"][1]["counts"].values()) == 200
    assert view["created_at"].endswith("Z")


def test_an_export_holds_a_line_a_name_in_either_format(cli: Cli, finished: str) -> None:
    target = cli.home / "found.csv"
    assert cli.json("campaign", "export", finished, "--output", str(target))["rows"] == 200
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    lines = [json.loads(line) for line in cli("campaign", "export", finished, "--format", "jsonl").stdout.splitlines()]
    assert [row["domain"] for row in rows] == [line["domain"] for line in lines]
    assert len({row["domain"] for row in rows}) == 200
    assert (cli.home / "found.jsonl").read_text().count("\n") == 200  # written by the run itself
    assert not list(cli.home.glob(".found*"))


def test_a_reader_that_has_had_enough_is_no_error(cli: Cli, finished: str) -> None:
    script = f"{sys.executable} -m domainflow campaign export {finished} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(  # noqa: S603 - a constant script but for our own interpreter and an id
        ["/bin/bash", "-c", script], capture_output=True, text=True, check=True, env=cli.environment, timeout=CALL_S
    )
    assert done.stdout.splitlines()[0].startswith("position,domain,")
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_the_verifier_and_the_doctor_find_nothing_wrong(cli: Cli, finished: str) -> None:
    assert finished
    assert cli.json("verify") == {"faults": 0}
    doctor = cli.json("doctor")
    assert doctor["usable"]
    assert {finding["check"] for finding in doctor["findings"]} >= {"home", "disk", "store", "schema", "horizon", "lab"}
    assert cli.json("migrate", "status")["fits"]


def test_progress_is_one_view_a_line_where_json_was_asked_for(cli: Cli) -> None:
    done = cli("run", cli.spec("as json", constant="json"), "--lab", "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["status"] for line in lines if "status" in line][-1] == "completed"


def test_ctrl_c_pauses_the_campaign_and_it_can_be_resumed(cli: Cli) -> None:
    with cli.started("run", cli.spec("paused", constant="ctrl", qps=SLOW_QPS), "--lab") as process:
        said = read_until(process, "running: DNS")
        process.send_signal(signal.SIGINT)
        said += read_until(process, "paused; go on with: ")
        assert process.wait(CALL_S) == 130
    campaign = campaign_in(said)
    assert f"campaign {campaign} “paused”: paused by user" in said
    assert f"campaign resume {campaign} --follow --lab 7 --home {cli.home}" in said

    without_lab = cli("campaign", "resume", campaign, "--follow")
    assert without_lab.returncode == 2
    assert "add --lab" in without_lab.stderr

    resumed = cli("campaign", "resume", campaign, "--follow", "--lab", "7")
    assert resumed.returncode == 0, resumed.stderr
    assert cli.json("campaign", "show", campaign)["phases"][1]["done"] == 200


def test_a_second_ctrl_c_stops_at_once_and_the_campaign_goes_on_later(cli: Cli) -> None:
    spec = cli.spec("stopped", constant="twice", qps=SLOW_QPS)
    with cli.started("run", spec, "--lab") as process:
        said = read_until(process, "running: DNS")
        process.send_signal(signal.SIGINT)
        read_until(process, "pausing once ")
        process.send_signal(signal.SIGINT)
        assert process.wait(CALL_S) == 130

    resumed = cli("run", spec, "--lab", "--continue")
    assert resumed.returncode == 0, resumed.stderr
    assert f"going on with campaign {campaign_in(said)}" in resumed.stdout
    assert f"campaign {campaign_in(said)} “stopped”: completed" in resumed.stdout


def test_sigterm_leaves_the_campaign_running_for_a_detached_process(cli: Cli) -> None:
    spec = cli.spec("terminated", constant="term", qps=SLOW_QPS)
    with cli.started("run", spec, "--lab") as process:
        said = read_until(process, "running: DNS")
        process.send_signal(signal.SIGTERM)
        read_until(process, "terminated; it stays running")
        assert process.wait(CALL_S) == 143

    detached = cli.json("run", spec, "--lab", "--continue", "--detach")
    assert detached["id"] == campaign_in(said)
    deadline_s = time.monotonic() + CALL_S
    while is_running(detached["pid"]):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)  # a process that is not our child gives no signal
    assert cli.status(detached["id"]) == "completed"


def test_a_command_without_follow_says_that_nobody_executes_it_and_a_worker_does(cli: Cli) -> None:
    text = Path(cli.spec("told", constant="told")).read_text()
    (cli.home / "step.toml").write_text(f'mode = "step_by_step"\n{text}')
    done = cli("run", "step.toml", "--lab")
    assert done.returncode == 0, done.stderr
    campaign = campaign_in(done.stdout)
    assert f"phase start {campaign} dns_validation --follow --lab 7" in done.stdout

    assert cli.json("phase", "skip", campaign, "dns_validation")["status"] == "paused"
    told = cli("phase", "start", campaign, "http_keyword_validation")
    assert told.stdout.startswith(f"campaign {campaign}: queued\nnobody executes campaigns just now"), told.stderr
    with cli.started("worker", "--lab") as worker:
        read_until(worker, "worker ")
        deadline_s = time.monotonic() + CALL_S
        while cli.status(campaign) != "paused":
            assert time.monotonic() < deadline_s
        worker.send_signal(signal.SIGINT)
        assert worker.wait(CALL_S) == 0
    assert cli.json("campaign", "cancel", campaign, "--reason", "enough")["status"] == "cancelled"
    refused = cli("campaign", "resume", campaign)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr


def test_the_lab_serves_until_ctrl_c(cli: Cli) -> None:
    with cli.started("lab", "--seed", "3", "--home", str(cli.home / "lab")) as lab:
        assert "lab of seed 3" in read_until(lab, "DNS 127.0.1.")
        lab.send_signal(signal.SIGINT)
        assert lab.wait(CALL_S) == 0
    assert not (cli.home / "lab" / "lab.json").exists()
