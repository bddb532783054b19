"""What the tests of the feed share: events that are written by hand, who reads on from a bookmark, and shortcuts.

The shortcuts are how a feed is usually read. Each loses events or inverts them; the tests see each of them do it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString, TypeAlias

import psycopg
import pytest
from durable import Actor, Postgres

from domainflow import aio, handle, subscriptions
from domainflow.actors.campaign.events import CampaignQueued
from domainflow.actors.rules import encode
from domainflow.store import feed
from domainflow.store.feed import BEGINNING, Position
from domainflow.store.transaction import Kind, transaction
from domainflow.views import FeedChange

NEVER_S: Final = 600.0
Seen: TypeAlias = tuple[str, int]  # stream and version
Look: TypeAlias = Callable[[Postgres, str], tuple[list[Seen], str]]  # after a bookmark; what came, and the next one

WRITE: Final = """
insert into domainflow.event (stream, version, tenant, recorded_at, type, type_version, context, body, hash)
values (%s, %s, 'acme', clock_timestamp(), 'test.moved', 1, '', '', '')
"""
WRITE_BODY: Final = """
insert into domainflow.event (stream, version, tenant, recorded_at, type, type_version, context, body, hash)
values (%s, %s, 'acme', clock_timestamp(), 'campaign.queued', 1, '', %s, '')
"""
WRITE_AT: Final = """
insert into domainflow.event
  (era, xid, seq, stream, version, tenant, recorded_at, type, type_version, context, body, hash)
values (%s, %s::text::xid8, %s, %s, %s, 'acme', clock_timestamp(), 'test.moved', 1, '', '', '')
"""


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks unless woken, or would within the life of a test."""
    for module in (aio, handle, subscriptions):
        monkeypatch.setattr(module, "LOOK_AGAIN_S", NEVER_S)


def told(changes: list[FeedChange]) -> list[tuple[str, int]]:
    return [(change.campaign, change.version) for change in changes]


@contextmanager
def writing(actor: Actor) -> Iterator[Callable[[str, int], object]]:
    """Write events in one transaction, which is committed at the end."""
    with transaction(actor.app, Kind.TOOL, tenants=["acme"]):
        yield lambda stream, version: actor.app.execute(WRITE, (stream, version))


def write(actor: Actor, stream: str, version: int) -> None:
    with writing(actor) as write_:
        write_(stream, version)


def write_as(admin_dsn: str, stream: str, version: int) -> None:
    """Write a campaign's event past every actor and lane."""
    body = encode(CampaignQueued())
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(WRITE_BODY, (stream, version, body))


def look(connection: Postgres, bookmark: str) -> tuple[list[Seen], str]:
    """As it is meant to be read."""
    page = feed.page(connection, Position.parse(bookmark))
    return [(placed.recorded.stream, placed.recorded.version) for placed in page.events], str(page.position)


class Follower:
    """Reads on from its bookmark, which is all that it keeps."""

    def __init__(self, connection: Postgres, look_: Look = look, *, after: Position = BEGINNING) -> None:
        self.connection = connection
        self.bookmark = str(after)
        self._look = look_

    def read(self) -> list[Seen]:
        """Everything that is there now."""
        found: list[Seen] = []
        while True:
            seen, bookmark = self._look(self.connection, self.bookmark)
            found += seen
            if bookmark == self.bookmark:
                return found
            self.bookmark = bookmark


# --- shortcuts

ROWS: Final[LiteralString] = """
select stream, version, era, xid::text, seq from domainflow.event e
 where (e.era, e.xid, e.seq) > (%s::int, %s::xid8, %s::bigint) order by e.era, e.xid, e.seq limit 500
"""
BY_SEQUENCE: Final[LiteralString] = (
    "select stream, version, seq from domainflow.event where seq > %s order by seq limit 500"
)
XMIN: Final[LiteralString] = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
RIGHT_ORDER: Final = "order by event.era, event.xid, event.seq limit"
WRONG_ORDER: Final = "order by event.era, event.xid::text, event.seq limit"


def by_sequence(connection: Postgres, bookmark: str) -> tuple[list[Seen], str]:
    """By the sequence alone: whoever took a number early and commits late is passed over."""
    rows = connection.execute(BY_SEQUENCE, (Position.parse(bookmark).seq,)).fetchall()
    return [(row[0], row[1]) for row in rows], f"0.0.{rows[-1][2]}" if rows else bookmark


def without_horizon(connection: Postgres, bookmark: str) -> tuple[list[Seen], str]:
    """By transaction, up to whatever shows: one that began earlier and commits later is passed over."""
    at = Position.parse(bookmark)
    rows: list[Any] = connection.execute(ROWS, (at.era, str(at.xid), at.seq)).fetchall()
    return [(row[0], row[1]) for row in rows], f"{rows[-1][2]}.{rows[-1][3]}.{rows[-1][4]}" if rows else bookmark


def horizon_second(between: Callable[[], object]) -> Look:
    """Rows in one statement, the horizon in the next one: what was committed `between` them is passed over."""

    def look_(connection: Postgres, bookmark: str) -> tuple[list[Seen], str]:
        at = Position.parse(bookmark)
        rows: list[Any] = connection.execute(ROWS, (at.era, str(at.xid), at.seq)).fetchall()
        between()
        (xmin,) = connection.execute(XMIN).fetchone() or (0,)
        below = [row for row in rows if int(row[3]) < xmin]
        last = below[-1] if below else None
        return [(row[0], row[1]) for row in below], f"{last[2]}.{last[3]}.{last[4]}" if last else bookmark

    return look_


def text_order(limit: int) -> Look:
    """The page ordered by the transaction as a text, in which 10 stands before 9."""
    assert RIGHT_ORDER in feed.PAGE
    sql: Any = feed.PAGE.replace(RIGHT_ORDER, WRONG_ORDER)

    def look_(connection: Postgres, bookmark: str) -> tuple[list[Seen], str]:
        at = Position.parse(bookmark)
        asked = {"era": at.era, "xid": str(at.xid), "seq": at.seq, "limit": limit, "tenant": None, "prefix": ""}
        rows = connection.execute(sql, asked).fetchall()
        found = [row for row in rows if row[8] is not None]
        return [(row[8], row[9]) for row in found], f"{rows[0][2]}.{rows[0][3]}.{rows[0][4]}" if found else bookmark

    return look_
