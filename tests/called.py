"""One call of the command line, within the process of its test."""

import json
from typing import Any

import pytest
import structlog

from domainflow.cli import main


class Called:
    """What one call printed, and how it ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(words)
        structlog.reset_defaults()  # a later runtime must not write to this test's standard error
        said = capsys.readouterr()
        self.code, self.out, self.err = ended.value.code, said.out, said.err

    @property
    def json(self) -> Any:  # noqa: ANN401 - what JSON holds
        return json.loads(self.out)
