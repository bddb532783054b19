"""The DNS phase of a batch: which of its names resolve, and to what.

Here are the batch and the sharing of askers within a worker; how a question is asked is in `dns_loop`. Not here, and
not anywhere yet: DNS over HTTPS, and telling a wildcard zone's answers from those of a name that somebody registered.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from domainflow.spec import DnsPersona
from domainflow.work.dns_lookup import Lookup
from domainflow.work.dns_loop import Asker
from domainflow.work.dns_resolvers import endpoints
from domainflow.work.dns_wire import ERROR, INVALID
from domainflow.work.generation import batch_names
from domainflow.work.port import DNS_CODES, BatchResult, BatchSpec, DnsHit, Hit, LabPorts
from domainflow.work.shared import Shared
from domainflow.work.vectors import pack


def _make(key: tuple[DnsPersona, LabPorts | None, float]) -> Asker:
    persona, lab, rate_share = key
    return Asker(persona, endpoints(persona, lab), rate_share)


# One asker a persona, for all batches of this worker: a resolver's window and a persona's rate are of the worker.
_ASKERS: Final[Shared[tuple[DnsPersona, LabPorts | None, float], Asker]] = Shared(_make)


async def run(spec: BatchSpec) -> BatchResult:
    """Ask for the names [start, stop) of a batch.

    `counts` has the outcomes by DNS_CODES without zeros and sums to stop - start; `outcomes` is the packed vector;
    `hits` has a `DnsHit` for each name that resolved. A position without a valid name is `invalid` and not asked for.
    Raises InvalidInput for a persona that cannot be asked, Unavailable where `lab` or `system` has no resolver.
    """
    found = await resolve(spec, batch_names(spec))
    codes = [INVALID if lookup is None else lookup.code for lookup in found]
    hits = (
        Hit(spec.start + place, msgspec.msgpack.encode(DnsHit(lookup.addresses)))
        for place, lookup in enumerate(found)
        if lookup is not None and lookup.addresses
    )
    counts = Counter(str(DNS_CODES[code]) for code in codes)
    return BatchResult(
        item=spec.item,
        fence=spec.fence,
        counts=tuple(sorted(counts.items())),
        outcomes=pack(codes),
        hits=tuple(hits),
    )


async def resolve(spec: BatchSpec, names: Sequence[str | None]) -> list[Lookup | None]:
    """Ask for hostnames (A-labels, lower case) as `spec.dns` says; the final lookups, one a name, None for None.

    Asks A, and unless that says NXDOMAIN also AAAA. Raises as `run`. Cancelling it stops its questions.
    """
    found: list[Lookup | None] = [None] * len(names)
    left = sum(name is not None for name in names)
    ended = asyncio.Event()

    def end_one(_: Lookup) -> None:
        nonlocal left
        left -= 1
        if not left:
            ended.set()

    def draw() -> Iterator[Lookup]:
        for place, name in enumerate(names):
            if name is not None and left:
                lookup = found[place] = Lookup(name, end_one)
                yield lookup

    if not left:
        return found
    async with _ASKERS.use((spec.dns, spec.lab, spec.rate_share)) as asker:
        asker.ask(draw())
        try:
            await ended.wait()
        except asyncio.CancelledError:
            left = 0
            _abandon(found)
            raise
    return found


def _abandon(lookups: Sequence[Lookup | None]) -> None:
    for lookup in lookups:
        if lookup is not None and not lookup.code:
            lookup.code = ERROR  # anything final: nothing more is asked for it


async def aclose() -> None:
    """Close all sockets of this loop that no batch uses. A worker never needs it; an embedding loop that ends does."""
    await _ASKERS.aclose()
