"""Hints: gathered, sent, made good when they could not be sent; and who in this process is woken by which."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest
from databases import Database
from durable import SOON_S, Actor, acting, await_gone, emptied, in_thread, item, migrated
from stage import Answers, Stage, commit_each, context, stage

from domainflow.actors import notifier
from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import StartChild
from domainflow.actors.effects import Wake
from domainflow.actors.hub import EVERY, Hub
from domainflow.actors.notifier import MOST_NAMED, Moved, Notifier, Outbox
from domainflow.errors import StoreUnavailable
from domainflow.security.context import system
from domainflow.store import pool
from domainflow.store.hints import Hints

__all__ = ["emptied", "migrated"]  # fixtures

Postgres = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def actor(emptied: Database) -> Iterator[Actor]:
    with acting(emptied.dsn, lane=9) as acts:
        yield acts


@pytest.fixture
def house(actor: Actor) -> Iterator[Stage]:
    with stage(actor, lanes=1) as made:
        yield made


@pytest.fixture
def ear(emptied: Database) -> Iterator[Postgres]:
    """Somebody who listens."""
    with pool.connect(emptied.dsn, "upkeep") as connection:
        connection.execute("listen domainflow")
        yield connection


def heard(ear: Postgres, most: int) -> list[str]:
    return [notice.payload for notice in ear.notifies(timeout=SOON_S, stop_after=most)]


class Connections:
    """Opens connections for hints, and keeps them to be looked at."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.opened: list[Postgres] = []
        self.refused = 0

    def __call__(self) -> Postgres:
        if self.refused:
            self.refused -= 1
            raise StoreUnavailable("nobody is there")
        self.opened.append(pool.connect(self.dsn, "upkeep"))
        return self.opened[-1]


def put_on(house: Stage, outbox: Outbox, connect: Callable[[], Postgres]) -> Callable[..., None]:
    """Have a notifier, and return what tells through it."""
    spec = ChildSpec(
        name="notifier", factory=lambda: Notifier(outbox, "here", Hints(connect)), dispatcher="pinned", shutdown_s=1.0
    )
    house.find("actors").ask(StartChild(spec), context(system("")), timeout_s=SOON_S)

    def tell(*words: str, moved: tuple[str, ...] = ()) -> None:
        if outbox.put(*words, moved=moved):
            house.find("actors/notifier").signal(Wake())

    return tell


# --- gathering


def test_what_gathers_goes_once_each_and_the_streams_in_one_word() -> None:
    outbox = Outbox()
    assert outbox.put("command_box", moved=["campaign/2"])
    assert not outbox.put("command_box", moved=["campaign/1", "campaign/2"])
    assert outbox.take("me") == ["command_box", "moved me campaign/1 campaign/2"]
    assert outbox.take("me") == []
    assert outbox.put("admission")


def test_too_many_streams_are_not_named() -> None:
    outbox = Outbox()
    outbox.put(moved=[f"campaign/{n}" for n in range(MOST_NAMED + 1)])
    assert outbox.take("me") == ["moved me"]


def test_who_must_look_at_everything_needs_no_other_word() -> None:
    outbox = Outbox()
    outbox.put("", "command_box", moved=["campaign/1"])
    assert outbox.take("me") == [""]


def test_as_many_streams_as_are_named_fit_into_a_notification() -> None:
    outbox = Outbox()
    outbox.put(moved=[f"campaign/{n:036}" for n in range(MOST_NAMED)])
    (payload,) = outbox.take("r" * 36)
    assert len(payload.encode()) < 8000


@pytest.mark.parametrize("payload", ["", "command_box", "moved", "admission x"])
def test_another_word_is_no_move(payload: str) -> None:
    assert Moved.parse(payload) is None


def test_a_move_reads_as_it_was_written() -> None:
    assert Moved.parse(str(Moved("me", ("campaign/1", "campaign/2")))) == Moved("me", ("campaign/1", "campaign/2"))


# --- sending


def test_what_is_told_is_heard_and_waits_for_no_disk(house: Stage, ear: Postgres) -> None:
    connections = Connections(house.actor.dsn)
    tell = put_on(house, Outbox(), connections)
    tell("command_box", moved=("campaign/1",))
    assert sorted(heard(ear, 2)) == ["command_box", "moved here campaign/1"]
    assert connections.opened[0].execute("show synchronous_commit").fetchone() == ("off",)


def test_what_is_told_in_between_is_told_together_and_nothing_is_left(house: Stage, ear: Postgres) -> None:
    """The first notification is held up; a hundred words come meanwhile."""
    outbox, connections = Outbox(), Connections(house.actor.dsn)
    held, go_on = threading.Event(), threading.Event()

    def connect() -> Postgres:
        held.set()
        assert go_on.wait(SOON_S)
        return connections()

    tell = put_on(house, outbox, connect)
    tell("first")
    assert held.wait(SOON_S)
    for number in range(100):
        tell(f"word-{number % 3}")
    go_on.set()
    assert heard(ear, 4) == ["first", "word-0", "word-1", "word-2"]
    assert [notice.payload for notice in ear.notifies(timeout=0.05)] == []


def test_while_it_rests_words_gather(house: Stage, ear: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "REST_S", 600.0)
    outbox = Outbox()
    tell = put_on(house, outbox, Connections(house.actor.dsn))
    tell("first")
    assert heard(ear, 1) == ["first"]
    for number in range(100):
        tell(f"word-{number % 3}")
    assert [notice.payload for notice in ear.notifies(timeout=0.1)] == []
    assert outbox.take("here") == ["word-0", "word-1", "word-2"]


def test_a_lost_connection_is_replaced_and_everybody_looks_at_everything(
    house: Stage, ear: Postgres, emptied: Database
) -> None:
    connections = Connections(house.actor.dsn)
    tell = put_on(house, Outbox(), connections)
    tell("command_box")
    assert heard(ear, 1) == ["command_box"]
    pid = connections.opened[0].info.backend_pid
    with psycopg.connect(emptied.admin_dsn, autocommit=True) as killer:
        killer.execute("select pg_terminate_backend(%s)", (pid,))
    await_gone(emptied.admin_dsn, pid)
    connections.refused = 2
    tell("command_box")
    assert heard(ear, 1) == [""]
    assert connections.refused == 0
    tell("admission")
    assert heard(ear, 1) == ["admission"]


# --- hearing


class Count:
    """An ear that counts."""

    def __init__(self) -> None:
        self.woken = 0

    def set(self) -> None:
        self.woken += 1


def test_whoever_waits_for_a_stream_is_woken_by_it_and_not_by_others() -> None:
    hub, one, every = Hub(), Count(), Count()
    with hub.listening("campaign/1", one), hub.listening(EVERY, every):
        hub.wake(["campaign/2"])
        assert (one.woken, every.woken) == (0, 1)
        hub.wake(["campaign/1", "campaign/2"])
        assert (one.woken, every.woken) == (1, 2)
        hub.wake_all()
        assert (one.woken, every.woken) == (2, 3)
    hub.wake_all()
    assert (one.woken, every.woken) == (2, 3)


def test_a_lane_says_which_streams_it_committed_before_it_answers(house: Stage) -> None:
    answers, woken = Answers(), threading.Event()
    with house.hub.listening("s1", woken):
        commit_each(house, answers, [item("s1")])
        answers.take(1)
        assert woken.is_set()


def test_it_ends_with_its_house(house: Stage) -> None:
    connections = Connections(house.actor.dsn)
    tell = put_on(house, Outbox(), connections)
    with pool.connect(house.actor.dsn, "upkeep") as waiting:
        waiting.execute("listen domainflow")
        tell("command_box")
        hearing = in_thread(partial(heard, waiting, 1))
        assert hearing.result(SOON_S) == ["command_box"]
    assert house.system.stop(SOON_S) == ()
    assert connections.opened[0].closed
