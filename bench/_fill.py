"""A store that has lived long, made at once: campaigns with their sources, whole chains and snapshots. No bench.

Bulk-loaded past the write path, a source a transaction; a verifier finds nothing wrong with it. To be run on a database
that has its schema, by a superuser: a bulk load passes by row-level security.
"""

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from msgspec import Struct
from msgspec.structs import replace
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.actors.campaign.actor import RULES, stream_of
from domainflow.actors.campaign.events import CampaignCreated, PhaseConfig, PhaseConfigured
from domainflow.actors.pattern.actor import source_stream
from domainflow.actors.pattern.messages import OffsetsReserved, SourceOpened
from domainflow.actors.rules import AuditContext, encode, tag_of
from domainflow.spec import DnsPersona, HttpPersona, Pattern, ScoringProfile
from domainflow.store.chain import GENESIS, link
from domainflow.vocabulary import Mode, PatternType, Phase
from domainflow.work.generation import source_hash, space

CAMPAIGNS_A_SOURCE: Final = 1000
NAMES: Final = 100  # a campaign
PICTURED: Final = 64  # events: campaigns of so many have a snapshot, of all of them
NOW_US: Final = 1_700_000_000_000_000
NOW: Final = datetime.fromtimestamp(NOW_US / 1e6, UTC)
CONTEXT: Final = encode(
    AuditContext(principal="filler", roles=("operator",), correlation="fill", command="fill", decision="fill")
)
CONFIGURED: Final = tuple(
    PhaseConfigured(phase=Phase.DNS_VALIDATION, config=PhaseConfig(dns=DnsPersona(query_timeout_s=seconds)))
    for seconds in (1.0, 2.0, 3.0)
)

EVENTS: Final[LiteralString] = """
copy domainflow.event (stream, version, tenant, recorded_at, type, type_version, context, body, hash)
from stdin (format binary)
"""
EVENT_TYPES: Final = ("text", "int8", "text", "timestamptz", "text", "int2", "bytea", "bytea", "bytea")
HEADS: Final[LiteralString] = (
    "copy domainflow.head (stream, tenant, version, hash, epoch, status) from stdin (format binary)"
)
HEAD_TYPES: Final = ("text", "text", "int8", "bytea", "int8", "text")
CAMPAIGNS: Final[LiteralString] = """
copy domainflow.campaign (id, tenant, principal, name, source_stream, base, count) from stdin (format binary)
"""
CAMPAIGN_TYPES: Final = ("uuid", "text", "text", "text", "text", "int8", "int8")
SNAPSHOTS: Final[LiteralString] = (
    "copy domainflow.snapshot (stream, tenant, version, fold_version, state) from stdin (format binary)"
)
SNAPSHOT_TYPES: Final = ("text", "text", "int8", "int2", "bytea")

Event = tuple[str, bytes]  # type, body
Row = tuple[Any, ...]


class Born(NamedTuple):
    """A campaign to be made."""

    id: uuid.UUID
    created: CampaignCreated


def fill(admin_dsn: str, *, campaigns: int, events: int, tenant: str = "acme", principal: str = "alice") -> None:
    """Add so many pending campaigns of so many events each, reserved from new sources."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        for first in range(0, campaigns, CAMPAIGNS_A_SOURCE):
            with connection.transaction():
                here = min(CAMPAIGNS_A_SOURCE, campaigns - first)
                _Source(connection, tenant, principal).fill(here, events)
        connection.execute("analyze")


class _Source:
    """A new source, and the campaigns that are reserved from it."""

    def __init__(self, connection: Connection[TupleRow], tenant: str, principal: str) -> None:
        self._connection, self._tenant, self._principal = connection, tenant, principal
        self._source = Pattern(
            pattern_type=PatternType.PREFIX,
            variable_length=6,
            character_set="abcdefghij",
            constant=uuid.uuid4().hex[:12],
            tld=".com",
        )
        self.stream = source_stream(tenant, source_hash(self._source))
        self._heads: list[Row] = []

    def fill(self, campaigns: int, events: int) -> None:
        born = [self._born(number) for number in range(campaigns)]
        self._copy(EVENTS, EVENT_TYPES, self._events(born, events))
        self._copy(HEADS, HEAD_TYPES, self._heads)
        self._copy(CAMPAIGNS, CAMPAIGN_TYPES, (self._row(one) for one in born))
        if events >= PICTURED:
            self._copy(SNAPSHOTS, SNAPSHOT_TYPES, self._snapshots(born, events))

    def _copy(self, into: LiteralString, types: tuple[str, ...], rows: Iterable[Row]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(into) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def _born(self, number: int) -> Born:
        created = CampaignCreated(
            name=f"filled {number}",
            description="",
            principal=self._principal,
            mode=Mode.FULL_SEQUENCE,
            source=self._source,
            base=number * NAMES,
            count=NAMES,
            created_at_us=NOW_US,
            batch_size=NAMES,
            retries=0,
            window=32,
            skip=(),
            dns=DnsPersona(),
            http=HttpPersona(),
            keywords=(),
            scoring=ScoringProfile(),
        )
        return Born(uuid.uuid4(), created)

    def _events(self, born: list[Born], events: int) -> Iterator[Row]:
        """All events of all streams, each chained to the one before; notes the heads."""
        opened = SourceOpened(source=self._source, space=space(self._source), exclusive=True)
        reserved = (
            OffsetsReserved(campaign=str(id_), start=created.base, stop=created.base + created.count)
            for id_, created in born
        )
        yield from self._stream(self.stream, map(_event, (opened, *reserved)), epoch=None, status=None)
        configured = tuple(map(_event, CONFIGURED))
        for id_, created in born:
            after = (configured[number % len(configured)] for number in range(events - 1))
            yield from self._stream(stream_of(str(id_)), chain((_event(created),), after), epoch=1, status="pending")

    def _stream(self, stream: str, events: Iterable[Event], *, epoch: int | None, status: str | None) -> Iterator[Row]:
        hash_, version = GENESIS, 0
        for version, (type_, body) in enumerate(events, 1):
            hash_ = link(
                stream=stream,
                version=version,
                previous=hash_,
                tenant=self._tenant,
                recorded_at_us=NOW_US,
                type_=type_,
                type_version=1,
                context=CONTEXT,
                body=body,
            )
            yield stream, version, self._tenant, NOW, type_, 1, CONTEXT, body, hash_
        self._heads.append((stream, self._tenant, version, hash_, epoch, status))

    def _row(self, one: Born) -> Row:
        created = one.created
        return one.id, self._tenant, self._principal, created.name, self.stream, created.base, created.count

    def _snapshots(self, born: list[Born], events: int) -> Iterator[Row]:
        """Of all, as the fold of one: they differ in what they were created with."""
        state = RULES.evolve(RULES.initial, born[0].created)
        for number in range(events - 1):
            state = RULES.evolve(state, CONFIGURED[number % len(CONFIGURED)])
        for id_, created in born:
            spec = replace(state.spec, name=created.name, base=created.base)
            picture = encode(replace(state, created=spec))
            yield stream_of(str(id_)), self._tenant, events, RULES.fold_version, picture


def _event(event: Struct) -> Event:
    return tag_of(event), encode(event)
