import queue
import threading
from collections.abc import Callable

from kernel import SOON_S

from domainflow.actors.dispatcher import PinnedDispatcher, PoolDispatcher


class Once:
    """A runnable that does one thing."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def run(self) -> None:
        self.act()


def test_many_runnables_share_two_daemon_threads_named_after_the_dispatcher() -> None:
    ran_on: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
    pool = PoolDispatcher(2, name="pool")
    for _ in range(200):
        pool.schedule(Once(lambda: ran_on.put(threading.current_thread())))
    threads = {ran_on.get(timeout=SOON_S) for _ in range(200)}
    assert {thread.name for thread in threads} <= {"pool-0", "pool-1"}
    assert all(thread.daemon for thread in threads)
    assert pool.close(SOON_S)


def test_two_turns_run_at_once_on_two_threads() -> None:
    meeting = threading.Barrier(3)
    pool = PoolDispatcher(2)
    for _ in range(2):
        pool.schedule(Once(lambda: meeting.wait(SOON_S)))
    meeting.wait(SOON_S)  # broken, and so an error, unless both are inside
    assert pool.close(SOON_S)


def test_a_pinned_dispatcher_is_one_thread_named_after_its_actor() -> None:
    names: queue.SimpleQueue[str] = queue.SimpleQueue()
    pinned = PinnedDispatcher("store/coordinator")
    for _ in range(3):
        pinned.schedule(Once(lambda: names.put(threading.current_thread().name)))
    assert {names.get(timeout=SOON_S) for _ in range(3)} == {"store/coordinator"}
    assert pinned.close(SOON_S)


def test_a_stuck_thread_is_replaced_and_ends_when_it_comes_back() -> None:
    stuck_on: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
    release, after = threading.Event(), threading.Event()

    def hang() -> None:
        stuck_on.put(threading.current_thread())
        release.wait()

    pool = PoolDispatcher(1)
    stuck = Once(hang)
    pool.schedule(stuck)
    thread = stuck_on.get(timeout=SOON_S)
    pool.replace(stuck)
    pool.schedule(Once(after.set))
    assert after.wait(SOON_S)
    release.set()
    thread.join(SOON_S)
    assert not thread.is_alive()
    assert pool.close(SOON_S)


def test_closing_says_when_a_turn_did_not_end_in_time() -> None:
    inside, release = threading.Event(), threading.Event()

    def hang() -> None:
        inside.set()
        release.wait()

    pool = PoolDispatcher(1)
    pool.schedule(Once(hang))
    assert inside.wait(SOON_S)
    assert not pool.close(0)
    release.set()
    assert pool.close(SOON_S)


def test_after_closing_nothing_is_run() -> None:
    pool = PoolDispatcher(1)
    assert pool.close(0)
    ran: list[int] = []
    pool.schedule(Once(lambda: ran.append(1)))
    assert pool.close(0)
    assert ran == []
