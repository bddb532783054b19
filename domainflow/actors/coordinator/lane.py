"""A commit lane: drains its mailbox into a batch while the last commit is under way, commits, answers.

Pinned to a thread of its own, since it waits for Postgres. Its hand is its cell's: a successor resolves and answers.
"""

from collections.abc import Callable, Collection
from concurrent.futures import Executor
from typing import ClassVar, Final

import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.coordinator.front import DatabaseClock
from domainflow.actors.coordinator.hand import Entry, Hand
from domainflow.actors.coordinator.messages import LaneMessage, Load
from domainflow.actors.envelope import Envelope, sleep
from domainflow.backoff import delay_s
from domainflow.errors import StoreUnavailable, Unavailable
from domainflow.store.commit_connection import CommitConnection, OutcomeUnknownError, PoisonError, TryAgainError
from domainflow.store.port import Answer, Committed, Failed, HeldElsewhere, Loaded, Outcome, Unreadable

MOST_RETRIES: Final = 8
RECONNECT_CAP_S: Final = 5.0

_log = structlog.get_logger()

Reader = Callable[[Load], Loaded | HeldElsewhere]


class CommitLane(Behaviour[LaneMessage]):
    """One connection to Postgres, and everything that waits for it."""

    blocks: ClassVar[bool] = True
    uses_threads: ClassVar[bool] = True  # to read streams, so that no commit waits for a load

    def __init__(  # noqa: PLR0913 - what it is wired to
        self,
        connection: CommitConnection,
        *,
        clock: DatabaseClock,
        legal_moves: frozenset[tuple[str, str]],
        read: Reader,
        readers: Executor,
        on_committed: Callable[[Collection[str]], None],
    ) -> None:
        """Wire it.

        Args:
            connection: not opened yet.
            clock: set by this connection.
            legal_moves: pairs of statuses; an item with another pair is refused.
            read: loads a stream; runs on `readers`.
            readers: threads that may wait for Postgres.
            on_committed: is told the streams of each batch that the store has answered; it must be short.
        """
        self._connection = connection
        self._clock = clock
        self._legal_moves = legal_moves
        self._read = read
        self._readers = readers
        self._on_committed = on_committed

    def on_start(self) -> None:
        if self.cell.kept is not None:
            self._reconnect()
            return
        hand = self.cell.kept = Hand(self._connection.lane.runtime, self._connection.lane.number)
        self._reconnect()
        hand.incarnation = self._connection.lane.generation

    def receive(self, message: LaneMessage, _: Envelope) -> object:
        if isinstance(message, Load):
            self._hand.loads.append(message)
        else:
            self._hand.take(message)
            while self._hand.full:  # or as long as others keep coming it would only take, and never commit
                self._commit_some()
                self._start_loads()  # nor would it ever read
        return None

    def on_idle(self) -> None:
        """Commit what has come while the last commit was under way."""
        while self._hand.waiting:
            self._commit_some()
        self._start_loads()

    def on_stop(self) -> None:
        self._connection.close()

    @property
    def _hand(self) -> Hand:
        hand = self.cell.kept
        assert isinstance(hand, Hand)  # noqa: S101 - on_start put it there
        return hand

    def _commit_some(self) -> None:
        batch = self._hand.batch(self._clock.now_us())
        illegal = [entry for entry in batch if self._is_illegal(entry)]
        for entry in illegal:
            self._hand.settle(entry, Failed(f"a move that no table allows: {[item.moves for item in entry.group]}"))
        if not illegal:
            self._send(batch)

    def _send(self, batch: list[Entry]) -> None:
        for tries in range(1, MOST_RETRIES + 1):
            for entry in batch:
                entry.sent = True
            try:
                outcomes = self._connection.send([entry.group for entry in batch])
            except TryAgainError as error:
                _log.info("commit_retried", tries=tries, reason=str(error))
                self._wait(tries, cap_s=0.5)
            except OutcomeUnknownError as error:
                _log.warning("commit_connection_lost", items=len(batch), reason=str(error)[:200])
                self._reconnect()
                return
            except PoisonError as error:
                if not (error.race and len(batch) == 1 and tries == 1):
                    self._isolate(batch, error)
                    return
            else:
                self._on_committed({item.stream for entry in batch for item in entry.group})
                for entry, outcome in zip(batch, outcomes, strict=True):
                    self._settle(entry, outcome)
                return
        self._fail(batch, "the store refused it again and again")

    def _isolate(self, batch: list[Entry], error: PoisonError) -> None:
        """A poison item must not take the others with it: halves find it in log2(n) commits. A group is one entry."""
        if len(batch) == 1:
            self._fail(batch, str(error))
            return
        middle = len(batch) // 2
        self._send(batch[:middle])
        if rest := [entry for entry in batch[middle:] if entry in self._hand.waiting]:
            self._send(rest)

    def _settle(self, entry: Entry, outcome: Outcome) -> None:
        if entry.note is not None and isinstance(outcome, Committed):
            self._hand.advance_audit(entry)
        self._hand.settle(entry, outcome)

    def _fail(self, batch: list[Entry], reason: str) -> None:
        _log.error("commit_refused_by_store", items=len(batch), reason=reason)
        for entry in batch:
            self._hand.settle(entry, Failed(reason))

    def _is_illegal(self, entry: Entry) -> bool:
        return any(move not in self._legal_moves for item in entry.group for move in item.moves)

    # --- connection

    def _reconnect(self) -> None:
        """Bar what the old connection may still be doing, and answer what it did. Waits as long as it takes."""
        tries = 0
        while True:
            tries += 1
            try:
                self._clock.set(self._connection.reopen())
                self._resolve()
            except StoreUnavailable as error:
                _log.warning("commit_lane_waits_for_store", tries=tries, error=str(error)[:200])
                self._wait(min(tries, 6), cap_s=RECONNECT_CAP_S)
                self.cell.still()  # or it would look for a server, and start ours, long after the runtime was closed
            else:
                return

    def _resolve(self) -> None:
        """Read what became of everything sent. What was not committed stays in hand and is sent again."""
        for entry in [entry for entry in self._hand.waiting if entry.sent]:
            if self._connection.was_committed(entry.group[0]):
                self._settle(entry, Committed(entry.group[0].version))
            else:
                entry.sent = False

    def _wait(self, tries: int, *, cap_s: float) -> None:
        sleep(delay_s(tries, self.cell.environment.chance(), base_s=0.02, cap_s=cap_s))

    # --- loading

    def _start_loads(self) -> None:
        for load in self._hand.settled_loads():
            self._readers.submit(self._load, load)
            self._hand.loads.remove(load)

    def _load(self, load: Load) -> None:
        load.settled(self._read_or_fail(load))

    def _read_or_fail(self, load: Load) -> Answer:
        try:
            return self._read(load)
        except Unavailable as error:
            _log.warning("load_failed", stream=load.stream, error=str(error)[:200])
            return Failed(str(error))
        except Exception as error:  # noqa: BLE001 - the top of a thread
            # On a thread of the pool nobody sees an exception: it goes to whoever waits.
            _log.exception("stream_unreadable", stream=load.stream)
            return Unreadable(f"{type(error).__name__}: {error}")
