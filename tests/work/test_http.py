"""What a fetch makes of an answer: outcome, page, redirects."""

import asyncio
import gzip
from collections import Counter
from pathlib import Path

import pytest
from batches import batch, pages
from sites import beside, closed, fetch, persona, says
from tiny_servers import WebServer, response

from domainflow.errors import InvalidInput, Unavailable
from domainflow.lab.expect import expected
from domainflow.lab.process import Lab
from domainflow.lab.text import LAB_KEYWORDS
from domainflow.lab.world import World
from domainflow.spec import DnsPersona, HttpPersona
from domainflow.vocabulary import HttpOutcome
from domainflow.work import http
from domainflow.work.http_client import CurlClient, Request, Response
from domainflow.work.http_fetch import Fetcher
from domainflow.work.port import Input, Page


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


def test_a_picture_has_no_text(tmp_path: Path) -> None:
    async def scene(server: WebServer) -> None:
        (page,) = await fetch(tmp_path, persona(server))
        assert (page.outcome, page.content_bytes, page.matches) == ("success", 0, ())

    beside(says(response(b"<p>key", "Content-Type: image/png")), scene)


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
