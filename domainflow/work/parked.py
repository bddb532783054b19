"""How much a page looks like one that only holds a place for a domain. Phrases and their weights, nothing learned."""

from typing import Final

PARKED: Final = 0.5  # a page is parked from this confidence on

_STRONG: Final = (
    "this domain is for sale",
    "this domain name is for sale",
    "domain is available for purchase",
    "buy this domain",
    "is parked free",
    "domain is parked",
    "parked domain",
    "this domain has expired",
)
_WEAK: Final = (
    "domain may be for sale",
    "domain for sale",
    "domain parking",
    "make an offer",
    "interested in this domain",
    "inquire about this domain",
    "related searches",
    "sponsored listings",
)
_LONG_CHARS: Final = 8000


def parked_confidence(title: str, text: str) -> float:
    """The confidence, 0..1, that a page is parked.

    With s distinct strong and w distinct weak phrases in the casefolded "title text": .95 if a strong one stands in
    the title or s >= 2; else .8 if s = 1; else .6 if w >= 2; else .3 if w = 1; else 0. Halved for texts longer than
    8000 characters unless a strong phrase stands in the title: an article may speak of parked domains.
    """
    folded_title = title.casefold()
    folded = f"{folded_title} {text.casefold()}"
    if any(phrase in folded_title for phrase in _STRONG):
        return 0.95
    confidence = _by_count(sum(phrase in folded for phrase in _STRONG), sum(phrase in folded for phrase in _WEAK))
    return confidence / 2 if len(text) > _LONG_CHARS else confidence


def _by_count(strong: int, weak: int) -> float:
    if strong:
        return 0.95 if strong > 1 else 0.8
    if weak:
        return 0.6 if weak > 1 else 0.3
    return 0.0
