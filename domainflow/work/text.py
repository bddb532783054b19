"""From the bytes of a page to the text that a reader sees, its title, its language and its charset.

Pure. What is looked for in the text is in `keywords` and `parked`; nothing here fetches or scores.
"""

import codecs
import re
from hashlib import blake2b
from typing import Final

from msgspec import Struct
from selectolax.lexbor import LexborHTMLParser

from domainflow.work.markup import tame

_BOILERPLATE: Final = ["script", "style", "noscript", "template", "head", "nav", "footer", "aside"]
_TITLE_CHARS: Final = 300
_ROOT_WINDOW_CHARS: Final = 4096  # where the html element must be to be asked for its language
_LANGUAGE: Final = re.compile(r"""<html\b[^>]*\slang\s*=\s*["']?\s*([a-z0-9-]{1,35})""", re.IGNORECASE)
_META_WINDOW_BYTES: Final = 1024  # where a charset must be declared (WHATWG HTML, 13.2.3.2)
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CHARSET: Final = re.compile(rb"""charset\s*=\s*["']?\s*([a-z0-9_.:-]{1,40})""", re.IGNORECASE)
_META: Final = re.compile(rb"<meta\b[^>]{0,500}", re.IGNORECASE)

# Python's codecs include compressors and escapes, so only those are taken that browsers know.
_CODECS: Final = frozenset(
    {
        *("utf-8", "utf-16-le", "utf-16-be", "utf-16", "koi8-r", "koi8-u", "mac-roman", "mac-cyrillic"),
        *("gbk", "gb18030", "big5", "big5hkscs", "euc_jp", "shift_jis", "cp932", "iso2022_jp", "euc_kr", "cp949"),
        *("cp866", "cp874", *(f"cp125{digit}" for digit in range(9))),
        *(f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
    }
)
# What browsers read instead of what is declared (WHATWG Encoding, 4.2).
_READ_AS: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "utf-16": "utf-16-le",
}


class PageText(Struct, frozen=True):
    """A page as a reader has it. Runs of white space are one space; neither end has any."""

    title: str  # at most 300 characters
    text: str
    charset: str  # by Python's name
    language: str  # of the html element, as written; "" if it has none
    content_hash: str  # blake2b-128 of the text in UTF-8, hex
    content_bytes: int  # of the text in UTF-8


def read_page(body: bytes, content_type: str) -> PageText:
    """Read a body of any bytes. Without script, style, noscript, template, head, nav, footer and aside.

    Charset: BOM, else the header's, else a meta element's in the first 1024 bytes, else UTF-8 if the body is valid
    UTF-8, else windows-1252. A label that no browser knows counts as absent; bytes it cannot decode become U+FFFD.
    A page that is built to be slow to parse has neither title nor text.
    """
    charset, markup = _decode(body, content_type)
    page = LexborHTMLParser(tame(markup))
    title = page.css_first("title")
    title_text = "" if title is None else _squeeze(title.text())[:_TITLE_CHARS]
    language = _LANGUAGE.search(markup, 0, _ROOT_WINDOW_CHARS)
    page.strip_tags(_BOILERPLATE)
    text = _squeeze(page.body.text(separator=" ")) if page.body is not None else ""
    encoded = text.encode("utf-8", "replace")
    digest = blake2b(encoded, digest_size=16).hexdigest()
    return PageText(title_text, text, charset, language[1] if language else "", digest, len(encoded))


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _decode(body: bytes, content_type: str) -> tuple[str, str]:
    for bom, codec in _BOMS:
        if body.startswith(bom):
            return codec, body[len(bom) :].decode(codec, "replace")
    declared = _declared(content_type.encode("utf-8", "replace")) or _in_meta(body)
    if declared:
        return declared, body.decode(declared, "replace")
    try:
        return "utf-8", body.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252", body.decode("cp1252", "replace")


def _in_meta(body: bytes) -> str:
    for meta in _META.findall(body[:_META_WINDOW_BYTES]):
        if codec := _declared(meta):
            # Whoever reads the declaration as ASCII has shown that it is not UTF-16.
            return "utf-8" if codec.startswith("utf-16") else codec
    return ""


def _declared(declaration: bytes) -> str:
    """The codec that a `charset=` names, "" if there is none that is known."""
    found = _CHARSET.search(declaration)
    if found is None:
        return ""
    try:
        name = codecs.lookup(found[1].decode("ascii")).name
    except LookupError:
        return ""
    name = _READ_AS.get(name, name)
    return name if name in _CODECS else ""
