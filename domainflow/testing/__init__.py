"""For tests of actors: the real ones, told in one order after the other until one fails. Needs the extra `testing`.

Write a story as a test of a `World`, and have it explored: docs/testing-actors.md.
"""

try:
    import greenlet as _greenlet
except ImportError as error:  # pragma: no cover - the extra is part of the environment
    raise ImportError("domainflow.testing needs the extra `testing`: pip install 'domainflow[testing]'") from error

from domainflow.testing.exchange import DeadlockError
from domainflow.testing.exploring import (
    Found,
    NondeterministicError,
    ScheduleFailed,
    Search,
    explore,
    find,
    replay,
    report,
    tell,
)
from domainflow.testing.faults import CrashError
from domainflow.testing.history import History, Model, NotLinearizableError, Operation
from domainflow.testing.schedule import Schedule
from domainflow.testing.scheduler import RestlessError, Scheduler
from domainflow.testing.strategies import ROTATION, Delays, Held, Postponing, Priorities, Random, Strategy
from domainflow.testing.world import CONTEXT, World

SeededDispatcher = Scheduler  # the dispatcher of every actor of a story is its scheduler

__all__ = [
    "CONTEXT", "ROTATION", "CrashError", "DeadlockError", "Delays", "Found", "Held", "History", "Model",
    "NondeterministicError", "NotLinearizableError", "Operation", "Postponing", "Priorities", "Random", "RestlessError",
    "Schedule", "ScheduleFailed", "Scheduler", "Search", "SeededDispatcher", "Strategy", "World", "explore", "find",
    "replay", "report", "tell",
]  # fmt: skip
del _greenlet
