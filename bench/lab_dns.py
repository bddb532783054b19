"""How fast the lab's DNS server answers, beside a bare socket loop that echoes: `python bench/lab_dns.py [--json]`.

Server and client are two processes. Every round measures the echo and the server, one after the other; medians of the
rounds are reported. No fault is on, so every query has an answer.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from _figures import Figure, arguments, show

from domainflow.lab.process import Lab
from domainflow.lab.world import wire_of

QUERIES: Final = 40_000
IN_FLIGHT: Final = 64
LOST_S: Final = 0.5  # without an answer for so long, what is in flight counts as lost
GOAL_QPS: Final = 20_000
GOAL_CPU_US: Final = 30

ECHO: Final = """
import socket
place = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
place.bind(("127.0.0.1", 0))
print(place.getsockname()[1], flush=True)
while True:
    place.sendto(*place.recvfrom(4096))
"""


def queries() -> list[bytes]:
    """One A query a name, with ids that run round."""
    tail = b"\x00\x01\x00\x01"
    return [
        (i & 0xFFFF).to_bytes(2, "big") + b"\x01\x00\x00\x01" + bytes(6) + wire_of(f"bench{i}.com") + tail
        for i in range(QUERIES)
    ]


def ask(place: socket.socket, packets: list[bytes]) -> tuple[float, int]:
    """Send all, at most IN_FLIGHT unanswered; the seconds it took and the answers that came."""
    waiting, answers, lost = iter(packets), 0, 0
    begun = time.perf_counter()
    for _ in range(IN_FLIGHT):
        place.send(next(waiting))
    while answers + lost < len(packets):
        try:
            place.recv(4096)
        except TimeoutError:
            lost += min(IN_FLIGHT, len(packets) - answers - lost)
            refill = IN_FLIGHT
        else:
            answers += 1
            refill = 1
        for _ in range(refill):
            packet = next(waiting, None)
            if packet is not None:
                place.send(packet)
    return time.perf_counter() - begun, answers


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(pid: int, host: str, port: int, packets: list[bytes]) -> tuple[float, float]:
    """Queries a second, and CPU of the server in microseconds a query."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        place.connect((host, port))
        place.settimeout(LOST_S)
        before = cpu_s(pid)
        took_s, answers = ask(place, packets)
        return answers / took_s, (cpu_s(pid) - before) / answers * 1e6


def rounds(count: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(queries/s, CPU µs) of the echo and of the lab, a pair a round."""
    packets = queries()
    echoes, labs = [], []
    echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own text
    try:
        with tempfile.TemporaryDirectory() as home, Lab.start(Path(home), seed=1, faults=False) as lab:
            echo_port = int(echo.stdout.readline()) if echo.stdout else 0
            host, _, port = lab.ports.resolvers[0].rpartition(":")
            for _ in range(count):
                echoes.append(measure(echo.pid, "127.0.0.1", echo_port, packets))
                labs.append(measure(lab.pids[0], host, int(port), packets))
    finally:
        echo.kill()
        echo.communicate()
    return echoes, labs


def figures(count: int) -> Iterator[Figure]:
    """The medians of so many rounds."""
    echoes, labs = rounds(count)
    for index, (name, unit, goal) in enumerate(
        (("lab_dns_queries", "1/s", GOAL_QPS), ("lab_dns_server_cpu", "us/query", GOAL_CPU_US))
    ):
        value, baseline = (statistics.median(found[index] for found in kind) for kind in (labs, echoes))
        yield Figure(name, value, unit, baseline, goal)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    show(figures(asked.rounds), as_json=asked.json)


if __name__ == "__main__":
    main()
