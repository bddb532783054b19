"""`domainflow verify` says how far it is, where somebody looks; what it found goes elsewhere."""

import json
import os
import pty
import subprocess
import sys

from copies import Copy
from plant import running


def test_the_bar_is_on_the_terminal_and_the_faults_are_in_the_file(copy: Copy) -> None:
    copy.hand.do("update domainflow.head set status = 'failed' where stream = %s", running(copy.hand))
    screen, terminal = pty.openpty()
    done = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "domainflow", "verify", "--json", "--home", str(copy.home), "--dsn", copy.store.dsn],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    shown = read_all(screen)
    found, _ = done.communicate(timeout=60.0)
    lines = [json.loads(line) for line in found.splitlines()]
    assert [line.get("kind") for line in lines] == ["status_differs", None]
    assert lines[-1] == {"faults": 1}
    assert "verifying streams" in shown
    assert "verifying across streams" in shown
    assert "status_differs" not in shown
    assert done.returncode == 1


def read_all(screen: int) -> str:
    pieces = []
    try:
        while piece := os.read(screen, 4096):
            pieces.append(piece)
    except OSError:  # its last holder has ended
        pass
    finally:
        os.close(screen)
    return b"".join(pieces).decode()
