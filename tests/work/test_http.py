import asyncio
import gzip
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from batches import batch, pages
from tiny_servers import Site, WebServer, response, web_server

from domainflow.errors import InvalidInput, Unavailable
from domainflow.lab.expect import expected
from domainflow.lab.process import Lab
from domainflow.lab.text import LAB_KEYWORDS
from domainflow.lab.world import World
from domainflow.spec import DnsPersona, HttpPersona
from domainflow.vocabulary import HttpOutcome
from domainflow.work import dns, http
from domainflow.work.http_address import is_public
from domainflow.work.http_client import CurlClient, Request, Response
from domainflow.work.http_fetch import Fetcher
from domainflow.work.port import Input, Page

HERE = ("127.0.0.1",)
TEXT = "Content-Type: text/html"


async def closed() -> None:
    await http.aclose()
    await dns.aclose()


def persona(server: WebServer, **changes: object) -> HttpPersona:
    """Port 80 of any name is the server."""
    fixed = {"ports": (80,), "connect_ports": {"80": server.port}, "allow_private": True, "request_timeout_s": 2.0}
    return HttpPersona(**fixed | changes)  # type: ignore[arg-type]  # by name


async def fetch(home: Path, http_persona: HttpPersona, *names: str, addresses: tuple[str, ...] = HERE) -> list[Page]:
    names = names or ("site.test",)
    inputs = tuple(Input(place, addresses) for place in range(len(names)))
    result = await http.run(batch(home, names, http=http_persona, inputs=inputs, keywords=("key",)))
    found = pages(result)
    assert dict(result.counts) == Counter(page.outcome for page in found.values())
    return [found[place] for place in range(len(names))]


def beside(site: Site, scene: Callable[[WebServer], Awaitable[None]]) -> None:
    async def play() -> None:
        async with web_server(site) as server:
            try:
                await scene(server)
            finally:
                await closed()

    asyncio.run(play())


def says(*messages: bytes) -> Site:
    async def site(_head: bytes, writer: asyncio.StreamWriter) -> None:
        for message in messages:
            writer.write(message)
        await writer.drain()

    return site


def test_every_site_of_the_lab_ends_as_the_lab_says(tmp_path: Path, lab: Lab, world: World) -> None:
    names = [name for name in (f"shop{i}.com" for i in range(1500)) if world.host(name).resolves]
    spec = batch(
        tmp_path,
        names,
        dns=DnsPersona(resolvers=("lab",), query_timeout_s=0.5),
        http=HttpPersona(connect_ports="lab", trust="lab", allow_private=True, request_timeout_s=4.0, max_in_flight=40),
        inputs=tuple(Input(place) for place in range(len(names))),  # without addresses: they are resolved first
        keywords=LAB_KEYWORDS,
        lab=lab.ports,
    )

    async def play() -> dict[int, Page]:
        try:
            return pages(await http.run(spec))
        finally:
            await closed()

    found = asyncio.run(play())
    wanted = {place: expected(world, name) for place, name in enumerate(names)}
    assert {place: page.outcome for place, page in found.items()} == {p: want.http for p, want in wanted.items()}
    reached = {place: want for place, want in wanted.items() if want.status}
    assert {p: (found[p].status, found[p].final_url) for p in reached} == {
        p: (want.status, want.final_url) for p, want in reached.items()
    }
    good = {p: want.planted for p, want in reached.items() if want.http is HttpOutcome.SUCCESS and want.planted}
    assert len(good) > 100
    for place, planted in good.items():
        page = found[place]
        counts = Counter(dict(planted.text_keywords)) + Counter(planted.title_keywords)
        assert {match.keyword: match.count for match in page.matches} == counts
        assert {match.keyword for match in page.matches if match.in_title} == set(planted.title_keywords)
        assert (page.title, page.parked >= 0.5) == (planted.title, planted.parked)


def test_a_page_is_kept_with_what_it_says(tmp_path: Path) -> None:
    body = "<html lang=en><title>Key shop</title><p>the key is é".encode("latin-1")

    async def scene(server: WebServer) -> None:
        (page,) = await fetch(tmp_path, persona(server))
        assert (page.outcome, page.status, page.final_url, page.error) == ("success", 200, "http://site.test/", "")
        assert (page.title, page.charset, page.language, page.content_bytes) == ("Key shop", "cp1252", "en", 13)
        assert [(match.keyword, match.count, match.in_title, match.snippet) for match in page.matches] == [
            ("key", 2, True, "the key is é")
        ]

    beside(says(response(body, "Content-Type: text/html; charset=iso-8859-1")), scene)


@pytest.mark.parametrize(
    ("status", "allowed", "outcome"),
    [
        (200, (), "success"),
        (299, (), "success"),
        (300, (), "failed"),
        (404, (), "failed"),
        (404, (404,), "success"),
        (200, (404,), "failed"),
        (301, (301,), "success"),
    ],
)
def test_an_allowed_status_is_a_success_and_another_failed(
    tmp_path: Path, status: int, allowed: tuple[int, ...], outcome: str
) -> None:
    async def scene(server: WebServer) -> None:
        (page,) = await fetch(tmp_path, persona(server, allowed_status_codes=allowed))
        assert (page.outcome, page.status) == (outcome, status)

    beside(says(response(b"x", "Location: /elsewhere", status=status)), scene)


def test_the_user_agent_and_the_headers_are_sent_in_the_order_of_the_persona(tmp_path: Path) -> None:
    async def scene(server: WebServer) -> None:
        await fetch(
            tmp_path, persona(server, user_agent="Tester/1", headers=(("X-Two", "2"), ("Accept", "a/b"), ("A", "")))
        )
        lines = server.heads[0].decode().split("\r\n")
        assert lines[:3] == ["GET / HTTP/1.1", "Host: site.test", "User-Agent: Tester/1"]
        assert [line for line in lines if line.startswith(("X-", "A:", "Accept:"))] == ["X-Two: 2", "Accept: a/b", "A:"]

    beside(says(response()), scene)


@pytest.mark.parametrize(("size", "outcome", "error"), [(2000, "success", ""), (2001, "error", "too_large")])
@pytest.mark.parametrize("packed", [False, True])
def test_the_cap_on_bodies_is_exact_after_decompression(
    tmp_path: Path,
    size: int,
    outcome: str,
    error: str,
    packed: bool,  # noqa: FBT001  (a parameter of the case)
) -> None:
    body = b"a" * size
    sent = response(gzip.compress(body), "Content-Encoding: gzip") if packed else response(body)

    async def scene(server: WebServer) -> None:
        (page,) = await fetch(tmp_path, persona(server, body_cap_bytes=2000))
        assert (page.outcome, page.error, page.content_bytes) == (outcome, error, size if outcome == "success" else 0)

    beside(says(sent), scene)


def test_as_many_redirects_as_allowed_are_followed_and_not_one_more(tmp_path: Path) -> None:
    async def site(head: bytes, writer: asyncio.StreamWriter) -> None:
        left = int(head.split()[1].strip(b"/") or 3)
        writer.write(response(b"end") if left == 9 else response(b"", f"Location: /{left + 1}", status=302))

    async def scene(server: WebServer) -> None:  # / leads to /4, ... /9: six redirects
        (enough,) = await fetch(tmp_path, persona(server, follow_redirects=6))
        assert (enough.outcome, enough.final_url) == ("success", "http://site.test/9")
        assert len(server.heads) == 7
        (too_few,) = await fetch(tmp_path, persona(server, follow_redirects=5))
        assert (too_few.outcome, too_few.error) == ("error", "too_many_redirects")
        assert too_few.final_url == "http://site.test/8"  # the last one asked, not where it led
        assert len(server.heads) == 7 + 6

    beside(site, scene)


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://site.test/", "http://localhost/", "http://0x7f.1/", "http://[::1/"]
)
def test_a_redirect_that_leads_nowhere_is_an_error(tmp_path: Path, location: str) -> None:
    async def scene(server: WebServer) -> None:
        (page,) = await fetch(tmp_path, persona(server))
        assert (page.outcome, page.error, len(server.heads)) == ("error", "bad_redirect", 1)

    beside(says(response(b"", f"Location: {location}", status=301)), scene)


def test_a_redirect_drops_credentials_and_encodes_what_is_not_ascii(tmp_path: Path) -> None:
    async def site(head: bytes, writer: asyncio.StreamWriter) -> None:
        first = head.startswith(b"GET / ")
        location = "Location: http://me:pw@127.0.0.1/caf\u00e9 au?lait=1#end"
        writer.write(
            response(b"", status=302).replace(b"\r\n\r\n", f"\r\n{location}\r\n\r\n".encode("latin-1"))
            if first
            else response(b"x")
        )

    async def scene(server: WebServer) -> None:
        (page,) = await fetch(tmp_path, persona(server))
        assert (page.outcome, page.final_url) == ("success", "http://127.0.0.1/caf%C3%A9%20au?lait=1")
        assert b"Authorization" not in server.heads[1]

    beside(site, scene)


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


class _Redirecting(CurlClient):
    """Answers a public address with a redirect, since no public address can be reached from a test."""

    def __init__(self, location: str) -> None:
        super().__init__()
        self._location = location
        self.asked: list[str] = []

    async def get(self, request: Request) -> Response:
        self.asked.append(request.address)
        return Response(status=302, location=self._location, content_type="", body=b"")


@pytest.mark.parametrize("location", ["http://127.0.0.1/", "http://[::ffff:10.0.0.1]/", "http://inner.test/"])
def test_a_redirect_to_a_private_address_is_refused(location: str) -> None:
    async def resolve(host: str) -> tuple[str, ...]:
        return {"site.test": ("8.8.8.8",), "inner.test": ("169.254.169.254", "fd00::1")}[host]

    async def play() -> None:
        client = _Redirecting(location)
        fetched = await Fetcher(HttpPersona(ports=(80,)), None, 1.0).fetch(client, "site.test", resolve)
        await client.aclose()
        assert (fetched.response, fetched.word, client.asked) == (None, "blocked_address", ["8.8.8.8"])

    asyncio.run(play())


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


def test_a_picture_has_no_text(tmp_path: Path) -> None:
    async def scene(server: WebServer) -> None:
        (page,) = await fetch(tmp_path, persona(server))
        assert (page.outcome, page.content_bytes, page.matches) == ("success", 0, ())

    beside(says(response(b"<p>key", "Content-Type: image/png")), scene)


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


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"headers": (("A", "b\r\nC: d"),)}, InvalidInput),
        ({"headers": (("A b", "c"),)}, InvalidInput),
        ({"user_agent": "a\nb"}, InvalidInput),
        ({"trust": "/no/such/file"}, InvalidInput),
        ({"connect_ports": {"x": 1}}, InvalidInput),
        ({"trust": "lab"}, Unavailable),
        ({"connect_ports": "lab"}, Unavailable),
    ],
)
def test_a_persona_that_cannot_be_used_is_refused(changes: dict[str, str], error: type[Exception]) -> None:
    async def play() -> None:
        with pytest.raises(error, match=r"http\."):
            Fetcher(HttpPersona(**changes), None, 1.0)  # type: ignore[arg-type]  # by name

    asyncio.run(play())
