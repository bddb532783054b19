import sys
from pathlib import Path

import psycopg
import pytest
from _peers import Peer, peers
from databases import Database

SCRIPT = """
import json, sys
import psycopg

with psycopg.connect(sys.argv[1]) as connection:
    connection.execute("create table if not exists work (number int)")
    connection.execute("insert into work select generate_series(1, 3)")
print(json.dumps({"what": "rows", "done": COUNTED, "rate": 6.0 / float(sys.argv[2])}))
"""


def peer(folder: Path, *, counted: int) -> Peer:
    script = folder / "rows.py"
    script.write_text(SCRIPT.replace("COUNTED", str(counted)))
    return Peer("rows", script, 1.0, "select count(*) from work")


def test_a_peer_is_measured_in_a_database_of_its_own_that_is_gone_afterwards(
    empty_database: Database, tmp_path: Path
) -> None:
    with peers(empty_database.admin_dsn, (peer(tmp_path, counted=3),), python=Path(sys.executable)) as runs:
        assert [runs["rows"](2.0), runs["rows"](3.0)] == [3.0, 2.0]
    with psycopg.connect(empty_database.admin_dsn) as connection:
        assert connection.execute("select datname from pg_database where datname = 'bench_rows'").fetchall() == []
        assert connection.execute("select to_regclass('work')").fetchall() == [(None,)]


def test_a_peer_that_counted_more_than_is_in_its_database_fails_the_bench(
    empty_database: Database, tmp_path: Path
) -> None:
    with (
        pytest.raises(RuntimeError, match="rows counted 4, and 3 are in its database"),
        peers(empty_database.admin_dsn, (peer(tmp_path, counted=4),), python=Path(sys.executable)) as runs,
    ):
        runs["rows"](1.0)


def test_without_their_environment_peers_are_left_out_and_stderr_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with peers("", (peer(tmp_path, counted=3),), python=tmp_path / "none") as runs:
        assert runs == {}
    assert "make bench" in capsys.readouterr().err
