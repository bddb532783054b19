"""The reconciler actor: look, plan, record the plan with its evidence, and only then act. Pinned, for it waits.

Whatever is forgotten here is seen again at the next look; a kill between record and act costs a second record.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple

import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import StartChild
from domainflow.actors.effects import Wake
from domainflow.actors.reconciler.core import MOST_TRIES, MOST_UNDER_WAY, is_try, plan, put_off_s
from domainflow.actors.reconciler.messages import Action, Activate, Planned, Quarantine, Rescue
from domainflow.actors.ref import Ref
from domainflow.actors.rules import AuditContext, encode
from domainflow.actors.signals import Answer
from domainflow.errors import StoreUnavailable, Unavailable
from domainflow.ids import new_id
from domainflow.security import gate
from domainflow.security.context import Context, system
from domainflow.store import reconcile_sql
from domainflow.store.observed import Wanted
from domainflow.store.port import AuditNote, Committed, Committer
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

START_S: Final = 30.0
RECORD_S: Final = 120.0  # as for a commit: Postgres may be away for a while
REASON_CHARACTERS: Final = 300

_log = structlog.get_logger()


class Actors(NamedTuple):
    """The campaigns' actors of this runtime."""

    supervisor: Callable[[], Ref[Any] | None]  # None: it is being restarted
    spec: Callable[[str], ChildSpec]  # of a stream's actor
    is_live: Callable[[str], bool]  # whether a stream has one


class Recording(NamedTuple):
    """Whose outcome is heard: of a record, and then these are to be done."""

    actions: tuple[Action, ...]


class Starting(NamedTuple):
    """Whose outcome is heard: of an activation."""

    wanted: Wanted


class InVain(NamedTuple):
    """How often in a row nothing was put back, and until when nobody tries: somebody else holds the rows."""

    times: int
    until_s: float


class Overdue(NamedTuple):
    """A record has no outcome for too long: its lane may be gone for good."""


class Reconciler(Behaviour[object]):
    """One look after the other."""

    blocks: ClassVar[bool] = True

    def __init__(self, store: Postgres, committer: Committer, actors: Actors, *, runtime: str, sweep_s: float) -> None:
        """Wire it; `sweep_s` is the time between two looks."""
        self._store = store
        self._committer = committer
        self._actors = actors
        self._runtime = runtime
        self._sweep_s = sweep_s
        self._look_is_due = False
        self._recording = 0  # records without an outcome
        self._to_do: list[Action] = []  # recorded, not done
        self._under_way: set[str] = set()
        self._permits_are_used = False  # as of the last look
        self._came_to_nothing: list[tuple[Wanted, str]] = []  # with the reason; not counted yet
        self._in_vain: dict[str, InVain] = {}  # by dead runtime: rescues that put nothing back

    def on_start(self) -> None:
        self.cell.signal(Wake())

    def on_signal(self, signal: object) -> None:
        match signal:
            case Wake():
                self._look_is_due = True
            case Answer(token=Recording(actions=actions)):
                self._recorded(actions, signal)
            case Answer(token=Starting(wanted=wanted)):
                self._started(wanted, signal.error)
            case Overdue():
                raise StoreUnavailable(f"no outcome of a record for {RECORD_S} s")
            case _:
                pass

    def on_idle(self) -> None:
        """Do what is recorded; then look, if it is time; again after a while."""
        looks = self._look_is_due and not self._recording  # or what is planned already would be recorded twice
        try:
            self._count_tries()
            self._do()
            if looks:
                self._look()
        except Unavailable as error:
            _log.warning("reconciler_waits_for_store", error=str(error)[:200])
        if looks:
            self._look_is_due = False
            self.cell.start_timer("sweep", self._sweep_s, Wake())

    # --- look, plan, record

    def _look(self) -> None:
        with self._store.upkeep(Kind.SWEEP, one_instant=True) as connection:
            observed = reconcile_sql.observe(connection, self._runtime, self._actors.is_live)
        now_s, of_lost = self.cell.clock.monotonic_s(), {claim.runtime for claim in observed.lost}
        self._in_vain = {runtime: in_vain for runtime, in_vain in self._in_vain.items() if runtime in of_lost}
        put_off = {runtime for runtime, in_vain in self._in_vain.items() if now_s < in_vain.until_s}
        actions = plan(observed, self._under_way, put_off)
        starts = sum(isinstance(action, Activate) for action in actions)
        self._permits_are_used = starts + len(self._under_way) >= MOST_UNDER_WAY
        self._record(actions)

    def _record(self, actions: tuple[Action, ...]) -> None:
        """Record what is planned, once a tenant; nothing, where nothing is."""
        by_tenant: dict[str, list[Action]] = {}
        for action in actions:
            by_tenant.setdefault(action.tenant, []).append(action)
        for tenant, theirs in by_tenant.items():
            planned = Planned(tuple(theirs))
            self._committer.note(_to_note(tenant, planned), self.cell.answer_to(Recording(planned.actions)))
            self._recording += 1
            self.cell.start_timer("record", RECORD_S, Overdue())

    def _recorded(self, actions: tuple[Action, ...], answer: Answer) -> None:
        self._recording -= 1
        if not self._recording:
            self.cell.cancel_timer("record")
        if isinstance(answer.value, Committed):
            self._to_do += actions
        else:
            _log.warning("plan_not_recorded", actions=len(actions), outcome=repr(answer.value)[:200])

    # --- act

    def _do(self) -> None:
        while self._to_do:
            match self._to_do[0]:
                case Activate(wanted=wanted):
                    self._start(wanted)
                case Rescue(runtime=runtime, items=items):
                    self._rescue(runtime, items)
                case Quarantine() as quarantine:
                    self._confine(quarantine)
            del self._to_do[0]

    def _start(self, wanted: Wanted) -> None:
        supervisor = self._actors.supervisor()
        if supervisor is None:
            return  # the next look sees whether it is wanted still
        context = Context(principal=system(wanted.tenant), correlation_id=new_id())
        start = StartChild(self._actors.spec(wanted.stream))
        self.cell.request(supervisor, start, context, token=Starting(wanted), timeout_s=START_S)
        self._under_way.add(wanted.stream)
        _log.info("actor_activated", stream=wanted.stream, why=str(wanted.why))

    def _started(self, wanted: Wanted, error: BaseException | None) -> None:
        self._under_way.discard(wanted.stream)
        if self._permits_are_used and len(self._under_way) <= MOST_UNDER_WAY // 2:
            self._look_is_due = True  # others may have had to wait for these
        if is_try(wanted.why, error):
            reason = str(wanted.why) if error is None else f"{type(error).__name__}: {error}"
            self._came_to_nothing.append((wanted, reason[:REASON_CHARACTERS]))

    def _count_tries(self) -> None:
        if self._came_to_nothing:
            with self._store.upkeep(Kind.SWEEP) as connection:
                for wanted, reason in self._came_to_nothing:
                    reconcile_sql.count_try(connection, wanted, reason)
            self._came_to_nothing.clear()

    def _rescue(self, runtime: str, items: tuple[int, ...]) -> None:
        with self._store.upkeep(Kind.SWEEP) as connection:
            number = reconcile_sql.put_back(connection, runtime, items)
        _log.info("items_rescued", runtime=runtime, number=number)
        in_vain = self._in_vain.pop(runtime, InVain(0, 0.0))
        if not number:
            until_s = self.cell.clock.monotonic_s() + put_off_s(in_vain.times, sweep_s=self._sweep_s)
            self._in_vain[runtime] = InVain(in_vain.times + 1, until_s)

    def _confine(self, quarantine: Quarantine) -> None:
        tried = quarantine.tried
        with self._store.upkeep(Kind.SWEEP) as connection:
            reconcile_sql.confine(connection, tried, for_s=quarantine.for_s, tries=MOST_TRIES - 1)
        _log.warning("stream_left_alone", stream=tried.stream, reason=tried.reason, for_s=quarantine.for_s)


def _to_note(tenant: str, planned: Planned) -> AuditNote:
    who = system(tenant)
    decision = gate.check(who, "campaigns:execute", tenant=tenant)
    audit = AuditContext(
        principal=who.id,
        roles=who.roles,
        correlation=new_id(),
        command="reconciler.plan",
        decision=decision.rule,
    )
    return AuditNote(tenant=tenant, type="reconciler.planned", context=encode(audit), body=encode(planned))
