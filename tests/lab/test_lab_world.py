from collections import Counter

import pytest

from domainflow.lab import kinds
from domainflow.lab.expect import Expected, expected
from domainflow.lab.kinds import Dns, Web
from domainflow.lab.world import Host, World
from domainflow.vocabulary import DnsReason, HttpOutcome

NAMES = tuple(f"name{i}.com" for i in range(20_000))


@pytest.fixture(scope="module")
def hosts() -> list[Host]:
    world = World(7)
    return [world.host(name) for name in NAMES]


@pytest.fixture(scope="module")
def outcomes() -> list[Expected]:
    world = World(7)
    return [expected(world, name) for name in NAMES]


def test_the_same_seed_makes_the_same_world(hosts: list[Host]) -> None:
    again = World(7)
    assert [again.host(name) for name in NAMES] == hosts


def test_this_world_is_the_same_on_every_machine() -> None:
    host = World(7).host("name119.com")
    assert (host.dns, host.a, host.aaaa, host.web) == (Dns.SIX_ONLY, (), ("::1",), Web.REFUSED)


def test_another_seed_makes_another_world(hosts: list[Host]) -> None:
    other = World(8)
    same = sum(other.host(name).resolves == host.resolves for name, host in zip(NAMES, hosts, strict=True))
    assert same < 0.75 * len(NAMES)  # by chance .18² + .82² = .70


def test_case_and_the_final_dot_change_nothing() -> None:
    world = World(7)
    assert world.host("NaMe119.COM.") == world.host("name119.com")


def test_the_shares_are_whole() -> None:
    assert [len(table) for table in (kinds.DNS_PRESENT, kinds.DNS_ABSENT, kinds.SITES)] == [10_000] * 3


def test_about_eighteen_in_a_hundred_resolve(hosts: list[Host]) -> None:
    assert 0.17 < sum(host.resolves for host in hosts) / len(hosts) < 0.19


def test_few_names_cost_time(hosts: list[Host]) -> None:
    dns, web = Counter(host.dns for host in hosts), Counter(host.web for host in hosts)
    assert dns[Dns.SILENT] + dns[Dns.LATE] <= 0.004 * len(hosts)
    assert web[Web.SLOW_HELLO] + web[Web.SLOW_ANSWER] + web[Web.STALLED] <= 0.03 * (len(hosts) - web[Web.NONE])


def test_every_kind_occurs(hosts: list[Host]) -> None:
    assert {host.dns for host in hosts} == set(Dns) - {Dns.WILDCARD}
    assert {host.web for host in hosts} == set(Web)


def test_every_dns_reason_and_http_outcome_occurs(outcomes: list[Expected]) -> None:
    assert {one.reason for one in outcomes} == {None, *DnsReason}
    assert {one.http for one in outcomes} == {None, *HttpOutcome} - {HttpOutcome.PENDING}


def test_a_page_is_expected_exactly_where_a_response_is_final(outcomes: list[Expected]) -> None:
    answered = (HttpOutcome.SUCCESS, HttpOutcome.FAILED)
    assert all((one.planted is not None) == (one.http in answered) for one in outcomes)


def test_addresses_are_sorted_loopback(hosts: list[Host]) -> None:
    for host in hosts:
        numbers = [int(address.rpartition(".")[2]) for address in host.a]
        assert numbers == sorted(set(numbers))
        assert all(address.startswith(("127.0.1.", "127.0.2.", "127.0.3.")) for address in host.a)


def test_some_names_have_several_addresses_and_some_both_families(hosts: list[Host]) -> None:
    resolving = [host for host in hosts if host.resolves]
    assert 0.15 < sum(len(host.a) > 1 for host in resolving) / len(resolving) < 0.30
    assert 0.07 < sum(bool(host.a and host.aaaa) for host in resolving) / len(resolving) < 0.13


def test_every_name_of_a_wildcard_zone_has_the_same_address() -> None:
    world = World(7)
    found = {(world.host(f"{label}.ws").dns, world.host(f"{label}.ws").a) for label in ("a", "b.c", "x" * 40)}
    assert len(found) == 1
    assert next(iter(found))[0] is Dns.WILDCARD


def test_a_tenth_of_the_second_level_zones_are_wildcards() -> None:
    world = World(7)
    wild = [i for i in range(1000) if world.host(f"www.zone{i}.com").dns is Dns.WILDCARD]
    assert 70 < len(wild) < 130
    assert {world.host(f"{label}.zone{wild[0]}.com").a for label in "abcdef"} == {world.host(f"q.zone{wild[0]}.com").a}
    assert not any(world.host(f"n{i}.co.uk").dns is Dns.WILDCARD for i in range(100))


def test_a_random_label_exists_in_wildcard_zones_only() -> None:
    world = World(7)
    assert {world.host(f"{i:032x}.com").dns for i in range(500)} == {Dns.NXDOMAIN}


def test_without_faults_everything_is_answered_at_once() -> None:
    world = World(7, faults=False)
    found = [world.host(name) for name in NAMES]
    assert {host.dns for host in found} == {Dns.PLAIN, Dns.NXDOMAIN, Dns.NOANSWER}
    assert {host.web for host in found} == {Web.NONE, *kinds.GOOD_SITES}


def test_nothing_resolves_in_a_world_of_nothing() -> None:
    world = World(7, resolving=0.0)
    assert not any(world.host(name).resolves for name in (*NAMES, "a.ws", "hub-1.lab.test"))


def test_everything_resolves_in_a_world_of_everything() -> None:
    world = World(7, resolving=1.0)
    assert all(world.host(name).resolves for name in NAMES)
