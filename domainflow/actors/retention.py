"""Retention: of all runtimes one at a time has campaigns that ended long ago sealed, and archives what is sealed.

The seal comes from a campaign's own actor, wherever it lives: the command waits in the box, as anybody else's. Pinned,
for it waits; nobody waits for it.
"""

import uuid
from typing import ClassVar, Final

import structlog

from domainflow.actors.archiver import Archiver
from domainflow.actors.behaviour import Behaviour
from domainflow.actors.campaign.messages import SealCampaign
from domainflow.actors.effects import Wake
from domainflow.actors.refold import log_fault
from domainflow.actors.rules import encode
from domainflow.errors import Corrupt, Unavailable
from domainflow.ids import new_id
from domainflow.security.context import Context, system
from domainflow.store import archives, commands, leaders
from domainflow.store.archives import Due
from domainflow.store.commands import Boxed
from domainflow.store.faults import Fault
from domainflow.store.faults import Kind as FaultKind
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

RETENTION: Final = "retention"
TERM_S: Final = 180.0  # longer than it rests
MOST: Final = 20  # streams a look
LOOK_S: Final = 60.0  # between two looks
AGAIN_S: Final = 0.5  # where something was asked for, or there is more
SEAL_S: Final = 30.0  # for the actor to be started and to hear of it
IN_VAIN_S: Final = 3600.0  # a disk that is full or a stream that is broken waits for somebody
DAY_S: Final = 86_400.0

_log = structlog.get_logger()


class Retention(Behaviour[object]):
    """Holds the term, or waits for it."""

    blocks: ClassVar[bool] = True

    def __init__(self, store: Postgres, archiver: Archiver, *, runtime: str, retention_days: float) -> None:
        """Wire it; `retention_days` is for how long nothing must have happened to an ended campaign."""
        self._store = store
        self._archiver = archiver
        self._runtime = runtime
        self._older_than_s = retention_days * DAY_S
        self._after = ""  # the last stream that was looked at
        self._put_off: dict[Due, float] = {}  # until when: what was asked for may be under way, or in vain

    def on_start(self) -> None:
        self.cell.signal(Wake())

    def on_idle(self) -> None:
        """Seal and archive a few."""
        wait_s = LOOK_S
        try:
            if self._holds() and self._look():
                wait_s = AGAIN_S
        except Unavailable as error:
            _log.warning("retention_waits_for_store", error=str(error)[:200])
        self.cell.start_timer("tick", wait_s, Wake())

    def _holds(self) -> bool:
        with self._store.upkeep(Kind.UPKEEP) as connection:
            return leaders.hold(connection, RETENTION, self._runtime, term_s=TERM_S) is not None

    def _look(self) -> bool:
        """Go on with a few; whether there is something to be seen soon."""
        self._archiver.clear_left()
        with self._store.upkeep(Kind.SWEEP) as connection:
            look = archives.due(connection, older_than_s=self._older_than_s, after=self._after, most=MOST)
        self._after = look.after
        now_s = self.cell.clock.monotonic_s()
        self._put_off = {each: until_s for each, until_s in self._put_off.items() if now_s < until_s}
        for each in look.due:
            if each not in self._put_off:
                self._put_off[each] = now_s + self._go_on(each)
        return bool(look.after) or any(self._put_off[each] <= now_s + SEAL_S for each in look.due)

    def _go_on(self, due: Due) -> float:
        """Do the next step; return for how long to leave the stream alone after that, s."""
        try:
            if not self._archiver.is_sealed(due):
                return self._seal(due)
            self._archiver.archive(due)
        except Corrupt as error:
            log_fault(Fault(FaultKind.SEAL_DIFFERS, due.stream, str(error)))
            return IN_VAIN_S
        except OSError as error:
            _log.error("events_not_archived", stream=due.stream, error=str(error)[:200])
            return IN_VAIN_S
        return 0.0

    def _seal(self, due: Due) -> float:
        """Ask for a seal at the version that was seen: whatever has happened since makes it another matter."""
        who = Context(principal=system(due.tenant), correlation_id=new_id(), expected_version=due.version)
        boxed = Boxed(str(uuid.UUID(new_id())), due.stream, due.tenant, encode(SealCampaign()), encode(who))
        with self._store.tenants(Kind.BOX, due.tenant) as connection:
            commands.put(connection, boxed, deadline_s=SEAL_S)
        return SEAL_S
