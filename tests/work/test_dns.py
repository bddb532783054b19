import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from batches import addresses, batch, outcomes
from tiny_servers import NXDOMAIN, REFUSED, SERVFAIL, Query, resolver

from domainflow.errors import InvalidInput, Unavailable
from domainflow.lab.expect import expected
from domainflow.lab.process import Lab
from domainflow.lab.world import World
from domainflow.spec import DnsPersona, Pattern
from domainflow.vocabulary import PatternType, ResolverStrategy
from domainflow.work import dns
from domainflow.work.port import BatchResult, BatchSpec

FAST_S = 0.1


def run(*specs: BatchSpec) -> list[BatchResult]:
    return asyncio.run(_run(*specs))


async def _run(*specs: BatchSpec) -> list[BatchResult]:
    try:
        return await asyncio.gather(*(dns.run(spec) for spec in specs))
    finally:
        await dns.aclose()


def against(script: Callable[[Query], list[bytes]], scene: Callable[[str, list[Query]], Awaitable[None]]) -> None:
    """Play a scene beside a scripted resolver; it gets the resolver's notation and the queries it has heard."""

    async def play() -> None:
        async with resolver(script) as server:
            try:
                await scene(server.notation, server.queries)
            finally:
                await dns.aclose()

    asyncio.run(play())


def silent_port() -> socket.socket:
    """A port that takes datagrams and never answers."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    holder.bind(("127.0.0.1", 0))
    return holder


def persona(*resolvers: str, **changes: object) -> DnsPersona:
    fixed = {"resolvers": resolvers, "query_timeout_s": FAST_S}
    return DnsPersona(**fixed | changes)  # type: ignore[arg-type]  # by name


def test_every_name_of_the_lab_comes_out_as_the_lab_says(tmp_path: Path, lab: Lab, world: World) -> None:
    names = [f"name{i}.com" for i in range(1500)]
    spec = batch(tmp_path, names, dns=DnsPersona(resolvers=("lab",), query_timeout_s=0.5), lab=lab.ports)
    (result,) = run(spec)
    wanted = [expected(world, name) for name in names]
    assert outcomes(spec, result) == [want.reason or "resolved" for want in wanted]
    assert addresses(result) == {place: want.addresses for place, want in enumerate(wanted) if want.addresses}
    assert sum(count for _, count in result.counts) == 1500
    assert dict(result.counts) == Counter(outcomes(spec, result))


def test_nxdomain_ends_a_name_with_one_question(tmp_path: Path) -> None:
    async def scene(notation: str, queries: list[Query]) -> None:
        spec = batch(tmp_path, ["gone.test"], dns=persona(notation, retries=5))
        assert outcomes(spec, await dns.run(spec)) == ["NXDOMAIN"]
        assert [(query.name, query.rrtype) for query in queries] == [("gone.test", 1)]

    against(lambda query: [query.says(NXDOMAIN)], scene)


def test_a_name_with_only_an_aaaa_record_resolves(tmp_path: Path) -> None:
    async def scene(notation: str, _: list[Query]) -> None:
        spec = batch(tmp_path, ["six.test"], dns=persona(notation))
        assert addresses(await dns.run(spec)) == {0: ("2001:db8::1",)}

    against(lambda query: [query.answer("2001:db8::1") if query.rrtype == 28 else query.says(0)], scene)


def test_addresses_are_sorted_by_number_with_a_before_aaaa(tmp_path: Path) -> None:
    async def scene(notation: str, _: list[Query]) -> None:
        spec = batch(tmp_path, ["both.test"], dns=persona(notation))
        assert addresses(await dns.run(spec)) == {0: ("9.0.0.1", "10.0.0.1", "::1", "2001:db8::1")}

    def script(query: Query) -> list[bytes]:
        return [query.answer(*(("10.0.0.1", "9.0.0.1") if query.rrtype == 1 else ("2001:db8::1", "::1")))]

    against(script, scene)


@pytest.mark.parametrize(
    ("rcode", "reason"), [(SERVFAIL, "SERVFAIL"), (REFUSED, "REFUSED"), (1, "ERROR"), (4, "ERROR")]
)
def test_a_failure_is_tried_as_often_as_the_persona_says_and_then_stands(
    tmp_path: Path, rcode: int, reason: str
) -> None:
    async def scene(notation: str, queries: list[Query]) -> None:
        spec = batch(tmp_path, ["bad.test"], dns=persona(notation, retries=2))
        assert outcomes(spec, await dns.run(spec)) == [reason]
        assert Counter(query.rrtype for query in queries) == {1: 3, 28: 2}

    against(lambda query: [query.says(rcode)], scene)


def test_a_silent_resolver_makes_a_time_out_after_all_tries_and_not_later(tmp_path: Path) -> None:
    with silent_port() as silent:
        spec = batch(tmp_path, ["a.test"], dns=persona(f"127.0.0.1:{silent.getsockname()[1]}", retries=2))
        began_s = time.monotonic()
        (result,) = run(spec)
        assert outcomes(spec, result) == ["TIMEOUT"]
        assert 0.3 <= time.monotonic() - began_s < 1.0  # three tries


def test_a_closed_port_is_an_error(tmp_path: Path) -> None:
    with silent_port() as holder:
        notation = f"127.0.0.1:{holder.getsockname()[1]}"
    spec = batch(tmp_path, ["a.test", "b.test"], dns=persona(notation))
    assert outcomes(spec, run(spec)[0]) == ["ERROR", "ERROR"]


@pytest.mark.parametrize("rcode", [SERVFAIL, REFUSED])
def test_sequential_failover_goes_on_to_the_next_resolver(tmp_path: Path, rcode: int) -> None:
    async def scene(first: str, asked_first: list[Query]) -> None:
        async with resolver(
            lambda query: [query.answer("192.0.2.1") if query.rrtype == 1 else query.says(0)]
        ) as second:
            spec = batch(
                tmp_path,
                ["a.test"],
                dns=persona(first, second.notation, strategy=ResolverStrategy.SEQUENTIAL_FAILOVER),
            )
            assert addresses(await dns.run(spec)) == {0: ("192.0.2.1",)}
            assert asked_first[0].rrtype == second.queries[0].rrtype == 1

    against(lambda query: [query.says(rcode)], scene)


def test_sequential_failover_never_moves_on_for_nxdomain(tmp_path: Path) -> None:
    async def scene(first: str, _: list[Query]) -> None:
        async with resolver(lambda query: [query.answer("192.0.2.1")]) as second:
            names = [f"n{i}.test" for i in range(50)]
            spec = batch(
                tmp_path,
                names,
                dns=persona(first, second.notation, strategy=ResolverStrategy.SEQUENTIAL_FAILOVER),
            )
            assert outcomes(spec, await dns.run(spec)) == ["NXDOMAIN"] * 50
            assert second.queries == []

    against(lambda query: [query.says(NXDOMAIN)], scene)


def test_neither_forged_nor_late_answers_are_taken(tmp_path: Path) -> None:
    held: list[bytes] = []

    def script(query: Query) -> list[bytes]:
        if query.name == "slow.test":  # never answered in time: what was held comes with the next name's answer
            held.append(query.answer("192.0.2.66"))
            held.append(query.ident + b"\x81\x85" + bytes(8))  # a bare REFUSED for the same id
            return []
        wrong_id = bytes((query.ident[0] ^ 1, query.ident[1]))
        other_name = query.ident + b"\x81\x83\0\1\0\0\0\0\0\0" + b"\x05other\x04test\0\0\1\0\1"
        forged = [wrong_id + query.answer("192.0.2.6")[2:], other_name, query.ident, b""]
        return [*held, *forged, query.answer("192.0.2.1") if query.rrtype == 1 else query.says(0)]

    async def scene(notation: str, _: list[Query]) -> None:
        slow = batch(tmp_path, ["slow.test"], dns=persona(notation, retries=0))
        assert outcomes(slow, await dns.run(slow)) == ["TIMEOUT"]
        fast = batch(tmp_path, [f"n{i}.test" for i in range(200)], dns=persona(notation, retries=0))
        assert addresses(await dns.run(fast)) == dict.fromkeys(range(200), ("192.0.2.1",))

    against(script, scene)


def test_an_id_is_not_used_again_while_a_late_answer_to_it_may_come(tmp_path: Path) -> None:
    async def scene(notation: str, queries: list[Query]) -> None:
        asked = persona(notation, retries=0, query_timeout_s=0.05)
        slow = batch(tmp_path, [f"silent{i}.test" for i in range(300)], dns=asked)
        assert outcomes(slow, await dns.run(slow)) == ["TIMEOUT"] * 300
        fast = batch(tmp_path, [f"n{i}.test" for i in range(4000)], dns=asked)  # by chance 36 would meet an old id
        await dns.run(fast)
        late = {(query.port, query.ident) for query in queries if query.name.startswith("silent")}
        assert not late & {(query.port, query.ident) for query in queries if query.name.startswith("n")}

    against(lambda query: [] if query.name.startswith("silent") else [query.says(NXDOMAIN)], scene)


def test_a_name_whose_aaaa_does_not_exist_does_not_exist_whatever_became_of_its_a(tmp_path: Path) -> None:
    async def scene(notation: str, _: list[Query]) -> None:
        spec = batch(tmp_path, ["a.test"], dns=persona(notation, retries=0))
        assert outcomes(spec, await dns.run(spec)) == ["NXDOMAIN"]

    against(lambda query: [query.says(SERVFAIL if query.rrtype == 1 else NXDOMAIN)], scene)


def test_never_more_in_flight_than_the_persona_allows_over_all_batches(tmp_path: Path) -> None:
    async def scene(notation: str, queries: list[Query]) -> None:
        async with resolver(lambda _query: []) as other:
            asked = persona(notation, other.notation, max_in_flight=7, retries=0)
            specs = [batch(tmp_path, [f"{lane}{i}.test" for i in range(14)], dns=asked) for lane in "ab"]
            await asyncio.gather(*(dns.run(spec) for spec in specs))
        # None is answered, so the seventh query after any other waits for that one's time-out.
        times_s = sorted(query.at_s for query in (*queries, *other.queries))
        assert len(times_s) == 56
        assert min(later - earlier for earlier, later in zip(times_s, times_s[7:], strict=False)) > FAST_S / 2

    against(lambda _query: [], scene)


def test_the_rate_limit_holds_for_all_batches_of_a_worker_together(tmp_path: Path) -> None:
    async def scene(notation: str, queries: list[Query]) -> None:
        asked = persona(notation, rate_limit_qps=100, rate_limit_burst=10)
        specs = [batch(tmp_path, [f"{lane}{i}.test" for i in range(20)], dns=asked) for lane in "ab"]
        began_s = time.monotonic()
        await asyncio.gather(*(dns.run(spec) for spec in specs))
        assert len(queries) == 40
        assert time.monotonic() - began_s >= 0.3  # 10 at once, 30 more at 100 a second

    against(lambda query: [query.says(NXDOMAIN)], scene)


def test_a_dead_resolver_is_benched_and_costs_little(tmp_path: Path) -> None:
    async def scene(notation: str, _: list[Query]) -> None:
        dead_queries: list[Query] = []
        async with resolver(lambda _query: []) as dead:
            dead_queries = dead.queries
            names = [f"n{i}.test" for i in range(3000)]
            spec = batch(tmp_path, names, dns=persona(notation, dead.notation, retries=3))
            assert outcomes(spec, await dns.run(spec)) == ["NXDOMAIN"] * 3000
        assert 0 < len(dead_queries) <= 30  # its first window, and a probe or two

    against(lambda query: [query.says(NXDOMAIN)], scene)


def test_a_name_that_is_none_is_invalid_and_not_asked_for(tmp_path: Path) -> None:
    async def scene(notation: str, queries: list[Query]) -> None:
        pattern = Pattern(
            pattern_type=PatternType.PREFIX, variable_length=1, character_set="-a", constant="x", tld=".test"
        )
        base = batch(tmp_path, ["?", "?"], dns=persona(notation))
        spec = BatchSpec(**{name: getattr(base, name) for name in base.__struct_fields__} | {"source": pattern})
        result = await dns.run(spec)
        assert outcomes(spec, result) == ["invalid", "NXDOMAIN"]
        assert [query.name for query in queries] == ["ax.test"]

    against(lambda query: [query.says(NXDOMAIN)], scene)


def test_a_cancelled_batch_leaves_the_others_alone_and_asks_no_more(tmp_path: Path) -> None:
    heard = asyncio.Event()

    def script(query: Query) -> list[bytes]:
        heard.set()
        return [] if query.name.startswith("silent") else [query.says(NXDOMAIN)]

    async def scene(notation: str, queries: list[Query]) -> None:
        asked = persona(notation, max_in_flight=4, retries=0)
        stuck = asyncio.create_task(dns.run(batch(tmp_path, [f"silent{i}.test" for i in range(400)], dns=asked)))
        await heard.wait()
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck
        fine = batch(tmp_path, ["a.test"], dns=asked)
        assert outcomes(fine, await dns.run(fine)) == ["NXDOMAIN"]
        assert sum(query.name.startswith("silent") for query in queries) == 4

    against(script, scene)


@pytest.mark.parametrize(
    "changes",
    [
        {"resolvers": ("https://dns.test/dns-query",)},
        {"resolvers": ("dns.test",)},
        {"resolvers": ("192.0.2.1:0",)},
        {"resolvers": ("192.0.2.1:99999",)},
        {"resolvers": ("192.0.2.1",), "weights": (1, 2)},
    ],
)
def test_a_persona_that_cannot_be_asked_is_refused(tmp_path: Path, changes: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(InvalidInput, match=r"^dns\."):
        run(batch(tmp_path, ["a.test"], dns=DnsPersona(**changes)))  # type: ignore[arg-type]  # by name


def test_the_resolver_lab_without_a_lab_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="domainflow lab"):
        run(batch(tmp_path, ["a.test"], dns=DnsPersona(resolvers=("lab",))))
