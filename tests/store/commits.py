"""What the tests of the commit statement share: who commits, what then stands, and a head that is held."""

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest
from both import Both, OnPostgres
from databases import Database
from durable import Actor

from domainflow.store import pool, streams
from domainflow.store.commit_connection import CommitConnection

LOCK_HEAD: Final = "select 1 from domainflow.head where stream = %s for update"


@pytest.fixture
def actor(emptied: Database) -> Iterator[OnPostgres]:
    with closing(OnPostgres(emptied)) as acts:
        yield acts


@pytest.fixture
def admin(emptied: Database) -> str:
    return emptied.admin_dsn


def head(actor: Both, stream: str) -> streams.Head | None:
    return actor.streams.head(actor.upkeep, stream)


def versions(actor: Both, stream: str) -> list[int]:
    return [recorded.version for recorded in actor.streams.events(actor.upkeep, stream, after=0)]


def lane_of(actor: Actor) -> CommitConnection:
    connection = CommitConnection(lambda: pool.connect(actor.dsn, "app"), actor.runtime, 1)
    connection.reopen()
    return connection
