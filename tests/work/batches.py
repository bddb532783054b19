"""Batches as tests write them: names in a file, a persona, and what came of them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from domainflow.spec import DnsPersona, HttpPersona, KeywordRule, Names
from domainflow.vocabulary import Phase
from domainflow.work.port import DNS_CODES, BatchResult, BatchSpec, DnsHit, Input, LabPorts, Page
from domainflow.work.vectors import unpack


def batch(  # noqa: PLR0913  (each test names the two or three it is about)
    home: Path,
    names: Sequence[str],
    *,
    dns: DnsPersona | None = None,
    http: HttpPersona | None = None,
    inputs: tuple[Input, ...] = (),
    keywords: tuple[str, ...] = (),
    lab: LabPorts | None = None,
) -> BatchSpec:
    canonical = "\n".join(names).encode("ascii")
    sha256 = hashlib.sha256(canonical).hexdigest()
    file = home / f"{sha256}.names"
    file.write_bytes(canonical)
    return BatchSpec(
        item=1,
        fence=1,
        attempt=1,
        phase=Phase.DNS_VALIDATION,
        start=0,
        stop=len(names),
        source=Names(sha256=sha256, names=len(names)),
        source_file=str(file),
        base=0,
        inputs=inputs,
        dns=dns or DnsPersona(),
        http=http or HttpPersona(),
        keywords=tuple(KeywordRule(text=keyword) for keyword in keywords),
        lab=lab,
    )


def outcomes(spec: BatchSpec, result: BatchResult) -> list[str]:
    return [str(DNS_CODES[code]) for code in unpack(result.outcomes, spec.stop - spec.start)]


def addresses(result: BatchResult) -> dict[int, tuple[str, ...]]:
    return {hit.position: msgspec.msgpack.decode(hit.body, type=DnsHit).addresses for hit in result.hits}


def pages(result: BatchResult) -> dict[int, Page]:
    return {hit.position: msgspec.msgpack.decode(hit.body, type=Page) for hit in result.hits}
