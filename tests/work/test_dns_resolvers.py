from collections import Counter

import pytest

from domainflow.spec import DnsPersona
from domainflow.vocabulary import ResolverStrategy
from domainflow.work.dns_resolvers import Endpoint, Resolver, choose, endpoints, parse
from domainflow.work.rate import TokenBucket


def made(*weights: int, most: int = 400) -> list[Resolver]:
    return [Resolver(place, Endpoint(f"192.0.2.{place}", 53, weight), most) for place, weight in enumerate(weights)]


def room(resolver: Resolver) -> int:
    """How many may be in flight."""
    resolver.in_flight = 0
    while resolver.has_room():
        resolver.in_flight += 1
    found, resolver.in_flight = resolver.in_flight, 0
    return found


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5300", ("192.0.2.1", 5300)),
        ("2001:DB8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5300", ("2001:db8::1", 5300)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
    ],
)
def test_a_resolver_is_an_address_with_or_without_a_port(text: str, place: tuple[str, int]) -> None:
    assert parse(text) == place


def test_a_resolver_named_twice_is_one_with_its_first_weight() -> None:
    persona = DnsPersona(resolvers=("192.0.2.1", "192.0.2.2", "192.0.2.1:53"), weights=(5, 1, 9))
    assert endpoints(persona, None) == (Endpoint("192.0.2.1", 53, 5), Endpoint("192.0.2.2", 53, 1))


def test_a_window_starts_at_25_and_grows_to_what_the_persona_allows() -> None:
    (resolver,) = made(1)
    assert room(resolver) == 25
    for _ in range(2000):
        resolver.answered()
    assert room(resolver) == 400


def test_two_silent_names_in_a_hundred_do_not_narrow_the_window() -> None:
    (resolver,) = made(1)
    for place in range(5000):
        resolver.lost() if place % 50 == 0 else resolver.answered()
    assert room(resolver) == 400


def test_losses_halve_the_window() -> None:
    (resolver,) = made(1)
    for place in range(32):
        resolver.lost() if place % 4 == 0 else resolver.answered()
    assert room(resolver) == 13  # 12.5


def test_a_retreat_that_did_not_help_is_taken_back() -> None:
    (resolver,) = made(1)
    for place in range(64):
        resolver.lost() if place % 4 == 0 else resolver.answered()
    assert room(resolver) == 25


def test_ten_failures_in_a_row_are_sick_and_one_more_on_probation() -> None:
    (resolver,) = made(1)
    for _ in range(9):
        resolver.lost()
    assert not resolver.is_sick()
    resolver.refused()
    assert resolver.is_sick()
    resolver.bench(100.0)
    assert (resolver.benched_until_s, room(resolver), resolver.is_sick()) == (101.0, 1, False)
    resolver.lost()
    assert resolver.is_sick()
    resolver.bench(200.0)
    assert resolver.benched_until_s == 202.0
    resolver.answered()
    assert room(resolver) == 25


def test_a_benched_resolver_is_left_out_while_there_is_another() -> None:
    first, second = resolvers = made(1, 1)
    first.bench(100.0)
    chosen = [choose(ResolverStrategy.SEQUENTIAL_FAILOVER, resolvers, 0, now_s) for now_s in (100.5, 101.0)]
    assert chosen == [second, first]
    second.bench(100.0)
    assert choose(ResolverStrategy.SEQUENTIAL_FAILOVER, resolvers, 0, 100.5) is first


@pytest.mark.parametrize("strategy", list(ResolverStrategy))
def test_a_further_try_goes_to_a_resolver_that_was_not_asked(strategy: ResolverStrategy) -> None:
    resolvers = made(1, 1, 1)
    assert choose(strategy, resolvers, 0b011, 0.0) is resolvers[2]
    assert choose(strategy, resolvers, 0b111, 0.0) in resolvers


def test_failover_waits_for_the_first_and_the_specific_order_takes_the_next_with_room() -> None:
    resolvers = made(1, 1)
    resolvers[0].in_flight = 25
    assert choose(ResolverStrategy.SEQUENTIAL_FAILOVER, resolvers, 0, 0.0) is None
    assert choose(ResolverStrategy.SPECIFIC_ORDER, resolvers, 0, 0.0) is resolvers[1]


def test_rotations_reach_all_and_weights_are_kept_to() -> None:
    resolvers = made(1, 9)
    drawn = {
        strategy: Counter(
            resolver.index for _ in range(2000) if (resolver := choose(strategy, resolvers, 0, 0.0)) is not None
        )
        for strategy in (ResolverStrategy.RANDOM_ROTATION, ResolverStrategy.WEIGHTED_ROTATION)
    }
    assert 800 < drawn[ResolverStrategy.RANDOM_ROTATION][0] < 1200
    assert 120 < drawn[ResolverStrategy.WEIGHTED_ROTATION][0] < 280  # one in ten


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = TokenBucket(8.0, 3)
    assert [bucket.take(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.125]
    assert bucket.take(100.125) == 0.0
    assert [bucket.take(999.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.125]


def test_a_debt_is_earned_at_the_rate() -> None:
    bucket = TokenBucket(8.0, 1)
    assert [bucket.debit(5.0) for _ in range(3)] == [0.0, 0.125, 0.25]


def test_a_rate_of_nothing_is_no_limit() -> None:
    bucket = TokenBucket(0.0, 1)
    assert {bucket.take(0.0) for _ in range(100)} == {0.0}
