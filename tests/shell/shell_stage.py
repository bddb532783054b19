"""What the tests of event-sourced actors share: a house of them, campaigns to command, and what the store shows."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
from databases import Database
from durable import SOON_S, Actor, acting, new_uuid
from reservation import reservation
from stage import Stage, context, stage

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.pattern.messages import ReserveOffsets
from domainflow.actors.ref import Ref
from domainflow.actors.rules import Ack, AuditContext
from domainflow.security.context import Context, Principal
from domainflow.store import streams

SOURCE: Final = pattern.source_stream("acme", "hundred")
BOB: Final = Principal(id="bob", roles=("operator",), tenant="acme")


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn, lane=9) as acts:
        yield acts


@pytest.fixture
def house(actor: Actor) -> Iterator[Stage]:
    with stage(actor) as made:
        yield made


@pytest.fixture
def other(emptied: Database) -> Iterator[Stage]:
    with acting(emptied.dsn, lane=9) as acts, stage(acts) as made:
        yield made


@pytest.fixture
def admin(emptied: Database) -> str:
    return emptied.admin_dsn


def reserve(count: int, most_active: int = 10) -> ReserveOffsets:
    return reservation(count, new_uuid(), SOURCE, most_active=most_active)


def ask(ref: Ref[Any], message: object, who: Context | None = None) -> Ack:
    answer = ref.ask(message, who or context(), timeout_s=SOON_S)
    assert isinstance(answer, Ack)
    return answer


def a_campaign(house: Stage, count: int = 20) -> tuple[Ref[Any], str]:
    """A campaign's actor, and its stream."""
    command = reserve(count)
    ask(house.put_on(pattern.RULES, SOURCE, "source"), command)
    stream = campaign.stream_of(command.campaign)
    return house.put_on(campaign.RULES, stream), stream


def types(actor: Actor, stream: str) -> list[str]:
    return [recorded.type for recorded in streams.events(actor.upkeep, stream, after=0)]


def audits(actor: Actor) -> list[tuple[str, AuditContext]]:
    rows = actor.upkeep.execute(
        "select type, context from domainflow.event where stream like 'audit/%' order by recorded_at"
    )
    return [(type_, msgspec.msgpack.decode(body, type=AuditContext)) for type_, body in rows.fetchall()]


def lock(stream: str) -> str:
    return f"select 1 from domainflow.head where stream = '{stream}' for update"  # noqa: S608 - a stream of this test
