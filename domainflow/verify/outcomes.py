"""Whether one batch's result agrees with itself: counts, outcome vector and kept rows. Pure.

What a phase counts and keeps is said by its work; here it is counted again from the bytes.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from domainflow.errors import Corrupt
from domainflow.store.faults import Kind
from domainflow.store.verify_rows import HitRow, ResultRow
from domainflow.verify.folding import UNREADABLE
from domainflow.vocabulary import DnsOutcome, Rejection
from domainflow.work.port import DNS_CODES, DnsHit, Lead, Page
from domainflow.work.vectors import unpack

Contradiction: TypeAlias = tuple[Kind, str]
Judge: TypeAlias = Callable[[ResultRow, Counter[str], Iterator[HitRow]], Contradiction | None]
KeptT = TypeVar("KeptT", bound=Struct)

RESOLVED: Final = DNS_CODES.index(DnsOutcome.RESOLVED)
VERDICTS: Final = (Rejection.QUALIFIED, Rejection.LOW_SCORE, Rejection.NO_KEYWORDS, Rejection.PARKED)


class _ForeignError(Exception):
    pass


def contradiction(result: ResultRow, counts: Counter[str], hits: Iterator[HitRow], tenant: str) -> Contradiction | None:
    """Return what of a result contradicts what else; None: nothing. `hits` are the kept rows of its positions."""
    if result.phase != DNS and result.outcomes:
        return Kind.VECTOR_DIFFERS, "it has an outcome vector, which only DNS has"
    try:
        return JUDGES[result.phase](result, counts, _of_tenant(hits, tenant))
    except _ForeignError as error:
        return Kind.HITS_DIFFER, str(error)
    except UNREADABLE as error:
        return Kind.HIT_UNREADABLE, f"a row that it kept cannot be read: {error}"


def _of_tenant(hits: Iterator[HitRow], tenant: str) -> Iterator[HitRow]:
    for hit in hits:
        if hit.tenant != tenant:
            raise _ForeignError(f"the row of position {hit.position} is of tenant {hit.tenant}")
        yield hit


def _decoded(hits: Iterator[HitRow], type_: type[KeptT]) -> Iterator[KeptT]:
    decoder = msgspec.msgpack.Decoder(type_)
    return (decoder.decode(hit.body) for hit in hits)


def _generation(result: ResultRow, counts: Counter[str], hits: Iterator[HitRow]) -> Contradiction | None:
    names = result.stop - result.start
    if counts.total() != names:
        return Kind.RESULT_MISSHAPEN, f"its counts sum to {counts.total()}, and it has {names} positions"
    if (hit := next(hits, None)) is not None:
        return Kind.HITS_DIFFER, f"generation keeps no rows, and there is one of position {hit.position}"
    return None


def _dns(result: ResultRow, counts: Counter[str], hits: Iterator[HitRow]) -> Contradiction | None:
    try:
        codes = unpack(result.outcomes, result.stop - result.start)
    except Corrupt as error:
        return Kind.VECTOR_DIFFERS, str(error)
    said = Counter({str(DNS_CODES[code]): number for code, number in Counter(codes).items()})
    if said != counts:
        return Kind.VECTOR_DIFFERS, f"its vector has {dict(said)}, its counts are {dict(counts)}"
    kept = []
    decoder = msgspec.msgpack.Decoder(DnsHit)
    for hit in hits:
        decoder.decode(hit.body)
        kept.append(hit.position)
    if kept != [result.start + place for place, code in enumerate(codes) if code == RESOLVED]:
        return Kind.HITS_DIFFER, f"{counts['resolved']} names resolved, and {len(kept)} rows do not stand for them"
    return None


def _http(_: ResultRow, counts: Counter[str], hits: Iterator[HitRow]) -> Contradiction | None:
    kept = Counter(str(page.outcome) for page in _decoded(hits, Page))
    if kept != counts:
        return Kind.HITS_DIFFER, f"its pages have {dict(kept)}, its counts are {dict(counts)}"
    return None


def _analysis(_: ResultRow, counts: Counter[str], hits: Iterator[HitRow]) -> Contradiction | None:
    kept = Counter(str(lead.rejection) for lead in _decoded(hits, Lead))
    said = Counter({str(verdict): counts[verdict] for verdict in VERDICTS})
    if kept != said:
        return Kind.HITS_DIFFER, f"its verdicts are {dict(kept)}, its counts {dict(counts)}"
    return None


JUDGES: Final[tuple[Judge, ...]] = (_generation, _dns, _http, _analysis)  # by phase number
DNS: Final = JUDGES.index(_dns)
