"""What a valid host name is, and how text from outside becomes one.

Letters, digits and inner hyphens in labels of 1 to 63 characters, at most 253 in all (RFC 1123); text outside ASCII is
mapped by UTS 46 and encoded label by label (RFC 5891). Nothing here asks DNS, knows a public suffix or reads a file.
"""

import re
from enum import StrEnum, unique
from typing import Final, TypeAlias

import idna

MAX_NAME_CHARS: Final = 253
MAX_LABEL_CHARS: Final = 63

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_LABELS: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_BAD_CHARACTER: Final = re.compile(r"[^a-z0-9.-]")
# The last label of a name must not read as a number: such a name is an address to a URL parser (WHATWG URL, 3.5).
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


@unique
class Fault(StrEnum):
    """Why a text is not a host name; the first rule it breaks, in this order."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    BAD_CHARACTER = "bad_character"
    BAD_IDNA = "bad_idna"
    EMPTY_LABEL = "empty_label"
    LABEL_TOO_LONG = "label_too_long"
    EDGE_HYPHEN = "edge_hyphen"
    SINGLE_LABEL = "single_label"
    NUMERIC_TLD = "numeric_tld"


Checked: TypeAlias = str | Fault  # test with isinstance(_, Fault) first: a Fault is a str too


def normalise(text: str) -> Checked:
    """The host name that a person meant by `text`: lower case, A-labels, no trailing dot; or what is wrong with it.

    Surrounding white space and one trailing dot do not count. A label that starts with `xn--` is taken as it stands,
    whether or not it decodes, as DNS takes it.
    """
    return encoded(text.strip().removesuffix("."))


def normalise_suffix(text: str) -> Checked:
    """What can stand after a name's first label, with one leading dot (`com` and `.com` are `.com`); or its fault."""
    labels = encoded_labels(text.strip().removesuffix(".").removeprefix("."))
    if isinstance(labels, Fault):
        return labels
    return Fault.NUMERIC_TLD if _NUMBER.fullmatch(labels) else f".{labels}"


def normalise_label(text: str) -> Checked:
    """One label in lower case, as an A-label where needed; or its fault (a dot is a bad character here)."""
    label = encoded_labels(text.strip())
    return Fault.BAD_CHARACTER if "." in label else label


def encoded(name: str) -> Checked:
    """Like `normalise`, but nothing is trimmed: white space is a bad character and a trailing dot an empty label."""
    labels = encoded_labels(name)
    if isinstance(labels, Fault):
        return labels
    if "." not in labels:
        return Fault.SINGLE_LABEL
    return Fault.NUMERIC_TLD if _NUMBER.fullmatch(labels) else labels


def encoded_labels(text: str) -> Checked:
    """One label or several, in lower case, as A-labels where needed, at most 253 characters; nothing is trimmed."""
    if len(text) > MAX_NAME_CHARS:  # an A-label is longer than what it encodes, and idna's cost grows with length
        return Fault.TOO_LONG
    labels = text.lower() if text.isascii() else _a_labels(text)
    if isinstance(labels, Fault):
        return labels
    if len(labels) <= MAX_NAME_CHARS and _LABELS.fullmatch(labels):
        return labels
    return _fault(labels)


def _a_labels(text: str) -> Checked:
    try:
        # Mapping comes first: it makes dots of the ideographic full stops and ASCII of full-width letters.
        mapped = idna.uts46_remap(text, std3_rules=True, transitional=False)
    except idna.IDNAError:
        return Fault.BAD_CHARACTER
    try:
        return ".".join(label if label.isascii() else idna.alabel(label).decode() for label in mapped.split("."))
    except idna.IDNAError as error:
        return Fault.LABEL_TOO_LONG if str(error) == "Label too long" else Fault.BAD_IDNA


def _fault(text: str) -> Fault:
    labels = text.split(".")
    if not text:
        return Fault.EMPTY
    if len(text) > MAX_NAME_CHARS:
        return Fault.TOO_LONG
    if _BAD_CHARACTER.search(text):
        return Fault.BAD_CHARACTER
    if not all(labels):
        return Fault.EMPTY_LABEL
    return Fault.LABEL_TOO_LONG if max(map(len, labels)) > MAX_LABEL_CHARS else Fault.EDGE_HYPHEN
