"""Actors as they are run on a memory store: its committer keeps the port's promises."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import pytest
from both import OnMemory
from durable import SOON_S, item, new_uuid
from reservation import reservation
from stage import AT_ONCE, Answers, context

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.evolution import LEGAL_MOVES
from domainflow.actors.campaign.messages import PauseCampaign, StartCampaign
from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import DynamicSupervisor, StartChild
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.ref import Ref
from domainflow.actors.restart import Restart
from domainflow.actors.rules import Ack, Rules
from domainflow.actors.shell import EventSourced
from domainflow.actors.system import System
from domainflow.security.context import system
from domainflow.store.chain import GENESIS
from domainflow.store.memory.committer import MemoryCommitter
from domainflow.store.memory.tables import MemoryStore
from domainflow.store.port import AuditNote, Committed, Failed, Foreign, HeldElsewhere, Loaded, OpenItem, Stale

SOURCE: Final = pattern.source_stream("acme", "hundred")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def runtime(store: MemoryStore) -> OnMemory:
    return OnMemory(store)


@pytest.fixture
def turns() -> deque[Callable[[], None]]:
    """What the committer has taken and not done: a test deals out the turns."""
    return deque()


@pytest.fixture
def committer(runtime: OnMemory, turns: deque[Callable[[], None]]) -> MemoryCommitter:
    return MemoryCommitter(runtime.app, runtime.runtime, legal_moves=LEGAL_MOVES, later=turns.append)


def deal(turns: deque[Callable[[], None]]) -> None:
    while turns:
        turns.popleft()()


@contextmanager
def acting(runtime: OnMemory) -> Iterator[Callable[[Rules[Any, Any, Any], str], Ref[Any]]]:
    """Puts actors of streams on, over a committer of this runtime."""
    system_ = System()
    system_.start([ChildSpec(name="actors", factory=lambda: DynamicSupervisor(AT_ONCE), kind="supervisor")])
    with ThreadPoolExecutor(1) as thread:
        committer = MemoryCommitter(runtime.app, runtime.runtime, legal_moves=LEGAL_MOVES, later=thread.submit)

        def put_on(rules: Rules[Any, Any, Any], stream: str) -> Ref[Any]:
            name = stream.replace("/", ":")
            factory = partial(EventSourced, rules, stream, committer, lambda _: None)
            spec = ChildSpec(name=name, factory=factory, restart=Restart.TRANSIENT)
            find = system_.environment.directory.find
            find("actors").ask(StartChild(spec), context(system("")), timeout_s=SOON_S)  # type: ignore[union-attr]
            return find(f"actors/{name}")  # type: ignore[return-value]  # it was started just now

        try:
            yield put_on
        finally:
            assert system_.stop(SOON_S) == ()


def test_actors_run_on_it_as_they_are_and_are_found_again_after_a_takeover(store: MemoryStore) -> None:
    command = reservation(20, new_uuid(), SOURCE)
    stream = campaign.stream_of(command.campaign)
    first, second = OnMemory(store), OnMemory(store)
    with acting(first) as put_on:
        assert isinstance(put_on(pattern.RULES, SOURCE).ask(command, context(), timeout_s=SOON_S), Ack)
        assert put_on(campaign.RULES, stream).ask(StartCampaign(), context(), timeout_s=SOON_S) == Ack(2, "queued")
    first.die()
    with acting(second) as put_on:
        ref = put_on(campaign.RULES, stream)
        assert ref.ask(StartCampaign(), context(), timeout_s=SOON_S) == Ack(2, "queued")  # as it was loaded
        assert ref.ask(PauseCampaign(), context(), timeout_s=SOON_S) == Ack(4, "paused")
    assert [each.type for each in second.streams.events(store, stream, after=0)] == [
        "campaign.created",
        "campaign.queued",
        "campaign.holder_added",
        "campaign.paused",
    ]
    assert [row[5] for row in second.rows("heads")["heads"] if row[0] == stream] == [second.runtime]
    assert any(each.startswith("audit/acme/") for each in store.tables.heads)  # that nothing changed has its record


def test_nothing_happens_before_its_turn_and_each_is_answered_once(
    committer: MemoryCommitter, runtime: OnMemory, turns: deque[Callable[[], None]]
) -> None:
    answers = Answers()
    born = item("s1")
    committer.commit((born,), answers.to("born"))
    committer.commit((item("s1"),), answers.to("again"))
    committer.commit((item("s1", born),), answers.to("moved"))
    assert answers.none_left()
    assert runtime.rows("heads") == {"heads": []}
    deal(turns)
    assert answers.take(3) == {"born": Committed(1), "again": Stale(1), "moved": Committed(2)}
    assert answers.none_left()


def test_notes_are_chained_on_a_stream_of_their_tenant(
    committer: MemoryCommitter, runtime: OnMemory, turns: deque[Callable[[], None]]
) -> None:
    answers = Answers()
    for name in ("first", "second"):
        note = AuditNote(tenant="acme", type="audit.denied", context=b"who", body=name.encode())
        committer.note(note, answers.to(name))
    deal(turns)
    assert answers.take(2) == {"first": Committed(1), "second": Committed(2)}
    ((stream, tenant, version, digest, *_),) = runtime.rows("heads")["heads"]
    assert (tenant, version) == ("acme", 2)
    first, second = runtime.streams.events(runtime.app, stream, after=0)
    assert (first.body, second.body, second.hash) == (b"first", b"second", digest)
    assert GENESIS not in {first.hash, second.hash}


def test_a_move_that_no_table_allows_fails_and_what_the_store_refuses_too(
    committer: MemoryCommitter, runtime: OnMemory, turns: deque[Callable[[], None]]
) -> None:
    answers = Answers()
    committer.commit((item("s1", moves=(("completed", "running"),)),), answers.to("illegal"))
    nobodys = (OpenItem(1, 1, 0, 0, 10, parked=False),)
    committer.commit((item("s2", opens=nobodys),), answers.to("no campaign"))
    deal(turns)
    runtime.forget()
    committer.commit((item("s3"),), answers.to("nobody's"))
    deal(turns)
    for outcome, why in zip(answers.take(3).values(), ("completed", "work item", "forgotten"), strict=True):
        assert isinstance(outcome, Failed)
        assert why in outcome.reason
    assert runtime.rows("heads") == {"heads": []}


def test_an_owned_stream_is_loaded_by_one_runtime_at_a_time_and_the_former_owner_is_fenced(
    committer: MemoryCommitter, runtime: OnMemory, store: MemoryStore, turns: deque[Callable[[], None]]
) -> None:
    born = item("s1", epoch=1)
    committer.commit((born,), lambda _: None)
    heir = OnMemory(store)
    theirs = MemoryCommitter(store, heir.runtime, legal_moves=LEGAL_MOVES, later=turns.append)
    deal(turns)
    loaded: list[object] = []
    committer.load("s1", owned=True, fold_version=1, settled=loaded.append)
    theirs.load("s1", owned=True, fold_version=1, settled=loaded.append)
    deal(turns)
    runtime.die()
    theirs.load("s1", owned=True, fold_version=1, settled=loaded.append)
    theirs.load("s1", owned=False, fold_version=1, settled=loaded.append)
    deal(turns)
    mine, held, taken, peeked = loaded
    assert isinstance(mine, Loaded)
    assert (mine.epoch, mine.version, len(mine.events)) == (2, 1, 1)
    assert held == HeldElsewhere(f"{runtime.runtime} (here pid 1)")
    assert isinstance(taken, Loaded)
    assert taken.epoch == 3
    assert peeked == taken
    answers = Answers()
    committer.commit((item("s1", born, epoch=2),), answers.to("former"))
    theirs.commit((item("s1", born, epoch=3),), answers.to("heir"))
    deal(turns)
    assert answers.take(2) == {"former": Foreign(3), "heir": Committed(2)}
