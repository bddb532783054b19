"""A campaign in a process of its own, which outlives the command that started it. Nothing is executed here."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from domainflow.cli.export import checked_target
from domainflow.cli.hosting import Find
from domainflow.cli.options import Options
from domainflow.cli.output import Output
from domainflow.cli.session import opened
from domainflow.errors import Unavailable
from domainflow.runtime import DSN
from domainflow.vocabulary import CampaignStatus

START_S: Final = 60.0
LOOK_EVERY_S: Final = 0.1


def detached(options: Options, find: Find, *, seed: int | None, export: Path | None) -> int:
    """Find or create a campaign, and start the process that follows it.

    Returns when that process executes it. Raises Unavailable with its last words when it ends before.
    """
    checked_target(export)
    with opened(options, campaigns=False, work=False) as (runtime, operations):
        handle = find(operations)
        verb = "start" if handle.view().status is CampaignStatus.PENDING else "resume"
        log = runtime.home / f"run-{handle.id}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
    words = ["campaign", verb, handle.id, "--follow"]
    if seed is not None:
        words.append(f"--lab={seed}")
    if export is not None:
        words += ["--export", str(export.absolute())]
    process = _spawn([*words, *options.repeated()], log, options)
    _await_first_words(process, log)
    output = Output(json=options.json)
    if options.json:
        output.object({"id": handle.id, "pid": process.pid, "log": str(log)})
    else:
        output.line(f"campaign {handle.id} runs in process {process.pid}; its words are in {log}")
        output.line("look at it with: " + options.hint("campaign", "show", handle.id))
    return 0


def _spawn(words: list[str], log: Path, options: Options) -> subprocess.Popen[bytes]:
    # The DSN goes by the environment, which only this account can read.
    environment = dict(os.environ) if options.dsn is None else {**os.environ, DSN: options.dsn}
    with log.open("wb") as file:
        return subprocess.Popen(  # noqa: S603 - our own module, a list of words and no shell
            [sys.executable, "-m", "domainflow", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # a terminal's Ctrl-C or end must not reach it
            env=environment,
        )


def _await_first_words(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        lines = log.read_text(errors="replace").splitlines()
        ended = process.poll()
        if any(line.startswith("campaign ") for line in lines) or ended == 0:
            return
        if ended is not None:
            raise Unavailable(f"the background process ended at once: {lines[-1] if lines else 'without a word'}")
        time.sleep(LOOK_EVERY_S)
    raise Unavailable(f"the background process {process.pid} has not begun within {START_S:g} s; see {log}")
