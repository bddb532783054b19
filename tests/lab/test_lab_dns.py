import socket
import time
from collections.abc import Callable

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from domainflow.lab.dns_wire import respond
from domainflow.lab.kinds import Dns
from domainflow.lab.process import Lab
from domainflow.lab.world import Host, World

Find = Callable[[Callable[[Host], bool]], Host]
TIMEOUT_S = 2.0


def ask(lab: Lab, name: str, kind: str = "A", resolver: int = 0, timeout_s: float = TIMEOUT_S) -> dns.message.Message:
    host, _, port = lab.ports.resolvers[resolver].rpartition(":")
    return dns.query.udp(dns.message.make_query(name, kind), host, timeout_s, int(port))


def addresses(answer: dns.message.Message) -> list[str]:
    return sorted(item.to_text() for rrset in answer.answer if rrset.rdtype in (1, 28) for item in rrset)


@pytest.mark.parametrize("kind", [Dns.PLAIN, Dns.ALIAS, Dns.SLOWISH])
def test_a_name_that_resolves_has_its_addresses(lab: Lab, find: Find, kind: Dns) -> None:
    host = find(lambda host: host.dns is kind and bool(host.aaaa))
    assert addresses(ask(lab, host.name)) == sorted(host.a)
    assert addresses(ask(lab, host.name, "AAAA")) == ["::1"]


def test_every_resolver_gives_the_same_answer(lab: Lab, find: Find) -> None:
    host = find(lambda host: host.dns is Dns.PLAIN and len(host.a) > 1)
    assert [addresses(ask(lab, host.name, resolver=i)) for i in range(4)] == [sorted(host.a)] * 4


def test_a_name_with_aaaa_only_has_no_a(lab: Lab, find: Find) -> None:
    name = find(lambda host: host.dns is Dns.SIX_ONLY).name
    assert (addresses(ask(lab, name)), addresses(ask(lab, name, "AAAA"))) == ([], ["::1"])


def test_a_slowish_answer_takes_twenty_milliseconds_or_more(lab: Lab, find: Find) -> None:
    name = find(lambda host: host.dns is Dns.SLOWISH).name
    begun = time.monotonic()
    ask(lab, name)
    assert 0.02 <= time.monotonic() - begun < TIMEOUT_S


def test_a_truncated_answer_is_whole_over_tcp(lab: Lab, find: Find) -> None:
    host = find(lambda host: host.dns is Dns.TRUNCATED)
    address, _, port = lab.ports.resolvers[0].rpartition(":")
    query = dns.message.make_query(host.name, "A")
    answer, over_tcp = dns.query.udp_with_fallback(query, address, TIMEOUT_S, int(port))
    assert over_tcp
    assert addresses(answer) == sorted(host.a)


@pytest.mark.parametrize(
    ("kind", "rcode"),
    [
        (Dns.NXDOMAIN, dns.rcode.NXDOMAIN),
        (Dns.NOANSWER, dns.rcode.NOERROR),
        (Dns.SERVFAIL, dns.rcode.SERVFAIL),
        (Dns.REFUSED, dns.rcode.REFUSED),
        (Dns.FORMERR, dns.rcode.FORMERR),
    ],
)
def test_a_name_that_does_not_resolve_says_why(lab: Lab, find: Find, kind: Dns, rcode: dns.rcode.Rcode) -> None:
    name = find(lambda host: host.dns is kind).name
    for asked in ("A", "AAAA"):
        answer = ask(lab, name, asked)
        assert (answer.rcode(), answer.answer) == (rcode, [])


def test_a_garbled_answer_cannot_be_read_but_is_ours(lab: Lab, find: Find) -> None:
    name = find(lambda host: host.dns is Dns.GARBLED).name
    with pytest.raises(dns.exception.FormError):
        ask(lab, name)
    query = dns.message.make_query(name, "A").to_wire()
    answer = respond(World(lab.ports.seed), query, over_tcp=False)
    assert answer is not None
    assert answer[0][:2] == query[:2]
    assert query[12 : 12 + len(name) + 6] in answer[0]


@pytest.mark.parametrize("kind", [Dns.SILENT, Dns.LATE])
def test_silent_and_late_names_do_not_answer_in_time(lab: Lab, find: Find, kind: Dns) -> None:
    name = find(lambda host: host.dns is kind).name
    with pytest.raises(dns.exception.Timeout):
        ask(lab, name, timeout_s=0.6)


def test_a_late_answer_has_an_address_and_waits_six_seconds(world: World, find: Find) -> None:
    name = find(lambda host: host.dns is Dns.LATE).name
    answer = respond(world, dns.message.make_query(name, "A").to_wire(), over_tcp=False)
    assert answer is not None
    assert answer[1] == 6.0
    assert addresses(dns.message.from_wire(answer[0])) != []


def test_the_question_comes_back_with_its_case(lab: Lab, find: Find) -> None:
    host = find(lambda host: host.dns is Dns.PLAIN)
    mixed = "".join(c.upper() if i % 2 else c for i, c in enumerate(host.name))
    address, _, port = lab.ports.resolvers[0].rpartition(":")
    query = dns.message.make_query(mixed, "A", use_edns=False).to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        place.settimeout(TIMEOUT_S)
        place.sendto(query, (address, int(port)))
        answer = place.recv(4096)
    assert answer[12 : len(query)] == query[12:]
    assert addresses(dns.message.from_wire(answer)) == sorted(host.a)


def test_nonsense_is_refused_or_ignored_and_does_no_harm(lab: Lab, world: World, find: Find) -> None:
    assert respond(world, b"", over_tcp=False) is None
    assert respond(world, b"\x00" * 12, over_tcp=False) == (b"\x00\x00\x80\x81" + bytes(8), 0.0)  # FORMERR
    assert respond(world, b"\x00\x00\x80" + b"\x00" * 9, over_tcp=False) is None  # a response
    address, _, port = lab.ports.resolvers[0].rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        for size in range(64):
            place.sendto(bytes([255]) * size, (address, int(port)))
            place.sendto(bytes(4) + b"\x00\x01" + bytes([3]) * size, (address, int(port)))
    host = find(lambda host: host.dns is Dns.PLAIN)
    assert addresses(ask(lab, host.name)) == sorted(host.a)
