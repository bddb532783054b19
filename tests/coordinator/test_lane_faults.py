"""A lane whose connection is lost or which fails: everything in hand is resolved and answered once."""

import threading
from pathlib import Path

from chaos.proxy import Wire
from durable import SOON_S, Actor, await_blocked, await_gone, emptied, item, migrated, row_lock
from lane_stage import LOCK_GATE, actor, admin, answers, chain, hold_up, lane, lanes, note, versions
from psycopg import Connection
from psycopg.rows import TupleRow
from stage import Answers, Stage, commit_each, context, stage

from domainflow.actors.campaign.evolution import LEGAL_MOVES
from domainflow.actors.children import ChildSpec
from domainflow.actors.coordinator.lane import CommitLane
from domainflow.actors.dynamic import StartChild, StopChild
from domainflow.errors import StoreUnavailable
from domainflow.security.context import system
from domainflow.store.commit_connection import CommitConnection
from domainflow.store.port import Committed, Loaded, Outcome

__all__ = ["actor", "admin", "answers", "emptied", "lane", "lanes", "migrated"]  # fixtures


# --- a connection that is lost


def test_a_commit_whose_connection_dies_before_it_is_done_is_done_once(
    lane: Stage, actor: Actor, admin: str, answers: Answers
) -> None:
    gate = hold_up(lane, answers)
    with row_lock(admin, LOCK_GATE) as blocker:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        commit_each(lane, answers, chain("s1", 3))
        waiting = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ((pid,),) = blocker.execute(waiting).fetchall()
        blocker.execute("select pg_terminate_backend(%s)", (pid,))
        await_gone(admin, pid)
        blocker.rollback()
    assert answers.take(4) == {"gate@2": Committed(2), "s1@1": Committed(1), "s1@2": Committed(2), "s1@3": Committed(3)}
    assert (versions(actor, "gate"), versions(actor, "s1")) == ([1, 2], [1, 2, 3])


def test_a_commit_whose_answer_is_lost_is_found_to_be_done_and_not_done_again(
    actor: Actor, home: Path, answers: Answers
) -> None:
    wire = Wire(actor.dsn, home)
    try:
        with stage(actor, lanes=1, lane_dsn=wire.dsn) as lane:
            first = item("s1")
            commit_each(lane, answers, [first])
            answers.take(1)
            wire.lose_the_answer_of_the_next_commit()
            commit_each(lane, answers, [item("s1", first)])
            lane.committer.note(note(), answers.to("note"))
            await_version(actor, "s1", 2)
            assert answers.none_left()
            wire.cut()
            assert answers.take(2) == {"s1@2": Committed(2), "note": Committed(1)}
            assert versions(actor, "s1") == [1, 2]
            lane.committer.note(note(), answers.to("next"))
            assert answers.take(1) == {"next": Committed(2)}
    finally:
        wire.close()


def await_version(actor: Actor, stream: str, version: int) -> None:
    for _ in range(2000):
        if version in versions(actor, stream):
            return
        actor.upkeep.execute("select pg_sleep(0.002)")
    raise AssertionError(f"{stream} does not come to version {version}")


# --- a lane that fails


def failing(_: Outcome) -> None:
    raise ValueError("a bug of whoever waits")


def test_a_successor_answers_what_a_failed_lane_had_in_hand(
    lane: Stage, actor: Actor, admin: str, answers: Answers
) -> None:
    gate = hold_up(lane, answers)
    with row_lock(admin, LOCK_GATE) as blocker:
        commit_each(lane, answers, [gate])
        await_blocked(admin, 1)
        commit_each(lane, answers, [item("s1")])
        lane.committer.commit((item("s2"),), failing)
        commit_each(lane, answers, [item("s3"), *chain("s4", 2)])
        lane.committer.note(note(), answers.to("note"))
        lane.committer.load("s4", owned=False, fold_version=1, settled=answers.to("load"))  # type: ignore[arg-type]  # a Loaded
        blocker.rollback()
    came = answers.take(7)
    loaded = came.pop("load")
    assert isinstance(loaded, Loaded)
    assert loaded.version == 2
    assert set(came.values()) == {Committed(1), Committed(2)}
    assert lane.find("store/commit-0").incarnation == 2
    assert [versions(actor, stream) for stream in ("s1", "s2", "s3", "s4")] == [[1], [1], [1], [1, 2]]


def test_a_lane_that_was_given_up_looks_for_its_server_no_more(lane: Stage) -> None:
    threads: set[threading.Thread] = set()

    def nowhere() -> Connection[TupleRow]:
        threads.add(threading.current_thread())
        raise StoreUnavailable("nobody is there")

    def made() -> CommitLane:
        return CommitLane(
            CommitConnection(nowhere, lane.actor.runtime, 5),
            clock=lane.clock,
            legal_moves=LEGAL_MOVES,
            read=lane._read,  # noqa: SLF001 - the stage's
            readers=lane.readers,
            on_committed=lane.hub.wake,
        )

    actors, spec = lane.find("actors"), ChildSpec(name="lost", factory=made, dispatcher="pinned", shutdown_s=0.01)
    actors.tell(StartChild(spec), context(system("")))
    for _ in range(1000):
        if threads:
            break
        lane.actor.upkeep.execute("select pg_sleep(0.002)")
    actors.ask(StopChild("lost"), context(system("")), timeout_s=SOON_S)
    (thread,) = threads
    thread.join(SOON_S)
    assert not thread.is_alive()
    assert [stuck.path for stuck in lane.system.environment.stuck] == ["actors/lost"]
    lane.system.environment.stuck.clear()  # nothing is left behind
