"""The ways of ours to make transitions durable that commit.py compares; each runs for so long and tells its rate."""

import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow import CampaignSpec, Principal, Runtime
from domainflow.actors.campaign.events import PhaseConfig
from domainflow.actors.campaign.messages import ConfigurePhase
from domainflow.actors.ref import Ref
from domainflow.ids import new_id
from domainflow.security.context import Context
from domainflow.spec import DnsPersona, PatternSource
from domainflow.store import commit, pool
from domainflow.store.chain import GENESIS, link
from domainflow.store.commit_connection import PLANS
from domainflow.store.port import Item, Key, NewEvent
from domainflow.vocabulary import PatternType, Phase

LANES: Final = 2
BATCH: Final = 250
BODY: Final = os.urandom(200)
CONTEXT: Final = os.urandom(100)
PRINCIPAL: Final = Principal(id="bench", roles=("operator",), tenant="bench")
SPEC: Final = CampaignSpec(
    name="bench",
    source=PatternSource(
        pattern_type=PatternType.PREFIX,
        variable_length=6,
        character_set="abcdefghij",
        constant="x",
        tld="com",
        count=10,
    ),
)
COMMANDS: Final = tuple(
    ConfigurePhase(phase=Phase.DNS_VALIDATION, config=PhaseConfig(dns=DnsPersona(query_timeout_s=seconds)))
    for seconds in (0.5, 1.0)
)
PATIENCE_S: Final = 60.0

MOVE: Final[LiteralString] = """
update domainflow.head set version = %s, hash = %b where stream = %s and version = %s and hash = %b and tenant = 'bench'
"""
RECORD: Final[LiteralString] = """
insert into domainflow.event (stream, version, tenant, recorded_at, type, type_version, context, body, hash)
values (%s, %s, 'bench', now(), 'campaign.phase_configured', 1, %b, %b, %b)
"""
BIRTH: Final[LiteralString] = """
insert into domainflow.head (stream, tenant, version, hash) values (%s, 'bench', 0, %b)
"""


@dataclass
class Round:
    """What one round of one of the three came to."""

    rate: float  # transitions a second
    latencies_ms: list[float]


class Public:
    """Campaigns of a runtime, driven by one thread that waits for nobody in particular."""

    principal = PRINCIPAL

    def __init__(self, runtime: Runtime, campaigns: int) -> None:
        operations = runtime.as_principal(self.principal)
        self._runtime = runtime
        self._answers: queue.SimpleQueue[tuple[int, int, float, BaseException | None]] = queue.SimpleQueue()
        self._refs = [self._actor(operations.create_campaign(SPEC).id) for _ in range(campaigns)]
        self._turns = [0] * campaigns

    def _actor(self, campaign: str) -> Ref[object]:
        parts = self._runtime._parts  # noqa: SLF001 - a bench of what stands behind the handle
        return parts.start("campaigns", parts.campaign_spec(f"campaign/{campaign}"), PATIENCE_S)

    def run(self, seconds: float, busy: int) -> Round:
        """Keep `busy` campaigns busy for so long."""
        latencies: list[float] = []
        end_s = time.perf_counter() + seconds
        began_s = time.perf_counter()
        for number in range(busy):
            self._send(number)
        under_way = busy
        while under_way:
            number, _, sent_s, error = self._answers.get(timeout=PATIENCE_S)
            now_s = time.perf_counter()
            if error is not None:
                raise error
            latencies.append((now_s - sent_s) * 1e3)
            if now_s < end_s:
                self._send(number)
            else:
                under_way -= 1
        return Round(len(latencies) / (time.perf_counter() - began_s), latencies)

    def _send(self, number: int) -> None:
        self._turns[number] += 1
        context = Context(principal=self.principal, correlation_id=new_id(), idempotency_key=f"once/{new_id()}")
        command, sent_s = COMMANDS[self._turns[number] % 2], time.perf_counter()
        reply = self._refs[number].ask_reply(command, context)
        reply.add_done_callback(lambda done: self._answers.put((number, 0, sent_s, done.error)))


class OneEach:
    """One transaction a transition on one connection."""

    def __init__(self, admin_dsn: str, streams: int) -> None:
        self._connection = psycopg.connect(admin_dsn, autocommit=True, prepare_threshold=0)
        self._heads = {f"one/{number}": (0, GENESIS) for number in range(streams)}
        for stream in self._heads:
            self._connection.execute(BIRTH, (stream, GENESIS))

    def run(self, seconds: float) -> Round:
        """Move one stream after the other for so long."""
        latencies: list[float] = []
        began_s = now_s = time.perf_counter()
        while now_s - began_s < seconds:
            for stream in self._heads:
                self._move(stream)
                latencies.append((time.perf_counter() - now_s) * 1e3)
                now_s = time.perf_counter()
                if now_s - began_s >= seconds:
                    break
        return Round(len(latencies) / (now_s - began_s), latencies)

    def _move(self, stream: str) -> None:
        version, previous = self._heads[stream]
        event = _event(stream, version + 1, previous)
        with self._connection.transaction():
            self._connection.execute(MOVE, (event.version, event.hash, stream, version, previous))
            self._connection.execute(RECORD, (stream, event.version, CONTEXT, BODY, event.hash))
        self._heads[stream] = (event.version, event.hash)


class BareBatch:
    """The statement of the lanes, and nothing before or behind it."""

    def __init__(self, dsn: str, runtime: str, streams: int) -> None:
        self._lanes = [_lane(dsn, runtime, 10 + number) for number in range(LANES)]
        share = streams // LANES
        self._items = [
            [
                Item(stream=f"bare/{lane}/{n}", tenant="bench", expected=0, previous=GENESIS, events=())
                for n in range(share)
            ]
            for lane in range(LANES)
        ]

    def run(self, seconds: float) -> Round:
        """Commit batches on all lanes for so long; making the items is not counted."""
        rounds = [list(self._batches(number, seconds)) for number in range(LANES)]
        found: list[tuple[int, float]] = []
        threads = [threading.Thread(target=self._commit, args=(n, rounds[n], seconds, found)) for n in range(LANES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Round(sum(count / took_s for count, took_s in found), [])

    def _batches(self, number: int, seconds: float) -> Iterator[list[Item]]:
        for _ in range(int(seconds * 60)):
            for begin in range(0, len(self._items[number]), BATCH):
                batch = [_next(item) for item in self._items[number][begin : begin + BATCH]]
                self._items[number][begin : begin + BATCH] = batch
                yield batch

    def _commit(self, number: int, batches: list[list[Item]], seconds: float, found: list[tuple[int, float]]) -> None:
        connection, lane = self._lanes[number]
        began_s, done, last = time.perf_counter(), 0, 0
        for batch in batches:
            commit.commit_batch(connection, lane, batch)
            done, last = done + len(batch), last + 1
            if time.perf_counter() - began_s > seconds:
                break
        found.append((done, time.perf_counter() - began_s))
        self._rewind(number, batches[last:])

    def _rewind(self, number: int, unsent: list[list[Item]]) -> None:
        """Stand where the store stands: what was made and not sent never was."""
        first: dict[str, Item] = {}
        for batch in unsent:
            for item in batch:
                first.setdefault(item.stream, item)
        for place, item in enumerate(self._items[number]):
            if item.stream in first:
                made = first[item.stream]
                self._items[number][place] = Item(
                    stream=made.stream, tenant="bench", expected=made.expected, previous=made.previous, events=()
                )


def _lane(dsn: str, runtime: str, number: int) -> tuple[Connection[TupleRow], commit.Lane]:
    connection = pool.connect(dsn, "app")
    connection.prepare_threshold = 0
    connection.execute(PLANS)
    lane = commit.Lane(runtime, number)
    lane.raise_generation(connection)
    return connection, lane


def _next(item: Item) -> Item:
    """The item that follows one on its stream."""
    version, previous = (item.version, item.hash) if item.events else (item.expected, item.previous)
    event = _event(item.stream, version + 1, previous)
    key = Key(principal="bench", key=f"once/{new_id()}", command_hash=previous, answer=b"0123456789")
    return Item(stream=item.stream, tenant="bench", expected=version, previous=previous, events=(event,), key=key)


def _event(stream: str, version: int, previous: bytes) -> NewEvent:
    now_us = time.time_ns() // 1000
    digest = link(
        stream=stream,
        version=version,
        previous=previous,
        tenant="bench",
        recorded_at_us=now_us,
        type_="campaign.phase_configured",
        type_version=1,
        context=CONTEXT,
        body=BODY,
    )
    return NewEvent(
        version=version,
        type="campaign.phase_configured",
        type_version=1,
        recorded_at_us=now_us,
        context=CONTEXT,
        body=BODY,
        hash=digest,
    )
