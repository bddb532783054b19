import gzip
import re
from itertools import islice

import pytest
from selectolax.lexbor import LexborHTMLParser

from domainflow.lab.expect import expected
from domainflow.lab.kinds import GOOD_SITES, Web
from domainflow.lab.pages import Response, respond
from domainflow.lab.text import (
    LAB_KEYWORDS,
    MODEST_SENTENCES,
    PARKED_SENTENCES,
    SENTENCES,
    SENTENCES_WITH_KEYWORD,
    TITLES,
)
from domainflow.lab.world import Host, World

BOILERPLATE = ["script", "style", "nav", "footer", "aside", "title", "head"]


def hosts(web: Web, most: int) -> list[Host]:
    world = World(5)
    found = (world.host(f"page{i}.net") for i in range(40_000))
    return list(islice((host for host in found if host.web is web), most))


def decoded(response: Response) -> str:
    """As a browser reads it: byte order mark, then header, then meta."""
    if response.body.startswith(b"\xef\xbb\xbf"):
        return response.body[3:].decode()
    in_header = re.search("charset=(.+)", dict(response.headers)["Content-Type"])
    in_meta = re.search(rb'<meta charset="([^"]+)">', response.body)
    charset = in_header[1] if in_header else in_meta[1].decode() if in_meta else "utf-8"
    return response.body.decode(charset)


def visible(html: str) -> str:
    tree = LexborHTMLParser(html)
    tree.strip_tags(BOILERPLATE)
    return tree.body.text(separator=" ") if tree.body else ""


@pytest.mark.parametrize("web", GOOD_SITES)
def test_a_reader_finds_exactly_what_was_planted(web: Web) -> None:
    for host in hosts(web, 40):
        response = respond(host, "https", "/")
        html = decoded(response)
        text = visible(html).lower()
        planted = response.planted
        assert planted is not None
        assert {k: text.count(k) for k in LAB_KEYWORDS if k in text} == dict(planted.text_keywords)
        title = LexborHTMLParser(html).css_first("title")
        assert title is not None
        assert title.text() == planted.title
        assert tuple(k for k in LAB_KEYWORDS if k in planted.title.lower()) == planted.title_keywords


def test_keywords_stand_where_they_must_not_count() -> None:
    pages = [decoded(respond(host, "https", "/")) for host in hosts(Web.PLAIN, 50)]
    assert all(any(keyword in page for keyword in LAB_KEYWORDS) for page in pages)
    assert not any(keyword in visible(page).lower() for keyword in LAB_KEYWORDS for page in pages)


def test_a_character_that_a_charset_lacks_arrives_all_the_same() -> None:
    texts = [visible(decoded(respond(host, "https", "/"))) for host in hosts(Web.RICH, 100)]
    assert sum(text.count("that is what most") for text in texts) > 50
    assert not [text for text in texts if text.count("— that is what most") != text.count("that is what most")]


def test_parked_pages_say_so_loudly_or_once() -> None:
    found = [decoded(respond(host, "https", "/")) for host in hosts(Web.PARKED, 60)]
    loud = [page for page in found if "<title>This domain is for sale</title>" in page]
    assert 15 < len(loud) < 45
    assert all(page.count("buy this domain") == 1 for page in found if page not in loud)


def test_no_sentence_holds_a_keyword_by_chance() -> None:
    sentences = " ".join((*SENTENCES, *SENTENCES_WITH_KEYWORD, *PARKED_SENTENCES, *MODEST_SENTENCES, *TITLES)).lower()
    assert not [keyword for keyword in LAB_KEYWORDS if keyword in sentences]
    assert not [(a, b) for a in LAB_KEYWORDS for b in LAB_KEYWORDS if a != b and a in b]


def test_sites_tell_their_charset_in_different_ways() -> None:
    found = [respond(host, "https", "/") for host in hosts(Web.RICH, 200)]
    types = {dict(response.headers)["Content-Type"] for response in found}
    assert types == {"text/html", "text/html; charset=utf-8", "text/html; charset=windows-1252"}
    assert any(b'charset="iso-8859-1"' in response.body for response in found)
    assert {response.gzip for response in found} == {response.chunked for response in found} == {True, False}


def test_long_pages_hold_more_than_fifty_thousand_bytes_of_text() -> None:
    assert all(len(visible(decoded(respond(host, "https", "/"))).encode()) > 50_000 for host in hosts(Web.LONG, 40))


def test_a_bomb_is_small_until_it_is_opened() -> None:
    body = respond(hosts(Web.BOMB, 1)[0], "https", "/").body
    assert len(body) > 10_000_000
    assert len(gzip.compress(body, 1)) < 100_000


@pytest.mark.parametrize(
    ("web", "url", "status"),
    [
        (Web.HOME, "https://{}/home", 200),
        (Web.DOWNGRADE, "http://{}/home", 200),
        (Web.HTTP_ONLY, "http://{}/", 200),
        (Web.GONE, "https://{}/", 410),
    ],
)
def test_the_last_url_is_known(web: Web, url: str, status: int) -> None:
    for host in hosts(web, 10):  # some redirect to a path, some to a whole URL
        found = expected(World(5), host.name)
        assert (found.final_url, found.status) == (url.format(host.name), status)


@pytest.mark.parametrize("web", [Web.AWAY, Web.UPGRADE])
def test_redirects_to_other_hosts_end_at_a_hub_that_resolves(web: Web) -> None:
    found = expected(World(5), hosts(web, 1)[0].name)
    assert re.fullmatch(r"https://hub-\d+\.lab\.test/", found.final_url)
    assert World(5).host(found.final_url[8:-1]).resolves
