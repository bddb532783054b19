"""A client of few lines, with none of the project's own looking, finds in the running lab what was computed."""

import io
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urljoin

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pycurl
import pytest

from domainflow.lab.expect import expected
from domainflow.lab.kinds import Dns, Web
from domainflow.lab.process import Lab
from domainflow.lab.world import Host, World
from domainflow.vocabulary import DnsReason, HttpOutcome

Find = Callable[[Callable[[Host], bool]], Host]
CAP_BYTES = 10_000_000


def look_up(lab: Lab, name: str) -> tuple[DnsReason | None, tuple[str, ...]]:
    server, _, port = lab.ports.resolvers[2].rpartition(":")
    found: list[str] = []
    reason: DnsReason | None = None
    for kind in ("A", "AAAA"):
        try:
            query = dns.message.make_query(name, kind)
            answer, _ = dns.query.udp_with_fallback(query, server, 0.3, int(port))
        except dns.exception.Timeout:
            return DnsReason.TIMEOUT, ()
        except dns.exception.FormError:
            return DnsReason.ERROR, ()
        code = dns.rcode.to_text(answer.rcode())
        reason = {"NOERROR": DnsReason.NOANSWER, "FORMERR": DnsReason.ERROR}.get(code) or DnsReason(code)
        texts = (item.to_text() for rrset in answer.answer if rrset.rdtype in (1, 28) for item in rrset)
        found += sorted(texts, key=ip_address)
    return (None, tuple(found)) if found else (reason, ())


def get(lab: Lab, url: str, address: str) -> tuple[int, str]:
    """The status and the Location of one request. Raises pycurl.error."""
    curl, body = pycurl.Curl(), io.BytesIO()

    def keep(data: bytes) -> int:
        return body.write(data) if body.tell() < CAP_BYTES else 0

    curl.setopt(pycurl.URL, url)
    place = f"[{address}]" if ":" in address else address
    curl.setopt(pycurl.CONNECT_TO, [f":443:{place}:{lab.ports.https_port}", f":80:{place}:{lab.ports.http_port}"])
    curl.setopt(pycurl.CAINFO, lab.ports.ca_file)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.ENCODING, "gzip")
    curl.setopt(pycurl.TIMEOUT_MS, 500)
    curl.setopt(pycurl.WRITEFUNCTION, keep)
    try:
        curl.perform()
        return int(curl.getinfo(pycurl.RESPONSE_CODE)), str(curl.getinfo(pycurl.REDIRECT_URL) or "")
    finally:
        curl.close()


def fetch(lab: Lab, url: str) -> tuple[HttpOutcome, int, str]:
    for _ in range(6):
        scheme, _, rest = url.partition("://")
        addresses = look_up(lab, rest.partition("/")[0])[1] if scheme in ("http", "https") else ()
        if not addresses:
            return HttpOutcome.ERROR, 0, ""
        try:
            status, location = get(lab, url, addresses[0])
        except pycurl.error as failure:
            if failure.args[0] == pycurl.E_COULDNT_CONNECT and scheme == "https":
                url = f"http://{rest}"
                continue
            timed_out = failure.args[0] == pycurl.E_OPERATION_TIMEDOUT
            return HttpOutcome.TIMEOUT if timed_out else HttpOutcome.ERROR, 0, ""
        if not location:
            return HttpOutcome.SUCCESS if status == 200 else HttpOutcome.FAILED, status, url
        url = urljoin(url, location)
    return HttpOutcome.ERROR, 0, ""


@pytest.mark.parametrize("kind", [kind for kind in Dns if kind is not Dns.WILDCARD])
def test_dns_finds_what_is_expected(lab: Lab, world: World, find: Find, kind: Dns) -> None:
    host = find(lambda host: host.dns is kind)
    wanted = expected(world, host.name)
    assert look_up(lab, host.name) == (wanted.reason, wanted.addresses)


@pytest.mark.parametrize("web", [web for web in Web if web is not Web.NONE])
def test_http_finds_what_is_expected(lab: Lab, world: World, find: Find, web: Web) -> None:
    host = find(lambda host: host.web is web)
    wanted = expected(world, host.name)
    assert fetch(lab, f"https://{host.name}/") == (wanted.http, wanted.status, wanted.final_url)
