"""One lab a home: whoever brings a second one is refused in one line that names the first."""

import os

import pytest

from domainflow.lab.process import Lab, read_ports
from tests.cli.conftest import Cli


@pytest.mark.parametrize("words", [("lab", "--seed", "4"), ("worker", "--lab")], ids=["lab", "worker"])
def test_a_second_lab_in_a_home_is_unavailable_and_the_first_goes_on(cli: Cli, words: tuple[str, ...]) -> None:
    home = cli.home / "taken"
    with Lab.start(home, 3) as first:
        refused = cli(*words, "--home", str(home))
        assert refused.returncode == 3
        assert refused.stderr == (
            f"error: lab: one runs in {home} already (process {os.getpid()}, DNS {first.ports.resolvers[0]}, "
            f"HTTP port {first.ports.http_port}, HTTPS port {first.ports.https_port}); end it, or give another home\n"
        )
        assert read_ports(home) == first.ports
        assert first.alive
