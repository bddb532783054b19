"""What all actors of one runtime share: directory, dead letters, and the seams of time, chance and threads.

There is none that is global to the process; two runtimes in one process have nothing in common.
"""

import random
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

import structlog

from domainflow.actors.dead_letters import DeadLetters
from domainflow.actors.directory import Directory
from domainflow.actors.dispatcher import Dispatcher, PinnedDispatcher, PoolDispatcher
from domainflow.actors.mailbox import Mailbox
from domainflow.actors.timers import ThreadTimers, Timers
from domainflow.clock import Clock, SystemClock

STUCK_KEPT: Final = 100

_log = structlog.get_logger()


class RunsOn(StrEnum):
    """Which threads an actor's turns run on."""

    POOL = "pool"
    PINNED = "pinned"  # one of its own, for behaviours that wait for the outside world
    # Apart from the pool: a supervisor must be able to act when every thread of the pool is stuck.
    SUPERVISORS = "supervisors"


class Stuck(NamedTuple):
    """An actor that did not come back in time."""

    path: str
    stack: str  # where it was, as a traceback; empty when it was in no turn


class Environment:
    """Handed to every cell. Whatever could make two runs differ comes from here."""

    def __init__(  # noqa: PLR0913  # one keyword a seam, each with its default
        self,
        *,
        clock: Clock | None = None,
        timers: Timers | None = None,
        pool: Dispatcher | None = None,
        supervisors: Dispatcher | None = None,
        pinned: Callable[[str], Dispatcher] = PinnedDispatcher,
        chance: Callable[[], float] = random.random,
        mailbox: Callable[[str], Mailbox] = lambda _: Mailbox(),
    ) -> None:
        """Take the seams that are given and the real ones for the rest.

        Args:
            clock: measures turns and deadlines.
            timers: must agree with `clock`.
            pool: runs every actor that is neither pinned nor a supervisor.
            supervisors: runs these.
            pinned: makes the dispatcher of a pinned actor, from its path.
            chance: draws from [0, 1), for jitter.
            mailbox: makes the mailbox of an actor, from its path.
        """
        self.clock: Clock = clock or SystemClock()
        self.timers: Timers = timers or ThreadTimers(self.clock)
        self.pool: Dispatcher = pool or PoolDispatcher()
        self.supervisors: Dispatcher = supervisors or PoolDispatcher(1, name="supervisors")
        self.pinned = pinned
        self.chance = chance
        self.mailbox = mailbox
        self.directory = Directory()
        self.dead_letters = DeadLetters(self.clock)
        self.stuck: deque[Stuck] = deque(maxlen=STUCK_KEPT)

    def abandoned(self, path: str, stack: str) -> None:
        """Note that a behaviour did not come back, and where it was: its thread is left to itself."""
        _log.error("actor_abandoned", path=path, stack=stack)
        self.stuck.append(Stuck(path, stack))

    def close(self, timeout_s: float) -> bool:
        """End timers and threads; false when a turn still ran after `timeout_s`."""
        self.timers.close()
        return self.supervisors.close(timeout_s) & self.pool.close(timeout_s)

    def dispatcher(self, runs_on: RunsOn, path: str) -> Dispatcher:
        """The dispatcher for an actor of this path."""
        match runs_on:
            case RunsOn.POOL:
                return self.pool
            case RunsOn.SUPERVISORS:
                return self.supervisors
            case RunsOn.PINNED:
                return self.pinned(path)
