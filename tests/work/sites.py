"""A site of one server that is fetched from, for the tests of HTTP."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from batches import batch, pages
from tiny_servers import Site, WebServer, web_server

from domainflow.spec import HttpPersona
from domainflow.work import dns, http
from domainflow.work.port import Input, Page

HERE: Final = ("127.0.0.1",)


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
