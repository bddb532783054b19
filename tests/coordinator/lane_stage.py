"""What the tests of a commit lane share: lanes on a stage, and how commits are made to gather behind one."""

from collections.abc import Iterator
from typing import Final

import pytest
from databases import Database
from durable import Actor, acting, item
from stage import Answers, Stage, commit_each, stage

from domainflow.store import streams
from domainflow.store.port import AuditNote, Committed, Item, Key

LOCK_GATE: Final = "select 1 from domainflow.head where stream = 'gate' for update"


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn, lane=9) as acts:
        yield acts


@pytest.fixture
def lanes(actor: Actor) -> Iterator[Stage]:
    with stage(actor) as made:
        yield made


@pytest.fixture
def lane(actor: Actor) -> Iterator[Stage]:
    """One lane, so that what waits for it goes into one batch."""
    with stage(actor, lanes=1) as made:
        yield made


@pytest.fixture
def admin(emptied: Database) -> str:
    return emptied.admin_dsn


@pytest.fixture
def answers() -> Iterator[Answers]:
    made = Answers()
    yield made
    assert made.none_left(), "somebody was answered twice"


def chain(stream: str, length: int) -> list[Item]:
    items = [item(stream)]
    while len(items) < length:
        items.append(item(stream, items[-1]))
    return items


def versions(actor: Actor, stream: str) -> list[int]:
    return [recorded.version for recorded in streams.events(actor.upkeep, stream, after=0)]


def hold_up(stage_: Stage, answers: Answers, name: str = "gate") -> Item:
    """A commit that a row lock will hold up, so that the others gather behind it."""
    gate = item(name)
    commit_each(stage_, answers, [gate])
    assert answers.take(1) == {f"{name}@1": Committed(1)}
    return item(name, gate)


def note(key: Key | None = None) -> AuditNote:
    return AuditNote(tenant="acme", type="audit.denied", context=b"who", body=b"what", key=key)
