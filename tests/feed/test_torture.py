"""Many who write at once, slowly and in vain, a long writer in another database, and readers that lose everything but
their bookmark: nothing is lost, nothing is inverted, and each shortcut loses something in the same run. Real Postgres.
"""

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import psycopg
import pytest
from databases import Database
from durable import Actor, acting, emptied, in_thread, item, migrated
from reading_on import Follower, Look, Seen, by_sequence, horizon_second, look, without_horizon, writing

from domainflow.store import doctor_sql, pool
from domainflow.store.port import Committed, Item

__all__ = ["emptied", "migrated"]  # fixtures

WRITERS: Final = 12
STREAMS: Final = 4  # of each
SEED: Final = 20
LONG: Final = 60_000  # events
TIME_S: Final = 600.0
# Behind the place in the feed and before the commit: every fifth transaction takes its time, every twentieth is undone.
JITTER: Final = """
create function public.jitter() returns trigger language plpgsql as $$
begin
  if random() < 0.2 then perform pg_sleep(random() * 0.02); end if;
  if random() < 0.05 then raise exception 'by chance'; end if;
  return null;
end $$;
create trigger jitter after insert on domainflow.event for each statement execute function public.jitter();
"""
HELD_BACK: Final = "select exists (select from domainflow.event where xid >= pg_snapshot_xmin(pg_current_snapshot()))"


@dataclass
class Story:
    """What was written, what was seen, and whether it goes on."""

    written: dict[str, int] = field(default_factory=dict)  # stream -> its last version
    undone: list[int] = field(default_factory=list)
    named: int = 0  # times that the doctor named the long writer
    quiet: threading.Event = field(default_factory=threading.Event)  # nobody writes any more
    over: threading.Event = field(default_factory=threading.Event)  # and nothing is held back


def write(dsn: str, name: str, events: int, story: Story) -> None:
    """Move streams of its own until there are so many events; what is undone is done again."""
    chance = random.Random(f"{SEED}/{name}")  # noqa: S311 - no secret
    last: dict[str, Item | None] = {f"{name}/{number}": None for number in range(STREAMS)}
    done = undone = 0
    with acting(dsn) as actor:
        while done < events:
            chosen = chance.sample(sorted(last), chance.randint(1, STREAMS))
            items = [item(stream, last[stream], events=chance.randint(1, 3)) for stream in chosen]
            try:
                outcomes = actor.commit(*items)
            except psycopg.errors.RaiseException:
                undone += 1
                continue
            assert outcomes == [Committed(each.version) for each in items]
            last |= {each.stream: each for each in items}
            done += sum(len(each.events) for each in items)
    story.written |= {stream: each.version for stream, each in last.items() if each is not None}
    story.undone.append(undone)


def hold(admin_dsn: str, story: Story) -> None:
    """Write somewhere else, a third of a second at a time, until all is quiet; ask who holds the feed back."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection, pool.plain(admin_dsn) as asking:
        while not story.quiet.is_set():
            with connection.transaction():
                connection.execute("select pg_current_xact_id()")
                connection.execute("select pg_sleep(0.3)")
                holder = doctor_sql.horizon_holder(asking)
                story.named += holder is not None and holder.pid == connection.info.backend_pid


def follow(dsn: str, look_: Look, seed: int, story: Story) -> list[Seen]:
    """Read on until the story is over and everything is read; now and then begin anew, with the bookmark alone."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    seen: list[Seen] = []
    follower = Follower(pool.connect(dsn, "upkeep"), look_)
    try:
        while True:
            ending = story.over.is_set()
            found, bookmark = look_(follower.connection, follower.bookmark)
            if chance.random() < 0.1:  # killed before it has kept any of it
                follower.connection.close()
                follower.connection = pool.connect(dsn, "upkeep")
                continue
            seen += found
            if ending and bookmark == follower.bookmark:
                return seen
            follower.bookmark = bookmark
            if not found:
                follower.connection.execute("select pg_sleep(0.005)")
    finally:
        follower.connection.close()


def lost(story: Story, seen: list[Seen]) -> int:
    """How many events were not seen."""
    return len({(stream, v) for stream, last in story.written.items() for v in range(1, last + 1)} - set(seen))


def inverted(seen: list[Seen]) -> list[Seen]:
    """Events that came twice, or not right behind the one before."""
    last: dict[str, int] = defaultdict(int)
    found = []
    for stream, version in seen:
        if version != last[stream] + 1:
            found.append((stream, version))
        last[stream] = version
    return found


def await_shown(admin_dsn: str) -> None:
    """Wait until nothing is held back: others, such as autovacuum, write on this server too."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        while connection.execute(HELD_BACK).fetchone() == (True,):
            connection.execute("select pg_sleep(0.01)")


@contextmanager
def written(database: Database, elsewhere: Database, story: Story, events: int) -> Iterator[Callable[[], None]]:
    """Have everybody write; what is yielded waits for their end."""
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute(JITTER)
    holder = in_thread(lambda: hold(elsewhere.admin_dsn, story))
    writers = [
        in_thread(lambda n=n: write(database.dsn, f"w{n}", events // WRITERS, story))  # type: ignore[misc]  # a lambda's default
        for n in range(WRITERS)
    ]

    def wait() -> None:
        for writer in writers:
            writer.result(TIME_S)
        story.quiet.set()
        holder.result(TIME_S)
        await_shown(database.admin_dsn)
        story.over.set()

    try:
        yield wait
    finally:
        story.quiet.set()
        story.over.set()
        with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
            admin.execute("drop function public.jitter cascade")


@pytest.mark.parametrize("events", [5_000, pytest.param(LONG, marks=[pytest.mark.chaos, pytest.mark.timeout(TIME_S)])])
def test_nothing_is_lost_and_nothing_inverted_but_by_shortcuts(
    emptied: Database, empty_database: Database, events: int
) -> None:
    story = Story()
    shortcuts = {"sequence": by_sequence, "no horizon": without_horizon}
    if events >= LONG:  # few commits fall between two statements; test_feed has one that does
        shortcuts["horizon second"] = horizon_second(lambda: None)
    with written(emptied, empty_database, story, events) as wait:
        readers = [in_thread(lambda n=n: follow(emptied.dsn, look, n, story)) for n in range(4)]  # type: ignore[misc]
        cheats = {
            name: in_thread(lambda look_=look_: follow(emptied.dsn, look_, SEED, story))  # type: ignore[misc]
            for name, look_ in shortcuts.items()
        }
        wait()
        seen: list[list[Seen]] = [reader.result(TIME_S) for reader in readers]  # type: ignore[misc]  # in_thread's object
        cheated: dict[str, list[Seen]] = {name: each.result(TIME_S) for name, each in cheats.items()}  # type: ignore[misc]
    assert sum(story.written.values()) >= events - WRITERS
    assert sum(story.undone) > 0
    assert story.named > 0
    assert [(lost(story, each), inverted(each)) for each in seen] == [(0, [])] * 4
    losses = {name: lost(story, each) for name, each in cheated.items()}
    print(sum(story.written.values()), "events,", sum(story.undone), "undone; lost by shortcuts:", losses)  # noqa: T201 - figures
    assert all(losses.values()), losses


def test_who_wrote_ahead_of_a_version_that_was_not_committed_would_invert_the_feed(emptied: Database) -> None:
    """Nobody does: what is expected is known before the transaction begins. The checker would see it."""
    assert inverted([("s", 2), ("s", 1)]) == [("s", 2), ("s", 1)]
    with acting(emptied.dsn) as early, acting(emptied.dsn) as late:
        assert _ahead(early, late) == [("s", 2), ("s", 1)]


def _ahead(early: Actor, late: Actor) -> list[Seen]:
    with writing(early) as write_second:
        write_second("s", 2)
        with writing(late) as write_first:
            write_first("s", 1)
    return Follower(early.upkeep).read()
