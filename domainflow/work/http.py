"""The HTTP phase of a batch: each name's site is fetched and searched for keywords.

Here are the batch and the sharing within a worker. How a site is fetched is in `http_fetch`, what a page says in
`text`, `keywords` and `parked`.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import Final

import msgspec

from domainflow.spec import HttpPersona
from domainflow.vocabulary import HttpOutcome
from domainflow.work import dns
from domainflow.work.generation import batch_names
from domainflow.work.http_client import CurlClient, Response
from domainflow.work.http_fetch import Fetched, Fetcher
from domainflow.work.keywords import KeywordIndex, index_of
from domainflow.work.parked import parked_confidence
from domainflow.work.port import BatchResult, BatchSpec, Hit, Input, LabPorts, Page
from domainflow.work.shared import Shared
from domainflow.work.text import read_page

_URL_CHARS: Final = 2000
_SUCCESSES: Final = range(200, 300)
_TEXT_TYPES: Final = ("text/", "application/xhtml+xml", "application/xml")


def _make_fetcher(key: tuple[bytes, LabPorts | None, float]) -> Fetcher:
    encoded, lab, rate_share = key
    return Fetcher(msgspec.json.decode(encoded, type=HttpPersona), lab, rate_share)


# Limits are a persona's over all batches of this worker; a persona is told by its bytes, as it cannot be hashed.
_FETCHERS: Final[Shared[tuple[bytes, LabPorts | None, float], Fetcher]] = Shared(_make_fetcher)
_CLIENTS: Final[Shared[None, CurlClient]] = Shared(lambda _: CurlClient())


async def run(spec: BatchSpec) -> BatchResult:
    """Fetch the sites of a batch's inputs.

    `counts` has the outcomes by HttpOutcome without zeros and sums to the inputs; `hits` has a `Page` for every input.
    An input without addresses is resolved first. Raises InvalidInput or Unavailable for personas or rules that cannot
    be used; a site's own failure is its page.
    """
    names = batch_names(spec)
    batch = _Batch(spec, [(entry, names[entry.position - spec.start]) for entry in spec.inputs])
    key = (msgspec.json.encode(spec.http), spec.lab, spec.rate_share)
    async with _CLIENTS.use(None) as client, _FETCHERS.use(key) as fetcher:
        await batch.resolve_the_rest()
        pages = await batch.fetch_all(client, fetcher)
    counts = Counter(str(page.outcome) for page in pages)
    hits = (Hit(entry.position, msgspec.msgpack.encode(page)) for entry, page in zip(spec.inputs, pages, strict=True))
    return BatchResult(item=spec.item, fence=spec.fence, counts=tuple(sorted(counts.items())), hits=tuple(hits))


async def aclose() -> None:
    """Free what no batch of this loop uses. A worker never needs it; an embedding loop that ends does."""
    await _FETCHERS.aclose()
    await _CLIENTS.aclose()


class _Batch:
    def __init__(self, spec: BatchSpec, inputs: list[tuple[Input, str | None]]) -> None:
        self._spec = spec
        self._inputs = inputs
        self._index = index_of(spec.keywords)
        self._known = {name: entry.addresses for entry, name in inputs if name is not None and entry.addresses}

    async def resolve_the_rest(self) -> None:
        """Resolve all inputs that came without addresses, at once."""
        missing = [name for _, name in self._inputs if name is not None and name not in self._known]
        for lookup in await dns.resolve(self._spec, missing):
            if lookup is not None:
                self._known[lookup.name] = lookup.addresses

    async def resolve(self, host: str) -> tuple[str, ...]:
        """The addresses of a name of this batch or of one that a redirect leads to."""
        if host not in self._known:
            (lookup,) = await dns.resolve(self._spec, [host])
            self._known[host] = () if lookup is None else lookup.addresses
        return self._known[host]

    async def fetch_all(self, client: CurlClient, fetcher: Fetcher) -> list[Page]:
        """The page of each input, in their order; as many under way as the persona has slots."""
        pages = [Page(outcome=HttpOutcome.ERROR, error="unresolved")] * len(self._inputs)
        left = iter(enumerate(self._inputs))

        async def lane(places: Iterator[tuple[int, tuple[Input, str | None]]]) -> None:
            for place, (_, name) in places:
                if name is not None:
                    pages[place] = await self._page(client, fetcher, name)

        try:
            async with asyncio.TaskGroup() as lanes:
                for _ in range(min(self._spec.http.max_in_flight, len(self._inputs))):
                    lanes.create_task(lane(left))
        except ExceptionGroup as group:  # such as no resolver for where a redirect leads; each lane says the same
            raise group.exceptions[0] from None
        return pages

    async def _page(self, client: CurlClient, fetcher: Fetcher, name: str) -> Page:
        began_s = monotonic()
        fetched = await fetcher.fetch(client, name, self.resolve)
        elapsed_ms = round((monotonic() - began_s) * 1000)
        return page_of(fetched, self._spec.http, self._index, elapsed_ms)


def page_of(fetched: Fetched, persona: HttpPersona, index: KeywordIndex, elapsed_ms: int) -> Page:
    """What is kept of a fetch: success has an allowed status (2xx unless the persona names others), failed another."""
    url = fetched.url[:_URL_CHARS]
    if fetched.response is None:
        timed_out = fetched.word == "timeout"
        outcome = HttpOutcome.TIMEOUT if timed_out else HttpOutcome.ERROR
        return Page(outcome=outcome, final_url=url, error=fetched.word, elapsed_ms=elapsed_ms)
    status = fetched.response.status
    if status not in (persona.allowed_status_codes or _SUCCESSES):
        return Page(outcome=HttpOutcome.FAILED, status=status, final_url=url, elapsed_ms=elapsed_ms)
    read = read_page(_readable(fetched.response), fetched.response.content_type)
    return Page(
        outcome=HttpOutcome.SUCCESS,
        status=status,
        final_url=url,
        title=read.title,
        content_hash=read.content_hash,
        content_bytes=read.content_bytes,
        charset=read.charset,
        language=read.language,
        parked=parked_confidence(read.title, read.text),
        matches=index.find(read.title, read.text),
        elapsed_ms=elapsed_ms,
    )


def _readable(response: Response) -> bytes:
    """The body, unless it says that it is a picture, a font or the like."""
    kind = response.content_type.strip().lower()
    return response.body if not kind or kind.startswith(_TEXT_TYPES) else b""
