"""A database that real runtimes filled, to be copied for each test, and a hand that can falsify a copy.

What stands in it (tenant acme): `done` completed all four phases against the lab; `running` was left in DNS with one
batch done, one claimed and the others ready; `paused` holds parked items; `words` and `names` wait; `deleted` is gone.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
from msgspec import Struct
from msgspec.structs import replace
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow import CampaignSpec, Operations, Principal, Runtime, Settings
from domainflow.actors.campaign.actor import RULES, stream_of
from domainflow.actors.rules import AuditContext, encode, tag_of
from domainflow.lab.process import Lab
from domainflow.lab.text import LAB_KEYWORDS
from domainflow.spec import DnsPersona, HttpPersona, NamesSource, PatternSource, WordsSource
from domainflow.store import leases, work_items
from domainflow.store.chain import GENESIS, link
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind
from domainflow.vocabulary import PatternType, Phase
from domainflow.work.vectors import pack

SEED = 11
NAMES = 200
TENANT = "acme"
ALICE = Principal(id="alice", roles=("admin",), tenant=TENANT)
DEAD_RUNTIME = "00000000-0000-4000-8000-00000000dead"
NXDOMAIN = 2  # in DNS_CODES
EVIDENCE = encode(AuditContext(principal="mallory", roles=(), correlation="-", command="-", decision="-"))

DNS = DnsPersona(resolvers=("lab",), query_timeout_s=0.3)
HTTP = HttpPersona(connect_ports="lab", trust="lab", allow_private=True, request_timeout_s=1.0)
PATTERN = PatternSource(
    pattern_type=PatternType.PREFIX, variable_length=4, character_set="abcdefgh", constant="x", tld=".com", count=NAMES
)
SPEC = CampaignSpec(name="a campaign", source=PATTERN, batch_size=10, dns=DNS, http=HTTP, keywords=LAB_KEYWORDS)


@dataclass(frozen=True)
class Ids:
    """The campaigns."""

    done: str
    running: str
    paused: str
    words: str
    names: str
    deleted: str


def opened(dsn: str) -> Postgres:
    """A store without a runtime."""
    return Postgres(lambda: dsn, revive=lambda: None, connections=1)


def fill(dsn: str, home: Path) -> Ids:
    """Fill a migrated database."""
    settings = Settings(workers=1, most_active=20, tick_s=0.02)
    (home / "words.txt").write_text("pear\napple\n-bad-\n")
    (home / "names.txt").write_text("one.test\ntwo.test\nthree.test\n")
    with Lab.start(home, SEED, resolving=0.5), Runtime.open(dsn, home=home, settings=settings) as runtime:
        operations = runtime.as_principal(ALICE)
        done = _create(operations, "done")
        operations.campaign(done).start()
        operations.campaign(done).wait(60.0)
    with Runtime.open(dsn, home=home, settings=settings, work=False) as runtime:
        ids = _leave_the_rest(runtime.as_principal(ALICE), done, home)
    store = opened(dsn)
    _work_a_little(store)
    _picture(store, ids.done)
    store.close()
    return ids


def _create(operations: Operations, name: str, **changes: object) -> str:
    return operations.create_campaign(replace(SPEC, name=name, **changes)).id


def _leave_the_rest(operations: Operations, done: str, home: Path) -> Ids:
    skip = (Phase.DOMAIN_GENERATION,)
    running = _create(operations, "running", skip=skip)
    paused = _create(operations, "paused", skip=skip)
    for id_ in (running, paused):
        operations.campaign(id_).start()
        next(
            change
            for change in operations.campaign(id_).watch(timeout_s=20.0)
            if change.type == "campaign.phase_started"
        )
    operations.campaign(running).start()  # changes nothing, and leaves its evidence on an audit stream
    operations.campaign(paused).pause()
    operations.campaign(paused).wait(20.0)
    deleted = _create(operations, "deleted")
    operations.campaign(deleted).delete()
    words = _create(operations, "words", source=WordsSource(words=str(home / "words.txt"), tlds=("com", "org")))
    names = _create(operations, "names", source=NamesSource(file=str(home / "names.txt")))
    return Ids(done=done, running=running, paused=paused, words=words, names=names, deleted=deleted)


def _work_a_little(store: Postgres) -> None:
    """Claim two items of the running campaign, finish one, and die."""
    listener = store.connect_listener()
    leases.register(listener, DEAD_RUNTIME, host=leases.Host("far", 1), lock_key=1, lease_s=600.0)
    with store.upkeep(Kind.TOOL) as connection:
        first, _ = work_items.claim(connection, DEAD_RUNTIME, 2)
    codes = [NXDOMAIN] * (first.stop - first.start)
    result = work_items.Result(
        item=first.id, fence=first.fence, counts=(("NXDOMAIN", len(codes)),), outcomes=pack(codes), hits=()
    )
    assert store.store_results([result], [TENANT]) == [True]
    listener.close()


def _picture(store: Postgres, campaign: str) -> None:
    """A snapshot as a runtime writes one when it is due."""
    loaded = store.peek(stream_of(campaign), fold_version=RULES.fold_version)
    state = encode(RULES.fold(loaded))
    with store.tenants(Kind.TOOL, TENANT) as connection:
        connection.execute(
            "insert into domainflow.snapshot (stream, tenant, version, fold_version, state) values (%s, %s, %s, %s, %s)"
            " on conflict (stream) do update set version = excluded.version, state = excluded.state",
            (loaded.stream, TENANT, loaded.version, RULES.fold_version, state),
        )


@dataclass(frozen=True)
class Hand:
    """Writes past every guard: as the owner of everything, with triggers and foreign keys switched off."""

    connection: Connection[TupleRow]
    ids: Ids

    def do(self, statement: LiteralString, *values: object, where: LiteralString = "") -> None:
        """Change at least one row."""
        assert self.connection.execute(statement + where, values).rowcount > 0, "the plant changed nothing"

    def append(self, stream: str, event: Struct, *, tenant: str = TENANT) -> None:
        """Append an event whose chain is right, whatever it says."""
        self.append_bytes(stream, tag_of(event), encode(event), tenant=tenant)

    def append_bytes(
        self, stream: str, type_: str, body: bytes, *, tenant: str = TENANT, type_version: int = 1
    ) -> None:
        """Append any bytes as an event, and move the head."""
        row = self.connection.execute(
            "select version, hash from domainflow.head where stream = %s", (stream,)
        ).fetchone()
        version, previous = (row[0], row[1]) if row else (0, GENESIS)
        now_us = 1_700_000_000_000_000
        digest = link(
            stream=stream,
            version=version + 1,
            previous=previous,
            tenant=tenant,
            recorded_at_us=now_us,
            type_=type_,
            type_version=type_version,
            context=EVIDENCE,
            body=body,
        )
        self.do(
            "insert into domainflow.event"
            " (stream, version, tenant, recorded_at, type, type_version, context, body, hash)"
            " values (%s, %s, %s, to_timestamp(1700000000), %s, %s, %s, %s, %s)",
            *(stream, version + 1, tenant, type_, type_version, EVIDENCE, body, digest),
        )
        self.do(
            "update domainflow.head set version = %s, hash = %s, tenant = %s where stream = %s",
            *(version + 1, digest, tenant, stream),
        )

    def pattern(self) -> str:
        """The stream of the pattern that most campaigns count from."""
        row = self.connection.execute(
            "select source_stream from domainflow.campaign where id = %s", (self.ids.done,)
        ).fetchone()
        assert row is not None
        return str(row[0])


@contextmanager
def hand(admin_dsn: str, ids: Ids) -> Iterator[Hand]:
    """Open the hand; what it did is committed."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        yield Hand(connection, ids)


def fresh_uuid() -> str:
    return str(uuid.uuid4())
