from hashlib import blake2b

import pytest

from domainflow.work.parked import parked_confidence
from domainflow.work.text import read_page

PAGE = b"""<!doctype html><html lang="de-CH"><head><title> A &amp; B
 shop </title><style>p{}</style><meta name=description content=nothing></head><body>
<nav>menu</nav><header>Hello</header><script>var x = "script";</script><p>One&nbsp;two</p><p>three</p>
<noscript>enable it</noscript><template>hidden</template><!-- note --><aside>by</aside>
<footer>foot</footer></body></html>"""


def test_a_reader_sees_neither_script_nor_style_nor_head_nor_nav_nor_footer_nor_aside() -> None:
    assert read_page(PAGE, "text/html").text == "Hello One two three"


def test_title_and_language_are_kept_apart() -> None:
    read = read_page(PAGE, "text/html")
    assert (read.title, read.language) == ("A & B shop", "de-CH")


def test_the_hash_is_of_the_text_alone() -> None:
    read = read_page(PAGE, "text/html")
    assert read.content_hash == blake2b(b"Hello One two three", digest_size=16).hexdigest()
    assert read.content_bytes == 19


def test_content_is_counted_in_bytes_of_utf_8() -> None:
    assert read_page("<p>café".encode(), "").content_bytes == 5


@pytest.mark.parametrize(
    ("body", "content_type", "charset", "text"),
    [
        (b"\xef\xbb\xbf<p>\xc3\xa9", "text/html; charset=windows-1252", "utf-8", "é"),
        (b"<meta charset=utf-8><p>\xe9", "text/html; charset=iso-8859-1", "cp1252", "é"),
        (b"<meta charset='windows-1251'><p>\xe9", "text/html", "cp1251", "й"),
        (b'<meta http-equiv=x content="text/html; charset=shift_jis"><p>\x82\xa0', "", "shift_jis", "あ"),
        (b"<p>\xc3\xa9", "text/html", "utf-8", "é"),
        (b"<p>\xe9\x80", "text/html", "cp1252", "é€"),
        (b"<p>\xc3\xa9", "text/html; charset=zlib_codec", "utf-8", "é"),
        (b"<p>\xc3\xa9", "text/html; charset=no-such", "utf-8", "é"),
        (b"\xff\xfe<\0p\0>\0a\0", "", "utf-16-le", "a"),
        (b"<meta charset=utf-16><p>\xc3\xa9", "", "utf-8", "é"),
        (b"<p>a\xff", "text/html; charset=utf-8", "utf-8", "a\ufffd"),
    ],
    ids=["bom", "header", "meta", "http-equiv", "valid utf-8", "else 1252", "compressor", "unknown", "utf-16 bom",
         "utf-16 in ascii", "undecodable"],
)  # fmt: skip
def test_charset_is_told_by_bom_then_header_then_meta_then_guessed(
    body: bytes, content_type: str, charset: str, text: str
) -> None:
    read = read_page(body, content_type)
    assert (read.charset, read.text) == (charset, text)


@pytest.mark.parametrize(
    "body", [b"", b"\0\0\0", b"<", b"<html><head><title>", b"<frameset><frame>", bytes(range(256))]
)
def test_any_bytes_are_a_page(body: bytes) -> None:
    assert isinstance(read_page(body, "").text, str)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<div>" * 200_000 + b"deep", ""),
        (b"<div>" * 100_000 + b"</div>" * 100_000, ""),
        (b"<p>" + b"".join(b"<b id=%d>" % i for i in range(3000)) + b"</p>" + b"<p>x</p>" * 3000, ""),
        (b"<div " + b" ".join(b"a%d" % i for i in range(1_000_000)) + b">kept", "kept"),
        (b"<div " + b" ".join(b"a%d='>'" % i for i in range(500_000)) + b">kept", "kept"),
        (b"<div " + b" ".join(b"a%d" % i for i in range(1_000_000)), ""),
        (b'<a x="' * 500_000, ""),
        (b"<script>" * 500_000, ""),
        (b"<!--" * 1_000_000, ""),
        (b"<a" * 2_000_000, ""),
        (b"<br>" * 2_000_000, ""),
    ],
    ids=["deep", "deep and closed", "formatting", "attributes", "quoted ends", "no end", "quotes", "scripts",
         "comments", "names", "many"],
)  # fmt: skip
@pytest.mark.timeout(5)
def test_a_page_that_is_built_to_be_slow_to_parse_is_not(body: bytes, text: str) -> None:
    assert read_page(body, "").text == text


def test_a_long_page_reads_as_the_same_page_when_short() -> None:
    tricky = (
        b'<html lang=fr><title>T</title><script>if (a<b) { s="</p>"; }</script><p class=\'a>b\' id=x="y>one</p>'
        b'<a href=it\'s>two</a><!-- <p>not --><input value="3 > 2"><p>it\'s <b\nclass="c">three</b></p>'
        b"<style>p{}</style>"
    )
    short, long = read_page(tricky, ""), read_page(tricky + b"<p>word</p>" * 3000, "")
    assert short.text == "one two it's three"
    assert (long.text.removesuffix(" word" * 3000), long.title, long.language) == (short.text, "T", "fr")


@pytest.mark.parametrize(
    ("title", "text", "confidence"),
    [
        ("This Domain Is For Sale", "anything", 0.95),
        ("x", "Buy this domain today. This domain is for sale.", 0.95),
        ("x", "buy this domain", 0.8),
        ("x", "make an offer; related searches: cars", 0.6),
        ("x", "make an offer", 0.3),
        ("x", "a shop", 0.0),
        ("x", "buy this domain " + "word " * 2000, 0.4),
        ("this domain is for sale", "word " * 2000, 0.95),
    ],
)
def test_parked_pages_are_told_by_their_phrases(title: str, text: str, confidence: float) -> None:
    assert parked_confidence(title, text) == confidence
