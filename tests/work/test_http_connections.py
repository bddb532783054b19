"""Which ports and addresses a fetch connects to, and how many at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sites import beside, closed, fetch, persona, says
from tiny_servers import WebServer, response, web_server

from domainflow.work.http_address import is_public


@asynccontextmanager
async def free_port() -> AsyncIterator[int]:
    """A port that nothing listens on."""
    async with web_server(says()) as server:
        port = server.port
    yield port


def test_the_next_port_is_tried_when_no_connection_was_made(tmp_path: Path) -> None:
    async def scene(server: WebServer) -> None:
        async with free_port() as nothing:
            both = persona(server, ports=(443, 80), connect_ports={"443": nothing, "80": server.port})
            (page,) = await fetch(tmp_path, both)
            assert (page.outcome, page.final_url) == ("success", "http://site.test/")
            none = persona(server, ports=(443, 80), connect_ports={"443": nothing, "80": nothing})
            (page,) = await fetch(tmp_path, none)
            assert (page.outcome, page.error, page.final_url) == ("error", "refused", "http://site.test/")

    beside(says(response(b"x")), scene)


def test_the_next_port_is_tried_when_tls_fails(tmp_path: Path) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def scene(server: WebServer) -> None:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listener:
            no_tls = listener.sockets[0].getsockname()[1]
            both = persona(server, ports=(443, 80), connect_ports={"443": no_tls, "80": server.port})
            (page,) = await fetch(tmp_path, both)
            assert (page.outcome, page.final_url) == ("success", "http://site.test/")
            (page,) = await fetch(tmp_path, persona(server, ports=(443,), connect_ports={"443": no_tls}))
            assert (page.outcome, page.error) == ("error", "tls")

    beside(says(response(b"x")), scene)


def test_a_time_out_ends_the_fetch_without_another_port(tmp_path: Path) -> None:
    async def never(_head: bytes, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def scene(server: WebServer) -> None:
        slow = persona(
            server, ports=(80, 8080), connect_ports={"80": server.port, "8080": server.port}, request_timeout_s=0.2
        )
        (page,) = await fetch(tmp_path, slow)
        assert (page.outcome, page.error) == ("timeout", "timeout")
        assert 200 <= page.elapsed_ms < 1000  # no answer ever came to compare with: it is tried three times
        assert not any(b":8080" in head for head in server.heads)

    beside(never, scene)


def test_the_next_address_is_tried_when_one_refuses(tmp_path: Path) -> None:
    async def scene(server: WebServer) -> None:  # nothing listens on 127.9.9.9
        (page,) = await fetch(tmp_path, persona(server), addresses=("127.9.9.9", "127.0.0.1"))
        assert page.outcome == "success"

    beside(says(response(b"x")), scene)


def test_a_private_address_is_not_connected_to_unless_allowed(tmp_path: Path) -> None:
    async def scene(server: WebServer) -> None:
        (page,) = await fetch(tmp_path, persona(server, allow_private=False))
        assert (page.outcome, page.error, server.most_open) == ("error", "blocked_address", 0)

    beside(says(response(b"x")), scene)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",  # noqa: S104  (asked about, not bound)
     "::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "127.1", ""],
)  # fmt: skip
def test_an_address_outside_the_public_internet_is_told(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_public_internet_is_told(address: str) -> None:
    assert is_public(address)


def test_a_proxy_of_the_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def scene(server: WebServer) -> None:
        (page,) = await fetch(tmp_path, persona(server))
        assert page.outcome == "success"

    beside(says(response(b"x")), scene)


def test_never_more_requests_in_flight_than_the_persona_allows_over_all_batches(tmp_path: Path) -> None:
    three = asyncio.Barrier(3)  # each waits for two more

    async def site(_head: bytes, writer: asyncio.StreamWriter) -> None:
        await three.wait()
        writer.write(response(b"x"))

    async def scene(server: WebServer) -> None:
        narrow = persona(server, max_in_flight=3)
        batches = [
            asyncio.create_task(fetch(tmp_path, narrow, *(f"{lane}{i}.test" for i in range(6)))) for lane in "ab"
        ]
        await asyncio.gather(*batches)
        assert (len(server.heads), server.most_open) == (12, 3)

    beside(site, scene)


def test_the_rate_limit_holds_for_all_batches_of_a_worker_together(tmp_path: Path) -> None:
    async def scene(server: WebServer) -> None:
        limited = persona(server, rate_limit_qps=50, rate_limit_burst=4)
        began_s = time.monotonic()
        await asyncio.gather(*(fetch(tmp_path, limited, *(f"{lane}{i}.test" for i in range(7))) for lane in "ab"))
        assert time.monotonic() - began_s >= 0.2  # four at once, ten more at 50 a second

    beside(says(response(b"x")), scene)


def test_a_cancelled_batch_closes_its_connections(tmp_path: Path) -> None:
    async def never(_head: bytes, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def scene(server: WebServer) -> None:
        began_s = time.monotonic()
        stuck = asyncio.create_task(fetch(tmp_path, persona(server, request_timeout_s=60.0)))
        await server.heard.wait()
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck
        await closed()
        assert time.monotonic() - began_s < 5

    beside(never, scene)
