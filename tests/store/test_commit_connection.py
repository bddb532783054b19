"""What an error of a commit means: send it again, find out, or give it up. Real Postgres."""

import psycopg
import pytest
from commits import LOCK_HEAD, actor, admin, lane_of
from durable import SOON_S, Actor, await_blocked, emptied, in_thread, item, migrated, row_lock

from domainflow.store import commit
from domainflow.store.commit_connection import OutcomeUnknownError, PoisonError
from domainflow.store.port import Committed

__all__ = ["actor", "admin", "emptied", "migrated"]  # fixtures


# --- what an error means


def test_a_connection_that_is_gone_leaves_the_outcome_open(actor: Actor, admin: str) -> None:
    lane = lane_of(actor)
    born = item("s1")
    assert lane.send([(born,)]) == [Committed(1)]
    with psycopg.connect(admin, autocommit=True) as killer:
        killer.execute("select pg_terminate_backend(%s)", (lane._open.info.backend_pid,))  # noqa: SLF001 - whom to kill
    with pytest.raises(OutcomeUnknownError):
        lane.send([(item("s1", born),)])
    lane.reopen()
    assert lane.was_committed(born)
    assert not lane.was_committed(item("s1", born))
    assert lane.send([(item("s1", born),)]) == [Committed(2)]
    lane.close()


def test_a_connection_killed_before_the_answer_of_a_commit_leaves_it_open_too(actor: Actor, admin: str) -> None:
    lane = lane_of(actor)
    born = item("s1")
    lane.send([(born,)])
    with row_lock(admin, LOCK_HEAD, "s1") as blocker:
        sending = in_thread(lambda: lane.send([(item("s1", born),)]))
        await_blocked(admin, 1)
        blocker.execute("select pg_terminate_backend(%s)", (lane._open.info.backend_pid,))  # noqa: SLF001 - likewise
        with pytest.raises(OutcomeUnknownError):
            sending.result(SOON_S)
    lane.reopen()
    assert not lane.was_committed(item("s1", born))
    lane.close()


def test_a_lane_that_somebody_else_took_leaves_the_outcome_open(actor: Actor) -> None:
    lane = lane_of(actor)
    commit.Lane(actor.runtime, 1).raise_generation(actor.app)
    with pytest.raises(OutcomeUnknownError, match="the lane's generation was raised"):
        lane.send([(item("s1"),)])
    assert lane.reopen() > 0
    assert lane.send([(item("s1"),)]) == [Committed(1)]
    lane.close()


def test_a_commit_that_is_cancelled_is_poison_and_its_connection_as_good_as_before(actor: Actor, admin: str) -> None:
    lane = lane_of(actor)
    born = item("s1")
    lane.send([(born,)])
    with row_lock(admin, LOCK_HEAD, "s1") as blocker:
        sending = in_thread(lambda: lane.send([(item("s1", born),)]))
        await_blocked(admin, 1)
        blocker.execute("select pg_cancel_backend(%s)", (lane._open.info.backend_pid,))  # noqa: SLF001 - likewise
        with pytest.raises(PoisonError, match="57014"):
            sending.result(SOON_S)
    assert lane.send([(item("s1", born),)]) == [Committed(2)]
    lane.close()
