"""The lab as processes: start both servers, say where they listen, end them. Nothing here speaks DNS or HTTP."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypedDict, Unpack

import msgspec

from domainflow.errors import Unavailable
from domainflow.lab.child import FirstWords, ServerSettings
from domainflow.lab.dns_server import ADDRESSES
from domainflow.lab.home import PORTS_FILE, HeldHome, read_ports
from domainflow.lab.world import DEFAULT_RESOLVING
from domainflow.work.port import LabPorts

__all__ = ["CA_FILE", "PORTS_FILE", "Lab", "LabOptions", "read_ports", "serve"]  # two of them stand in `home`

CA_FILE: Final = "lab-ca.pem"
_START_S: Final = 30.0  # a loaded machine imports slowly
_END_S: Final = 5.0
_WATCH_S: Final = 0.5
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)

_Server = subprocess.Popen[bytes]


class LabOptions(TypedDict, total=False):
    """What a lab may be told."""

    faults: bool  # True: as the table of `domainflow.lab`; False: everything answers at once
    resolving: float  # share of names that resolve, 0..1; 0.18
    dns_port: int  # 0, the default, takes a free one; likewise below
    http_port: int
    https_port: int


class Lab:
    """A running lab. Its servers end with `close`, with the `with` block, or with this process however it dies."""

    def __init__(self, home: HeldHome, ports: LabPorts, servers: tuple[_Server, ...]) -> None:
        self._home = home
        self.ports = ports
        self._servers = servers

    @classmethod
    def start(cls, home: Path, seed: int, **options: Unpack[LabOptions]) -> Self:
        """Start both servers and write `home/lab.json` once they listen.

        `home` is made if it is missing; its certificate authority is kept, its ports are new each time. Raises
        Unavailable when another lab runs in it, a port is taken, a server fails or the home cannot be written; then no
        process is left.
        """
        held = HeldHome(home)
        servers: list[_Server] = []
        deadline = time.monotonic() + _START_S
        try:
            for module, settings in _plan(home.resolve(), seed, options).items():
                servers.append(_spawn(module, settings))  # one by one: those already started must be known
            (dns,), (http, https) = (_first_words(server, deadline).ports for server in servers)
            lab_ports = LabPorts(
                seed=seed,
                resolvers=tuple(f"{address}:{dns}" for address in ADDRESSES),
                http_port=http,
                https_port=https,
                ca_file=str(home.resolve() / CA_FILE),
            )
            held.publish(lab_ports)
        except BaseException:
            _end(servers)
            held.leave()
            raise
        return cls(held, lab_ports, tuple(servers))

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the DNS and the web server."""
        return tuple(server.pid for server in self._servers)

    @property
    def alive(self) -> bool:
        """Whether both servers run."""
        return all(server.poll() is None for server in self._servers)

    def close(self) -> None:
        """End both servers, within seconds, and leave the home to others. Twice is once."""
        _end(list(self._servers))
        self._home.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(
    home: Path,
    seed: int,
    *,
    on_ready: Callable[[LabPorts], None] = lambda _ports: None,
    **options: Unpack[LabOptions],
) -> None:
    """Run a lab until SIGINT or SIGTERM; `on_ready` is told its ports. Only in the main thread.

    Raises Unavailable when the lab cannot start or one of its servers ends by itself.
    """
    with _ending() as signals, Lab.start(home, seed, **options) as lab:
        on_ready(lab.ports)
        while not select.select([signals], [], [], _WATCH_S)[0]:
            if not lab.alive:
                raise Unavailable("lab: a server process ended by itself; both are stopped. Start the lab again.")


@contextmanager
def _ending() -> Iterator[int]:
    """A descriptor that has something to read once SIGINT or SIGTERM has come.

    A pipe and not an Event: the handler runs in the thread that waits, and might find the Event's lock held by it.
    """
    reader, writer = os.pipe()
    before = {number: signal.signal(number, lambda *_: os.write(writer, b"!")) for number in _ENDING}
    try:
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _plan(home: Path, seed: int, options: LabOptions) -> dict[str, ServerSettings]:
    shared = ServerSettings(
        seed=seed,
        faults=options.get("faults", True),
        resolving=options.get("resolving", DEFAULT_RESOLVING),
        home=str(home),
        ports=(options.get("dns_port", 0),),
    )
    web = (options.get("http_port", 0), options.get("https_port", 0))
    return {"dns_server": shared, "web_server": msgspec.structs.replace(shared, ports=web)}


def _spawn(module: str, settings: ServerSettings) -> _Server:
    command = [sys.executable, "-m", f"domainflow.lab.{module}", msgspec.json.encode(settings).decode()]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  # our own module


def _first_words(server: _Server, deadline: float) -> FirstWords:
    """What a server says first. Raises Unavailable with its reason, or if it says nothing in time."""
    if server.stdout is None:
        raise Unavailable("lab: a server was started without standard output")
    ready, _, _ = select.select([server.stdout], [], [], max(0.0, deadline - time.monotonic()))
    line = server.stdout.readline() if ready else b""
    if not line:
        raise Unavailable(
            f"lab: a server did not listen within {_START_S:g} s, or ended; its words are on standard error"
        )
    words = msgspec.json.decode(line, type=FirstWords)
    if words.error:
        raise Unavailable(words.error)
    return words


def _end(servers: list[_Server]) -> None:
    for server in servers:
        if server.stdin is not None:
            server.stdin.close()  # the sign to end
    for server in servers:
        try:
            server.wait(_END_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if server.stdout is not None:
            server.stdout.close()
