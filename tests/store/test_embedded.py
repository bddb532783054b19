"""The embedded server lives as long as a client does, whatever is killed. Real servers, real kill -9."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from embedded_client import ROOT, Client, eventually, postmaster, reachable_home, server_runs
from psycopg.conninfo import conninfo_to_dict

from domainflow.errors import StoreUnavailable
from domainflow.store.embedded import EmbeddedServer, default_home

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    """One data folder for the tests that leave it as good as they found it; a test begins and ends with no client."""
    with reachable_home() as home:
        yield home


@pytest.fixture
def home(shared_home: Path) -> Iterator[Path]:
    yield shared_home
    eventually(lambda: not server_runs(shared_home), "the server has stopped after its last client")


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    with reachable_home() as home:
        yield home


def remember(server: EmbeddedServer, word: str) -> None:
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("create table if not exists memory (word text)")
        connection.execute("insert into memory values (%s)", [word])


def remembered(server: EmbeddedServer) -> set[str]:
    with psycopg.connect(server.dsn()) as connection:
        return {row[0] for row in connection.execute("select word from memory")}


def test_the_server_is_gone_after_kill_9_of_its_only_client(home: Path) -> None:
    with Client(home) as client:
        assert client.answer().startswith("embedded (")
        assert server_runs(home)
        client.kill()
    eventually(lambda: not server_runs(home), "the server is gone")


def test_the_server_is_gone_after_kill_9_of_a_client_that_was_still_starting_it(fresh_home: Path) -> None:
    with Client(fresh_home) as client:
        eventually(lambda: any((fresh_home / "postgres").glob("half-data-*")), "initdb is at work")
        client.kill()
    eventually(lambda: not server_runs(fresh_home), "initdb or the server is gone")
    with EmbeddedServer(fresh_home) as server:
        remember(server, "after the kill")
        assert not list((fresh_home / "postgres").glob("half-*"))


def test_the_server_stays_for_the_second_client_when_the_first_is_killed(home: Path) -> None:
    with Client(home) as first, Client(home) as second:
        assert first.answer() == second.answer()
        before = postmaster(home)
        first.kill()
        with EmbeddedServer(home) as server:
            remember(server, "for the second")
        assert postmaster(home) == before
        assert second.process.poll() is None


def test_what_was_committed_is_there_after_kill_9_of_the_postmaster(home: Path) -> None:
    with EmbeddedServer(home) as server:
        remember(server, "before the kill")
        os.kill(postmaster(home), signal.SIGKILL)
        server.ensure()
        assert "before the kill" in remembered(server)


def test_a_killed_watcher_is_replaced_by_the_next_client(home: Path) -> None:
    with EmbeddedServer(home):
        (watcher,) = watchers(home)
        os.kill(watcher, signal.SIGKILL)
        eventually(lambda: watchers(home) == [], "the watcher is gone")
        with EmbeddedServer(home):
            assert len(watchers(home)) == 1


def test_a_server_that_outlived_its_watcher_and_its_clients_is_stopped_after_the_next(home: Path) -> None:
    with EmbeddedServer(home):
        (watcher,) = watchers(home)
        os.kill(watcher, signal.SIGKILL)
        eventually(lambda: watchers(home) == [], "the watcher is gone")
        orphan = postmaster(home)
    assert server_runs(home)
    with EmbeddedServer(home):
        assert postmaster(home) == orphan


def watchers(home: Path) -> list[int]:
    """The pids of the home's watchers; a process that cannot be read has just ended."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if any(word.endswith("embedded_watcher.py") for word in words) and str(home / "postgres") in words:
            found.append(int(process.name))
    return found


@pytest.mark.parametrize("left", ["{innocent}\n{data}\n1790000000\n5432\n{run}\n\n  1234\nready   \n", "12", ""])
def test_a_stale_pid_file_does_not_stop_the_next_start(home: Path, left: str) -> None:
    with EmbeddedServer(home) as server:
        remember(server, "before the crash")
        os.kill(postmaster(home), signal.SIGKILL)
        eventually(lambda: not server_runs(home), "the killed server is gone")
    folder = home / "postgres"
    account = str(conninfo_to_dict(server.dsn())["requirepeer"])
    # The server's own account, since Postgres takes no process of another for a server of its own.
    innocent = subprocess.Popen(["/bin/sleep", "60"], user=account if ROOT else None)
    try:
        words = {"innocent": innocent.pid, "data": folder / "data", "run": folder / "run"}
        (folder / "data/postmaster.pid").write_text(left.format(**words))
        (folder / "run/.s.PGSQL.5432.lock").write_text(left.format(**words))
        with EmbeddedServer(home) as restarted:
            assert "before the crash" in remembered(restarted)
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_four_processes_that_start_at_once_share_one_server(fresh_home: Path) -> None:
    clients = [Client(fresh_home) for _ in range(4)]
    kinds = {client.answer() for client in clients}
    assert len(kinds) == 1
    assert kinds.pop().startswith("embedded (")
    assert (fresh_home / "postgres/server.log").read_text().count("starting PostgreSQL") == 1
    for client in clients:
        client.kill()
        client.process.communicate()


def test_threads_that_ensure_at_once_get_one_server(home: Path) -> None:
    server = EmbeddedServer(home)
    threads = [threading.Thread(target=server.ensure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(watchers(home)) == 1
    remember(server, "from one of eight")
    server.close()


@pytest.mark.parametrize("name", ["a" * 90, "comma, 'quote' and space"])
def test_a_home_whose_name_is_no_good_for_a_socket_works(fresh_home: Path, name: str) -> None:
    home = fresh_home / name
    with EmbeddedServer(home) as server:
        remember(server, "odd name")
        sockets = Path(str(conninfo_to_dict(server.dsn())["host"]))
        assert sockets.stat().st_mode & 0o777 == 0o700
    eventually(lambda: not sockets.exists(), "the folder of the socket is removed")
    eventually(lambda: not server_runs(fresh_home), "the server is gone")


def test_a_client_can_be_closed_twice_and_opened_again(home: Path) -> None:
    server = EmbeddedServer.attach(home)
    server.close()
    server.close()
    eventually(lambda: not server_runs(home), "the server is gone")
    server.ensure()
    remember(server, "opened again")
    server.close()


def test_the_first_client_chooses_the_settings_and_durability_is_on_unless_it_says_otherwise(home: Path) -> None:
    with EmbeddedServer(home, settings={"work_mem": "5MB"}) as server, psycopg.connect(server.dsn()) as connection:
        shown = {name: connection.execute(f"show {name}").fetchone() for name in ("work_mem", "fsync", "TimeZone")}
        assert shown == {"work_mem": ("5MB",), "fsync": ("on",), "TimeZone": ("UTC",)}
        assert connection.execute("show listen_addresses").fetchone() == ("",)


def test_a_server_that_does_not_start_is_an_error_with_the_end_of_its_log(home: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no_such_setting"):
        EmbeddedServer.attach(home, settings={"no_such_setting": "1"})
    with EmbeddedServer(home) as server:
        assert server.kind.startswith("embedded (")


def test_a_start_that_takes_too_long_is_given_up_and_let_finish_its_recovery(home: Path) -> None:
    EmbeddedServer.attach(home).close()
    eventually(lambda: not server_runs(home), "the server is gone")
    (home / "postgres/data/recovery.signal").touch()
    slow = {"restore_command": "sleep 0.5; false", "hot_standby": "off"}  # asked for five files or so
    with pytest.raises(StoreUnavailable, match="has not started in time"):
        EmbeddedServer.attach(home, settings=slow, start_timeout_s=1.2)
    assert server_runs(home)
    eventually(lambda: not server_runs(home), "it is stopped when it has recovered")
    log = (home / "postgres/server.log").read_text().rpartition("starting PostgreSQL")[2]
    assert log.index("archive recovery complete") < log.index("received fast shutdown request")


def test_a_client_waits_for_a_recovery_that_another_began(home: Path) -> None:
    EmbeddedServer.attach(home).close()
    eventually(lambda: not server_runs(home), "the server is gone")
    (home / "postgres/data/recovery.signal").touch()
    slow = {"restore_command": "sleep 0.5; false", "hot_standby": "off"}
    with pytest.raises(StoreUnavailable, match="has not started in time"):
        EmbeddedServer.attach(home, settings=slow, start_timeout_s=1.2)
    with EmbeddedServer(home) as server:
        psycopg.connect(server.dsn()).close()


@pytest.mark.parametrize("role", ["domainflow_app", "domainflow_upkeep", "domainflow_reader"])
def test_each_role_of_the_migrations_can_log_in(home: Path, role: str) -> None:
    with EmbeddedServer(home) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(f"drop role if exists {role}")
            connection.execute(f"create role {role} login")
        with psycopg.connect(server.dsn(role)) as connection:
            assert connection.execute("select current_user").fetchone() == (role,)


def test_no_account_of_the_system_can_log_in_as_another_role(home: Path) -> None:
    with EmbeddedServer(home) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("drop role if exists stranger")
            connection.execute("create role stranger login")
        with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            psycopg.connect(server.dsn("stranger"))


@pytest.mark.skipif(not DEBIAN_15.exists(), reason="the system has no Postgres 15, the oldest that is supported")
def test_chosen_programs_are_used_and_no_others(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOMAINFLOW_PG_BIN", str(DEBIAN_15))
    with EmbeddedServer(fresh_home) as server:
        assert server.kind.startswith("embedded (DOMAINFLOW_PG_BIN 15.")
        remember(server, "on the oldest")
    eventually(lambda: not server_runs(fresh_home), "the server is gone")
    monkeypatch.delenv("DOMAINFLOW_PG_BIN")
    with EmbeddedServer(fresh_home) as server:
        assert server.kind.startswith("embedded (system 15."), "the wheel is of another major than the data"
        assert remembered(server) == {"on the oldest"}


def test_the_home_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOMAINFLOW_HOME", "/somewhere")
    assert default_home() == Path("/somewhere")
    monkeypatch.delenv("DOMAINFLOW_HOME")
    assert default_home().name == "domainflow"
