"""The reconciler, or what tells of it, with a guard taken out: the proof that it is this one that a test bears out."""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.actors.monitor import judging
from domainflow.actors.monitor.judging import Judged
from domainflow.actors.reconciler.actor import Reconciler
from domainflow.actors.reconciler.messages import Action
from domainflow.store import reconcile_sql
from domainflow.store.observed import Observed, Wanted
from domainflow.store.watched import Watched

NO_QUARANTINE: Final = 10**9  # tries

_record: Final = Reconciler._record  # noqa: SLF001 - what is mutated
_observe: Final = reconcile_sql.observe


def act_and_record(self: Reconciler, actions: tuple[Action, ...]) -> None:
    """Act on a plan without waiting for its record."""
    _record(self, actions)
    self._to_do += actions


class SeenOnce:
    """Sees each difference once: triggered by edges, not by levels."""

    def __init__(self) -> None:
        self._seen: set[Wanted] = set()

    def __call__(self, connection: Connection[TupleRow], runtime: str, is_live: Callable[[str], bool]) -> Observed:
        observed = _observe(connection, runtime, is_live)
        fresh = tuple(each for each in observed.wanted if each not in self._seen)
        self._seen.update(fresh)
        return replace(observed, wanted=fresh)


def forget_who_is_tried(watched: Watched, *which: Any, **how: Any) -> Judged:  # noqa: ANN401 - as `judge` takes it
    """Take what is tried again for mended."""
    return judging.judge(replace(watched, on_trial=()), *which, **how)
