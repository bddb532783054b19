"""What docs/concurrency.md shows is what happens."""

import os
import re
import subprocess
import sys
from pathlib import Path

from domainflow.lint import check, read

DOCUMENT = Path(__file__).parents[2] / "docs" / "concurrency.md"


def test_the_code_of_the_document_runs_and_breaks_no_rule(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "clerk.py").write_text(code)
    (tmp_path / "names.txt").write_text("a.example\nb.example\n")
    ended = subprocess.run(
        [sys.executable, "-W", "error", "clerk.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.returncode) == ("2 lines\n", 0), ended.stderr
    source = read([tmp_path])
    assert [cls.name for _, cls in source.behaviours] == ["Reader", "Clerk"]
    assert check(source) == []
