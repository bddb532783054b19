"""Every alert has a runbook in the documents, under its id, and the commands in it exist."""

import re
from pathlib import Path
from typing import Final

import pytest

from domainflow.actors.monitor.messages import SEVERITIES, AlertKind
from domainflow.cli import CAMPAIGN_VERBS, PHASE_VERBS, VERBS

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "operations.md"
GROUPS: Final = {"campaign": CAMPAIGN_VERBS, "phase": PHASE_VERBS}
RUNBOOK: Final = re.compile(r"^#### (\w+)$(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)


def runbooks() -> dict[str, str]:
    # Comments of a shell begin as headings do.
    text = re.sub(r" +# .*$", "", DOCUMENT.read_text(), flags=re.MULTILINE)
    return dict(RUNBOOK.findall(text))


def test_each_kind_of_alert_has_one_and_there_is_no_other() -> None:
    assert list(runbooks()) == [kind.value for kind in AlertKind]


@pytest.mark.parametrize("kind", AlertKind)
def test_it_says_how_urgent_it_is_and_its_commands_exist(kind: AlertKind) -> None:
    text = runbooks()[kind]
    assert text.strip().lower().startswith(f"{SEVERITIES[kind]}. ")
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    commands = [line.split() for line in block.splitlines()]
    assert commands
    for program, verb, *rest in commands:
        assert program == "domainflow"
        assert verb in VERBS or rest[0] in GROUPS[verb]
