import io
import socket
import ssl
from collections.abc import Callable
from http.client import HTTPConnection, HTTPSConnection

import pycurl
import pytest

from domainflow.lab.kinds import GOOD_SITES, Web
from domainflow.lab.pages import respond
from domainflow.lab.process import Lab
from domainflow.lab.world import Host, World

Find = Callable[[Callable[[Host], bool]], Host]

OK = 0
REFUSED = pycurl.E_COULDNT_CONNECT
TIMEOUT = pycurl.E_OPERATION_TIMEDOUT
TLS = pycurl.E_SSL_CONNECT_ERROR
CERTIFICATE = pycurl.E_PEER_FAILED_VERIFICATION
CUT = {pycurl.E_PARTIAL_FILE, pycurl.E_RECV_ERROR}
EMPTY = {pycurl.E_GOT_NOTHING, pycurl.E_RECV_ERROR}


def fetch(lab: Lab, host: Host, scheme: str) -> tuple[int, int, str, bytes]:
    """curl's error (0: none), the status, the Location and the body."""
    address = host.a[0]
    curl, body, error = pycurl.Curl(), io.BytesIO(), OK
    curl.setopt(pycurl.URL, f"{scheme}://{host.name}/")
    ports = (f"443:{address}:{lab.ports.https_port}", f"80:{address}:{lab.ports.http_port}")
    curl.setopt(pycurl.CONNECT_TO, [f"{host.name}:{port}" for port in ports])
    curl.setopt(pycurl.CAINFO, lab.ports.ca_file)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.ENCODING, "gzip")
    curl.setopt(pycurl.TIMEOUT_MS, 400 if "slow" in host.web or host.web is Web.STALLED else 5000)
    curl.setopt(pycurl.WRITEFUNCTION, body.write)
    try:
        curl.perform()
    except pycurl.error as failure:
        error = int(failure.args[0])
    found = error, int(curl.getinfo(pycurl.RESPONSE_CODE)), curl.getinfo(pycurl.REDIRECT_URL) or "", body.getvalue()
    curl.close()
    return found


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("web", [*GOOD_SITES, Web.BOMB])
def test_a_good_site_serves_its_page_under_a_certificate_of_the_lab(
    lab: Lab, find: Find, web: Web, scheme: str
) -> None:
    host = find(lambda host: host.web is web)
    error, status, _, body = fetch(lab, host, scheme)
    assert (error, status) == (OK, 200)
    assert body == respond(host, scheme, "/").body


@pytest.mark.parametrize(("gzip", "chunked"), [(False, False), (True, False), (False, True), (True, True)])
def test_every_coding_gives_the_same_page(lab: Lab, find: Find, *, gzip: bool, chunked: bool) -> None:
    def coded(host: Host) -> bool:
        page = respond(host, "https", "/")
        return host.web is Web.RICH and (page.gzip, page.chunked) == (gzip, chunked)

    host = find(coded)
    assert fetch(lab, host, "https")[3] == respond(host, "https", "/").body


@pytest.mark.parametrize(
    ("web", "status"), [(Web.NOT_FOUND, 404), (Web.GONE, 410), (Web.FAULTY, 500), (Web.OVERLOADED, 503)]
)
def test_a_site_with_a_bad_status_has_it(lab: Lab, find: Find, web: Web, status: int) -> None:
    host = find(lambda host: host.web is web)
    assert fetch(lab, host, "https")[:2] == (OK, status)


@pytest.mark.parametrize(
    ("web", "scheme", "location"),
    [
        (Web.HOME, "https", "https://{}/home"),
        (Web.HOME, "http", "http://{}/home"),
        (Web.DOWNGRADE, "https", "http://{}/home"),
        (Web.LOOP, "https", "https://{}/again/1/"),
        (Web.SCHEME, "https", "file:///lab-has-no-such-file"),
        (Web.TLS_CLOSED, "http", "https://{}/"),
    ],
)
def test_a_redirect_leads_where_it_is_known_to(lab: Lab, find: Find, web: Web, scheme: str, location: str) -> None:
    host = find(lambda host: host.web is web)
    error, status, found, _ = fetch(lab, host, scheme)
    assert (error, status in (301, 302), found) == (OK, True, location.format(host.name))


def test_redirects_to_others_lead_to_hubs_and_to_names_that_are_gone(lab: Lab, world: World, find: Find) -> None:
    away, dead = find(lambda host: host.web is Web.AWAY), find(lambda host: host.web is Web.DEAD_END)
    hub = world.host(fetch(lab, away, "https")[2].removeprefix("https://").removesuffix("/"))
    gone = world.host(fetch(lab, dead, "https")[2].removeprefix("https://").removesuffix("/"))
    assert (hub.resolves, gone.resolves) == (True, False)
    assert fetch(lab, hub, "https")[:2] == (OK, 200)


@pytest.mark.parametrize("web", [Web.HTTP_ONLY, Web.UPGRADE])
def test_an_http_only_site_refuses_https(lab: Lab, find: Find, web: Web) -> None:
    host = find(lambda host: host.web is web)
    assert fetch(lab, host, "https")[0] == REFUSED
    assert fetch(lab, host, "http")[0] == OK


@pytest.mark.parametrize(
    ("web", "https", "http"),
    [
        (Web.REFUSED, {REFUSED}, {REFUSED}),
        (Web.SLOW_HELLO, {TIMEOUT}, {TIMEOUT}),
        (Web.SLOW_ANSWER, {TIMEOUT}, {TIMEOUT}),
        (Web.STALLED, {TIMEOUT}, {TIMEOUT}),
        (Web.CLOSED, EMPTY, EMPTY),
        (Web.NOT_HTTP, {pycurl.E_UNSUPPORTED_PROTOCOL}, {pycurl.E_UNSUPPORTED_PROTOCOL}),
        (Web.BAD_GZIP, {pycurl.E_BAD_CONTENT_ENCODING}, {pycurl.E_BAD_CONTENT_ENCODING}),
        (Web.CUT_SHORT, CUT, CUT),
        (Web.TLS_SELF_SIGNED, {CERTIFICATE}, {OK}),
        (Web.TLS_EXPIRED, {CERTIFICATE}, {OK}),
        (Web.TLS_WRONG_NAME, {CERTIFICATE}, {OK}),
        (Web.TLS_GARBAGE, {TLS}, {OK}),
        (Web.TLS_CLOSED, {TLS}, {OK}),
    ],
)
def test_a_broken_site_breaks_in_its_own_way(lab: Lab, find: Find, web: Web, https: set[int], http: set[int]) -> None:
    host = find(lambda host: host.web is web and bool(host.a))
    assert fetch(lab, host, "https")[0] in https
    assert fetch(lab, host, "http")[0] in http


def test_a_name_that_does_not_resolve_is_not_served(lab: Lab, find: Find) -> None:
    connection = HTTPConnection("127.0.1.1", lab.ports.http_port, timeout=5)
    name = find(lambda host: not host.resolves).name
    connection.request("GET", "/", headers={"Host": name})
    assert connection.getresponse().status == 421
    connection.close()


def test_a_connection_carries_several_requests(lab: Lab, find: Find) -> None:
    host = find(lambda host: host.web is Web.RICH)
    connection = HTTPConnection(host.a[0], lab.ports.http_port, timeout=5)
    for method, whole in (("GET", True), ("HEAD", False), ("GET", True)):
        connection.request(method, "/", headers={"Host": host.name})
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (200, whole)
    connection.close()


def test_a_head_request_gets_no_body(lab: Lab, find: Find) -> None:
    host = find(lambda host: host.web is Web.RICH)
    with socket.create_connection((host.a[0], lab.ports.http_port), 5) as connection:
        connection.sendall(f"HEAD / HTTP/1.1\r\nHost: {host.name}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


def test_a_stalled_connection_answers_nothing_more(lab: Lab, find: Find) -> None:
    stalled, rich = find(lambda host: host.web is Web.SLOW_ANSWER), find(lambda host: host.web is Web.RICH)
    with socket.create_connection((stalled.a[0], lab.ports.http_port), 5) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {stalled.name}\r\n\r\n".encode())
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {rich.name}\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_client_without_a_name_gets_a_certificate_all_the_same(lab: Lab) -> None:
    context = ssl.create_default_context(cafile=lab.ports.ca_file)
    context.check_hostname = False
    connection = HTTPSConnection("127.0.1.1", lab.ports.https_port, timeout=5, context=context)
    connection.request("GET", "/")
    assert connection.getresponse().status == 421
    connection.close()
