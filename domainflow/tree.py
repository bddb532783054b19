"""The supervision tree of a runtime: who is a child of whom, with what restart rule. Wiring only."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

from domainflow.actors.admission import Admission
from domainflow.actors.archiver import Archiver
from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.evolution import LEGAL_MOVES
from domainflow.actors.claimer.actor import Claimer
from domainflow.actors.command_box import CommandBox
from domainflow.actors.coordinator.front import Coordinator, DatabaseClock
from domainflow.actors.coordinator.lane import CommitLane
from domainflow.actors.coordinator.messages import LaneMessage, Load
from domainflow.actors.directory import Directory
from domainflow.actors.dynamic import DynamicSupervisor, StartChild, StopChild
from domainflow.actors.effects import Tell, Wake
from domainflow.actors.envelope import Reply
from domainflow.actors.leader import Leader
from domainflow.actors.listener import Listener
from domainflow.actors.monitor import alerts
from domainflow.actors.monitor.actor import AlertActors, Monitor
from domainflow.actors.monitor.own import Own
from domainflow.actors.monitor.verifying import Verifying
from domainflow.actors.notifier import Notifier
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.reconciler.actor import Actors, Reconciler
from domainflow.actors.ref import Ref
from domainflow.actors.refold import Refold
from domainflow.actors.restart import Budget, Policy, Restart, Strategy
from domainflow.actors.retention import Retention
from domainflow.actors.rules import AuditContext, Rules, encode
from domainflow.actors.shell import EventSourced
from domainflow.actors.store_watch import StoreWatch
from domainflow.actors.supervisor import ChildSpec, Supervisor
from domainflow.actors.system import System
from domainflow.engines.local import LocalEngine
from domainflow.engines.process import WorkerProcess
from domainflow.errors import Unavailable
from domainflow.folds import Folds
from domainflow.ids import new_id
from domainflow.security.context import Context, Principal, system
from domainflow.settings import Settings
from domainflow.store import leases
from domainflow.store.commit_connection import CommitConnection
from domainflow.store.hints import Hints
from domainflow.store.port import AuditNote, Committed, HeldElsewhere, Loaded
from domainflow.store.postgres import Postgres
from domainflow.store.presence import Presence
from domainflow.store.transaction import Kind
from domainflow.waking import Waking

READERS = 2
NOTE_S = 10.0
# Postgres may be gone for minutes: its actors wait for it themselves, so what they fail of is worth some patience.
PATIENT = Budget(max_restarts=10, period_s=60.0)
PHASE_S = 10.0  # for each of the root's children to stop; the store, which is the last, has what is left


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the tree of one runtime is made from."""

    runtime: str
    home: Path
    settings: Settings
    store: Postgres
    presence: Presence
    verifying: Verifying
    campaigns: bool
    work: bool
    system: System = field(default_factory=System)
    early: list[WorkerProcess] = field(default_factory=list)  # the first engine takes them out
    clock: DatabaseClock = field(default_factory=DatabaseClock)
    folds: Folds = field(default_factory=Folds)
    readers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READERS, "readers"))

    @property
    def directory(self) -> Directory:
        """Who lives here."""
        return self.system.environment.directory

    @cached_property
    def waking(self) -> Waking:
        """The ways to whoever waits; made with the tree, on its first thread."""
        return Waking(self.runtime, self.directory)

    @property
    def committer(self) -> Coordinator:
        """The way to the store."""
        lanes, holds_lease = self.settings.commit_lanes, self.presence.holds_lease
        return Coordinator(self._find_lane, self.clock, lanes=lanes, holds_lease=holds_lease)

    @property
    def refold(self) -> Refold:
        """What compares snapshots with their events, and replaces those that differ."""
        rules = {each.name: each for each in (campaign.RULES, pattern.RULES, alerts.RULES)}
        return Refold(self.store, rules, chance=self.system.environment.chance, note=self.note)

    @property
    def archiver(self) -> Archiver:
        """What moves the events of sealed streams into files of this host."""
        return Archiver(self.store, self.home / "archive")

    def _find_lane(self, number: int) -> Ref[LaneMessage] | None:
        return cast("Ref[LaneMessage] | None", self.directory.find(f"store/commit-{number}"))

    # --- activation

    def find(self, path: str) -> Ref[Any] | None:
        """Return an actor that lives here."""
        return self.directory.find(path)

    def find_campaign(self, id_: str) -> Ref[Any] | None:
        """Return a campaign's actor, if it lives here."""
        return self.directory.find(f"campaigns/{id_}")

    def start(self, supervisor: str, spec: ChildSpec, timeout_s: float) -> Ref[Any]:
        """Have a child alive and return it; waits. Raises what it could not start for."""
        ref = self.directory.find(supervisor)
        if ref is None:
            raise Unavailable(f"this runtime has no {supervisor}: it is closed")
        started = ref.ask(StartChild(spec), Context(principal=system(""), correlation_id=""), timeout_s=timeout_s)
        return cast("Ref[Any]", started)

    def let_go(self, stream: str, timeout_s: float) -> None:
        """Have no actor of a campaign's stream here and give the stream back; waits. Raises Unavailable."""
        supervisor = self.directory.find("campaigns")
        if supervisor is not None:
            stop, context = StopChild(campaign.campaign_of(stream)), Context(principal=system(""), correlation_id="")
            supervisor.ask(stop, context, timeout_s=timeout_s)
        with self.store.upkeep(Kind.OWNERSHIP, timeout_s=timeout_s) as connection:
            leases.release_stream(connection, self.runtime, stream)

    def note(self, what: str, principal: Principal, command: str, rule: str, *, stream: str = "") -> None:
        """Record what no actor heard of, and wait until it is recorded. Raises Unavailable."""
        audit = AuditContext(
            principal=principal.id, roles=principal.roles, correlation=new_id(), command=command, decision=rule
        )
        body = encode({"stream": stream} if stream else {})
        note = AuditNote(tenant=principal.tenant, type=f"audit.{what}", context=encode(audit), body=body)
        recorded = Reply()
        self.committer.note(note, recorded.set)
        if not isinstance(recorded.get(NOTE_S), Committed):
            raise Unavailable(f"that it is {what} could not be recorded; nothing was done")

    def activate(self, stream: str) -> Ref[Any] | None:
        """Return the actor of a campaign's stream, or have it started without waiting and return None."""
        ref = self.find_campaign(campaign.campaign_of(stream))
        if ref is None and (supervisor := self.directory.find("campaigns")) is not None:
            context = Context(principal=system(""), correlation_id="")
            supervisor.tell(StartChild(self.campaign_spec(stream)), context)
        return ref

    def campaign_spec(self, stream: str) -> ChildSpec:
        """Return the child spec of a campaign's actor."""
        return self._event_sourced(campaign.campaign_of(stream), campaign.RULES, stream)

    def pattern_spec(self, stream: str) -> ChildSpec:
        """Return the child spec of a source's actor."""
        return self._event_sourced(stream.replace("/", ":"), pattern.RULES, stream)

    def alerts_spec(self, tenant: str) -> ChildSpec:
        """Return the child spec of the actor of a tenant's alerts."""
        return self._event_sourced(tenant, alerts.RULES, alerts.stream_of(tenant))

    def _event_sourced(self, name: str, rules: Rules[Any, Any, Any], stream: str) -> ChildSpec:
        factory = partial(EventSourced, rules, stream, self.committer, self._perform)
        return ChildSpec(name=name, factory=factory, restart=Restart.TRANSIENT)

    def _perform(self, effect: Tell) -> None:
        ref = self.directory.find(effect.to)
        if ref is not None:
            ref.signal(effect.message)

    # --- the tree

    def children(self) -> list[ChildSpec]:
        """Return the root's children in start order."""
        specs = [
            replace(self._supervisor("store", self._store_children(), Strategy.REST_FOR_ONE), shutdown_s=None),
            ChildSpec(name="patterns", factory=DynamicSupervisor, kind="supervisor", shutdown_s=PHASE_S),
            ChildSpec(name="campaigns", factory=DynamicSupervisor, kind="supervisor", shutdown_s=PHASE_S),
            ChildSpec(name="alerts", factory=DynamicSupervisor, kind="supervisor", shutdown_s=PHASE_S),
        ]
        if self.work:
            specs.append(self._supervisor("work", [self._pinned("claimer", self._claimer)], Strategy.ONE_FOR_ONE))
        return [*specs, self._supervisor("upkeep", self._upkeep_children(), Strategy.ONE_FOR_ONE)]

    def _store_children(self) -> list[ChildSpec]:
        lanes = [self._pinned(f"commit-{n}", partial(self._lane, n)) for n in range(self.settings.commit_lanes)]
        listener = self._pinned("listener", partial(Listener, self.presence, hint=self.waking.hear))
        last = [self._pinned("notifier", self._notifier), self._pinned("watch", StoreWatch)]
        return [listener, *lanes, *last]  # no lane ends with those

    def _upkeep_children(self) -> list[ChildSpec]:
        specs = [self._pinned("command_box", self._command_box)]
        if self.campaigns:
            specs += [self._pinned("admission", self._admission), self._pinned("reconciler", self._reconciler)]
            specs.append(self._pinned("leader", partial(Leader, self.store, runtime=self.runtime)))
            specs.append(self._pinned("monitor", self._monitor))
            if self.settings.retention_days:
                specs.append(self._pinned("retention", self._retention))
        return specs

    def _lane(self, number: int) -> CommitLane:
        return CommitLane(
            CommitConnection(self.store.connect_lane, self.runtime, number),
            clock=self.clock,
            legal_moves=LEGAL_MOVES,
            read=self._read,
            readers=self.readers,
            on_committed=self.waking.moved,
        )

    def _notifier(self) -> Notifier:
        return Notifier(self.waking.outbox, self.runtime, Hints(self.store.connect_listener))

    def _claimer(self) -> Claimer:
        return Claimer(
            self.store,
            self._engine,
            runtime=self.runtime,
            holds_lease=self.presence.holds_lease,
            home=self.home,
            tick_s=self.settings.tick_s,
        )

    def _engine(self, tell: Callable[[object], None]) -> LocalEngine:
        return LocalEngine(
            workers=self.settings.workers,
            batches_per_worker=self.settings.batches_per_worker,
            on_result=tell,
            on_lost=tell,
            on_free=lambda: tell(Wake()),
            early=self.early,
        )

    def _command_box(self) -> CommandBox:
        return CommandBox(self.store, self.activate, runtime=self.runtime, tick_s=self.settings.tick_s)

    def _admission(self) -> Admission:
        return Admission(
            self.store,
            self.find_campaign,
            runtime=self.runtime,
            holds_lease=self.presence.holds_lease,
            most_running=self.settings.most_running,
            tick_s=self.settings.tick_s,
        )

    def _reconciler(self) -> Reconciler:
        return Reconciler(
            self.store,
            self.committer,
            Actors(
                lambda: self.find("campaigns"),
                self.campaign_spec,
                lambda stream: self.find_campaign(campaign.campaign_of(stream)) is not None,
            ),
            runtime=self.runtime,
            sweep_s=self.settings.sweep_s,
        )

    def _monitor(self) -> Monitor:
        return Monitor(
            self.store,
            self.verifying,
            self._own,
            AlertActors(lambda: self.find("alerts"), self.alerts_spec),
            runtime=self.runtime,
            settings=self.settings,
            now_us=self.clock.now_us,
        )

    def _retention(self) -> Retention:
        days = self.settings.retention_days
        return Retention(self.store, self.archiver, runtime=self.runtime, retention_days=days)

    @property
    def _own(self) -> Own:
        folders = (self.home, self.home / "postgres" / "data")
        return Own(self.runtime, self.presence, self.store.pools, folders, self.settings)

    def _read(self, load: Load) -> Loaded | HeldElsewhere:
        loaded = self.store.read(load.stream, runtime=self.runtime, owned=load.owned, fold_version=load.fold_version)
        return self.refold.sampled(loaded) if isinstance(loaded, Loaded) else loaded

    @staticmethod
    def _pinned(name: str, factory: Callable[[], Any]) -> ChildSpec:
        return ChildSpec(name=name, factory=factory, dispatcher="pinned", shutdown_s=10.0)

    @staticmethod
    def _supervisor(name: str, children: list[ChildSpec], strategy: Strategy) -> ChildSpec:
        factory = partial(Supervisor, children, Policy(strategy=strategy, budget=PATIENT))
        return ChildSpec(name=name, factory=factory, kind="supervisor", shutdown_s=PHASE_S)
