"""Named points at which a runtime kills itself: functions of the store, put in place of the real ones by `PATCHES`.

They do what the real ones do; at the hit that was armed the process is gone: no handler runs, no buffer is flushed.
"""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, ParamSpec, TypeVar

from domainflow.store import campaigns, commands, commit, leases, work_items

PS = ParamSpec("PS")
ResultT = TypeVar("ResultT")

IN_FLIGHT_S: Final = 0.001  # about as long as a commit takes


@dataclass
class Armed:
    """Which point kills, and at which hit."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    point: str = ""
    hits: int = 0

    def is_due(self, point: str) -> bool:
        """Count one hit; whether it is the one."""
        with self.lock:
            if point != self.point:
                return False
            self.hits -= 1
            return self.hits <= 0


_armed: Final = Armed()


def arm(point: str, hits: int) -> None:
    """Have this process killed at the n-th hit of a point from now on."""
    with _armed.lock:
        _armed.point, _armed.hits = point, hits


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(point: str, real: Callable[PS, ResultT]) -> Callable[PS, ResultT]:
    def call(*args: PS.args, **kwargs: PS.kwargs) -> ResultT:
        if _armed.is_due(point):
            _die()
        return real(*args, **kwargs)

    return call


def _after(point: str, real: Callable[PS, ResultT]) -> Callable[PS, ResultT]:
    def call(*args: PS.args, **kwargs: PS.kwargs) -> ResultT:
        result = real(*args, **kwargs)
        if _armed.is_due(point):
            _die()
        return result

    return call


def _during(point: str, real: Callable[PS, ResultT]) -> Callable[PS, ResultT]:
    def call(*args: PS.args, **kwargs: PS.kwargs) -> ResultT:
        if _armed.is_due(point):
            threading.Timer(IN_FLIGHT_S, _die).start()
        return real(*args, **kwargs)

    return call


commit_batch = _before(
    "before the commit", _during("commit in flight", _after("after the commit", commit.commit_batch))
)
commit_group = _before("before the group", _during("group in flight", _after("after the group", commit.commit_group)))
# Of these the statement is done, and the transaction that it is in is not.
insert_campaign = _before("group half written", _after("within the group", campaigns.insert))
claim_stream = _after("stream claimed", leases.claim_stream)
claim = _after("items claimed", work_items.claim)
complete = _after("result stored", work_items.complete)
put = _after("command boxed", commands.put)

POINTS: Final = (
    "before the commit",
    "commit in flight",
    "after the commit",
    "before the group",
    "group in flight",
    "after the group",
    "group half written",
    "within the group",
    "stream claimed",
    "items claimed",
    "result stored",
    "command boxed",
)
PATCHES: Final = (
    "domainflow.store.commit:commit_batch=chaos.points:commit_batch",
    "domainflow.store.commit:commit_group=chaos.points:commit_group",
    "domainflow.store.campaigns:insert=chaos.points:insert_campaign",
    "domainflow.store.leases:claim_stream=chaos.points:claim_stream",
    "domainflow.store.work_items:claim=chaos.points:claim",
    "domainflow.store.work_items:complete=chaos.points:complete",
    "domainflow.store.commands:put=chaos.points:put",
)
