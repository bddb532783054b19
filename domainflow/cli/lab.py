"""`domainflow lab`: the loopback internet on its own."""

from functools import partial
from typing import Annotated

from cyclopts import Parameter

from domainflow.cli.options import DEFAULT_SEED, Global, Options
from domainflow.cli.output import Output
from domainflow.cli.session import home_of, log_as_told
from domainflow.errors import InvalidInput
from domainflow.lab.process import serve
from domainflow.lab.world import DEFAULT_RESOLVING
from domainflow.security.input import MAX_PORT
from domainflow.work.port import LabPorts


def lab(  # noqa: PLR0913 - one a setting of the lab
    *,
    seed: int = DEFAULT_SEED,
    dns_port: int = 0,
    http_port: int = 0,
    https_port: int = 0,
    resolving: float = DEFAULT_RESOLVING,
    faults: Annotated[bool, Parameter(negative="--no-faults")] = True,
    options: Global,
) -> int:
    """Serve a small internet on loopback, made from a seed, until Ctrl-C.

    Parameters
    ----------
    seed
        What the lab is made from: the same seed gives the same answers. 7 unless told otherwise.
    dns_port
        Port of the DNS server; 0, the default, takes a free one. Likewise the two below.
    http_port
        Port of the web server.
    https_port
        Port of the web server with TLS.
    resolving
        Share of the names that resolve, 0 to 1; 0.18 unless told otherwise.
    faults
        Time-outs, refusals, broken pages. Without, everything answers at once.
    """
    for name, port in (("--dns-port", dns_port), ("--http-port", http_port), ("--https-port", https_port)):
        if not 0 <= port <= MAX_PORT:
            raise InvalidInput(f"{name}: {port} must be from 0 to {MAX_PORT}")
    if not 0 <= resolving <= 1:
        raise InvalidInput(f"--resolving: {resolving} must be from 0 to 1")
    log_as_told(options)
    serve(
        home_of(options),
        seed,
        on_ready=partial(_say, options),
        faults=faults,
        resolving=resolving,
        dns_port=dns_port,
        http_port=http_port,
        https_port=https_port,
    )
    return 0


def _say(options: Options, ports: LabPorts) -> None:
    output = Output(json=options.json)
    if options.json:
        output.object(ports)
        return
    output.line(f"lab of seed {ports.seed} in {home_of(options)}")
    where = f"DNS {ports.resolvers[0]}, HTTP port {ports.http_port}, HTTPS port {ports.https_port}"
    output.line(f"{where}; Ctrl-C ends it")
