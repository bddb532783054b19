import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import dns.message
import dns.query
import msgspec
import pytest

from domainflow.errors import Unavailable
from domainflow.lab.home import HeldHome
from domainflow.lab.process import Lab, LabOptions, read_ports
from domainflow.work.port import LabPorts

END_S = 10.0
Spawn = Callable[[str], subprocess.Popen[str]]

PARENT = """
import sys
from pathlib import Path
from domainflow.lab.process import Lab
lab = Lab.start(Path(sys.argv[1]), 3)
print(*lab.pids, flush=True)
sys.stdin.read()
"""

SERVE = """
import sys
from pathlib import Path
from domainflow.lab.process import serve
serve(Path(sys.argv[1]), 3, on_ready=lambda ports: print(ports.http_port, flush=True))
print("ended", flush=True)
"""

# The signal comes when the thread that serves has just taken a lock, whichever is the first.
SERVE_LOCKED = """
import signal, sys
from pathlib import Path
from domainflow.lab.process import serve
def interrupt(frame, what, called):
    if what == "c_return" and called.__name__ in ("acquire", "__enter__"):
        sys.setprofile(None)
        signal.raise_signal(signal.SIGTERM)
serve(Path(sys.argv[1]), 3, on_ready=lambda ports: sys.setprofile(interrupt))
print("ended", flush=True)
"""

KILLED = LabPorts(seed=1, resolvers=("127.0.1.1:9",), http_port=9, https_port=9, ca_file="")


def answers(ports: LabPorts) -> bool:
    host, _, port = ports.resolvers[0].rpartition(":")
    query = dns.message.make_query("hub-1.lab.test", "A")
    return bool(dns.query.udp(query, host, 5, int(port)).answer)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Runs a text as a process with the test's home; none outlives its test."""
    with ExitStack() as stack:

        def start(text: str) -> subprocess.Popen[str]:
            command, pipe = [sys.executable, "-c", text, str(tmp_path)], subprocess.PIPE
            started = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)  # noqa: S603  # ours
            stack.enter_context(started)
            stack.callback(started.kill)
            return started

        yield start


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_the_ports_stand_in_the_home_while_the_lab_runs(tmp_path: Path) -> None:
    assert read_ports(tmp_path) is None
    with Lab.start(tmp_path, 3) as lab:
        assert read_ports(tmp_path) == lab.ports
        assert lab.alive
        assert len(lab.ports.resolvers) == 4
        assert Path(lab.ports.ca_file) == tmp_path / "lab-ca.pem"
        assert answers(lab.ports)
    assert read_ports(tmp_path) is None
    assert not lab.alive


def test_two_labs_run_beside_each_other(tmp_path: Path) -> None:
    with Lab.start(tmp_path / "a", 3) as one, Lab.start(tmp_path / "b", 4) as other:
        assert answers(one.ports)
        assert answers(other.ports)
        assert one.ports.http_port != other.ports.http_port


def test_a_restarted_lab_has_its_own_ports_and_the_same_authority(tmp_path: Path) -> None:
    with Lab.start(tmp_path, 3) as first:
        before = (tmp_path / "lab-ca.pem").read_bytes()
    with Lab.start(tmp_path, 3) as second:
        first.close()
        assert read_ports(tmp_path) == second.ports  # a lab that has left takes no other's file away
        assert second.ports != first.ports
        assert (tmp_path / "lab-ca.pem").read_bytes() == before
        assert (tmp_path / "lab-ca.key").stat().st_mode & 0o077 == 0


def test_servers_end_when_their_parent_is_killed(tmp_path: Path, spawn: Spawn) -> None:
    parent = spawn(PARENT)
    watched = [os.pidfd_open(int(pid)) for pid in first_line(parent).split()]
    try:
        parent.kill()
        parent.communicate()
        ended: set[int] = set()
        while len(ended) < 2:
            ready = select.select([fd for fd in watched if fd not in ended], [], [], END_S)[0]
            assert ready, "a server outlived its parent"
            ended.update(ready)
    finally:
        for descriptor in watched:
            os.close(descriptor)
    assert read_ports(tmp_path) is not None  # nobody was left to take it away; the next start writes it anew


def test_a_second_lab_in_a_home_is_refused_by_the_name_of_the_first_until_that_one_ends(tmp_path: Path) -> None:
    with Lab.start(tmp_path, 3) as first:
        where = (
            f"DNS {first.ports.resolvers[0]}, HTTP port {first.ports.http_port}, HTTPS port {first.ports.https_port}"
        )
        with pytest.raises(Unavailable) as refused:
            Lab.start(tmp_path, 4)
        assert str(refused.value) == (
            f"lab: one runs in {tmp_path} already (process {os.getpid()}, {where}); end it, or give another home"
        )
        assert read_ports(tmp_path) == first.ports
        assert answers(first.ports)
    with Lab.start(tmp_path, 4) as second:
        assert read_ports(tmp_path) == second.ports


def test_a_lab_that_is_still_starting_is_named_without_ports(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_bytes(msgspec.json.encode(KILLED))
    held = HeldHome(tmp_path)
    with pytest.raises(Unavailable, match=rf"already \(process {os.getpid()}, still starting\)"):
        Lab.start(tmp_path, 3)
    held.leave()


def test_a_lab_that_was_killed_keeps_nobody_out(tmp_path: Path, spawn: Spawn) -> None:
    parent = spawn(PARENT)
    first_line(parent)
    with pytest.raises(Unavailable, match=rf"already \(process {parent.pid}, DNS 127"):
        Lab.start(tmp_path, 3)
    parent.kill()
    parent.communicate()
    with Lab.start(tmp_path, 3) as lab:
        assert read_ports(tmp_path) == lab.ports
        assert answers(lab.ports)


def test_a_start_that_fails_leaves_the_home_to_others(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.1.2", 0))
        taken.listen()
        with pytest.raises(Unavailable, match="in use"):
            Lab.start(tmp_path, 3, http_port=taken.getsockname()[1])
    with Lab.start(tmp_path, 3) as lab:
        assert answers(lab.ports)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_blocks_until_a_signal(spawn: Spawn, number: signal.Signals) -> None:
    process = spawn(SERVE)
    port = int(first_line(process))
    socket.create_connection(("127.0.1.1", port), 5).close()
    process.send_signal(number)
    assert process.communicate(timeout=END_S)[0] == "ended\n"
    assert process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.1.1", port), 5)


def test_a_signal_that_finds_a_lock_held_ends_it_all_the_same(spawn: Spawn) -> None:
    process = spawn(SERVE_LOCKED)
    assert process.communicate(timeout=END_S)[0] == "ended\n"


@pytest.mark.parametrize("victim", [0, 1])
def test_serve_ends_with_a_reason_when_a_server_dies(tmp_path: Path, spawn: Spawn, victim: int) -> None:
    process = spawn(SERVE)
    first_line(process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    os.kill(int(children[victim]), signal.SIGKILL)
    _, errors = process.communicate(timeout=END_S)
    assert process.returncode == 1
    assert "domainflow.errors.Unavailable: lab: a server process ended by itself" in errors
    assert read_ports(tmp_path) is None


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"cannot make its home .*/file/home: Not a directory"):
        Lab.start(tmp_path / "file" / "home", 3)


def test_an_unreadable_ports_file_is_no_lab(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_bytes(b'{"seed": 3')
    assert read_ports(tmp_path) is None


@pytest.mark.parametrize("service", ["dns", "http", "https"])
def test_a_taken_port_is_named(tmp_path: Path, service: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.1.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        choices: dict[str, LabOptions] = {
            "dns": {"dns_port": port},
            "http": {"http_port": port},
            "https": {"https_port": port},
        }
        with pytest.raises(Unavailable, match=rf"(?i)cannot listen for {service} on 127\.0\.1\.1.*in use.*port {port}"):
            Lab.start(tmp_path, 3, **choices[service])
    assert read_ports(tmp_path) is None


def test_a_chosen_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.1.1", 0))
        port = free.getsockname()[1]
    with Lab.start(tmp_path, 3, http_port=port) as lab:
        assert lab.ports.http_port == port
