"""A runtime as a story has it: sources, campaigns, coordinator, admission and their supervisors, over the memory store.

Workers are threads of the story. `check` says whether every promise held.
"""

from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
from reservation import reservation

from domainflow.actors import admission
from domainflow.actors.admission import Admission
from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.evolution import LEGAL_MOVES
from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import DynamicSupervisor, StartChild
from domainflow.actors.effects import Tell
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.ref import Ref
from domainflow.actors.restart import Budget, Policy, Restart
from domainflow.actors.rules import Ack, AuditContext, Rules
from domainflow.actors.shell import EventSourced
from domainflow.errors import AskTimeout, Conflict, Rejected, Unavailable
from domainflow.security.context import Context, Principal
from domainflow.store.chain import GENESIS, follows
from domainflow.store.memory import leases, streams, work_items
from domainflow.store.memory.tables import MemoryStore, State
from domainflow.store.work_items import Result
from domainflow.testing import CrashError, World
from domainflow.testing.exchange import crashing
from domainflow.testing.store import StoryStore

ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")
SOURCE: Final = pattern.source_stream("acme", "hundred")
PATIENT: Final = Policy(budget=Budget(max_restarts=20, period_s=60.0))
TRIES: Final = 80


CLAIMS: Final = WeakKeyDictionary[MemoryStore, list[tuple[str, int, str]]]()  # stream, its version then, by whom


class House:
    """One runtime's actors."""

    def __init__(self, world: World, store: MemoryStore | None = None, runtime: str = "") -> None:
        self.world = world
        self.memory = store or MemoryStore()
        self.runtime = runtime or "r1"
        self.prefix = f"{runtime}-" if runtime else ""  # of its children's names, where there are two
        self.acked: dict[str, Ack] = {}  # by idempotency key
        self.refused: dict[str, Exception] = {}
        self.tries = TRIES
        self.store = StoryStore(
            world, self.memory, runtime=self.runtime, name=f"{self.prefix}store", legal_moves=LEGAL_MOVES
        )
        with world.calm():
            world.start_child(self.store.child)
            for name in ("patterns", "campaigns"):
                world.start_child(
                    ChildSpec(
                        name=self.prefix + name,
                        factory=lambda: DynamicSupervisor(PATIENT),
                        kind="supervisor",
                        shutdown_s=None,
                    )
                )
            world.start_child(ChildSpec(name=f"{self.prefix}admission", factory=self._admission, dispatcher="pinned"))

    # --- what clients do

    def client(self, name: str, act: Callable[[], object]) -> None:
        self.world.thread(name, act)

    def create(self, id_: str, count: int) -> None:
        command = reservation(count, id_, SOURCE)
        self._done(f"create {id_}", lambda: self._alive("patterns", pattern.RULES, SOURCE), command)

    def command(self, key: str, id_: str, command: object) -> None:
        """Have it done, or refused, whatever it takes: asked again under its key while nobody knows."""
        self._done(key, lambda: self._alive("campaigns", campaign.RULES, campaign.stream_of(id_)), command)

    def work(self) -> None:
        """Do what there is to do, once."""
        for claim in work_items.claim(self.memory, self.runtime, 3):
            self.world.exchange.crosses(self.world.scheduler.who, "postgres", "result")
            counts = (("valid", claim.stop - claim.start),)
            work_items.complete(
                self.memory, Result(item=claim.id, fence=claim.fence, counts=counts, outcomes=b"", hits=())
            )

    def _done(self, key: str, alive: Callable[[], Ref[Any]], command: object) -> None:
        context = Context(principal=ALICE, correlation_id=key, idempotency_key=key)
        for _ in range(self.tries):
            try:
                answer = alive().ask(command, context)
                assert isinstance(answer, Ack)
                self.acked[key] = answer
            except (Unavailable, AskTimeout, Conflict, CrashError):
                self.world.sleep(0.5)
            except Rejected as refusal:
                self.refused[key] = refusal
                return
            else:
                return
        raise AssertionError(f"{key} was neither done nor refused in {self.tries} tries")

    # --- who lives here

    def _alive(self, supervisor: str, rules: Rules[Any, Any, Any], stream: str) -> Ref[Any]:
        name = stream.replace("/", ":") if supervisor.endswith("patterns") else campaign.campaign_of(stream)
        factory = partial(EventSourced, rules, stream, self.store.committer, self._perform)
        supervisor = self.prefix + supervisor
        factory = crashing(factory, f"{supervisor}/{name}", self.world.exchange)
        spec = ChildSpec(name=name, factory=factory, restart=Restart.TRANSIENT)
        ref = self._find(supervisor)
        if ref is None:
            raise Unavailable(f"{supervisor} is being restarted")
        return ref.ask(StartChild(spec), Context(principal=ALICE, correlation_id=""))  # type: ignore[return-value]

    def _find(self, path: str) -> Ref[Any] | None:
        return self.world.environment.directory.find(path)

    def _perform(self, effect: Tell) -> None:
        if (ref := self._find(effect.to)) is not None:
            ref.signal(effect.message)

    def _admission(self) -> Admission:
        return Admission(
            self,  # type: ignore[arg-type]  # of the store it only wants `upkeep`
            lambda id_: self._find(f"{self.prefix}campaigns/{id_}"),
            runtime=self.runtime,
            holds_lease=lambda: True,
            most_running=8,
            tick_s=1.0,
        )

    @contextmanager
    def upkeep(self, _: object) -> Any:  # noqa: ANN401 - what Admission reads through
        self.world.exchange.crosses(self.world.scheduler.who, "postgres", "look")
        yield self.memory

    # --- what was promised

    def check(self) -> None:
        for stream, head in self.memory.tables.heads.items():
            version, previous = 0, GENESIS
            for recorded in streams.events(self.memory, stream, after=0):
                assert follows(recorded, version, previous), f"{stream} breaks at {recorded.version}"
                version, previous = recorded.version, recorded.hash
            assert (version, previous) == (head.version, head.hash), f"the head of {stream} is not its last event"
        self._check_keys()
        self._check_ranges()
        self._check_counts()

    def written(self) -> list[tuple[str, int, str, int]]:
        """Stream, version, key and moment of every event but audit records, in the order of their streams."""
        recorded = sorted(self.memory.tables.events.items())
        keys = [msgspec.msgpack.decode(each.context, type=AuditContext).correlation for _, each in recorded]
        told = [(*place, key, each.recorded_at_us) for (place, each), key in zip(recorded, keys, strict=True)]
        return [each for each in told if not each[0].startswith("audit/")]

    def _check_keys(self) -> None:
        moments: dict[str, set[int]] = {}
        for _, _, key, moment in self.written():
            moments.setdefault(key, set()).add(moment)
        for key in self.acked:
            assert len(moments.get(key, {0})) == 1, f"{key} was done {len(moments[key])} times"
        for key in self.refused:
            assert key not in moments, f"{key} was refused, and done"

    def _check_ranges(self) -> None:
        rows = sorted((each.row.base, each.row.count, each.row.id) for each in self.memory.tables.campaigns.values())
        behind = 0
        for base, count, _ in rows:
            assert base == behind, f"ranges overlap or leave a hole: {rows}"
            behind = base + count
        created = {key.removeprefix("create ") for key in self.acked if key.startswith("create ")}
        assert created <= {id_ for _, _, id_ in rows}

    def _check_counts(self) -> None:
        open_ = {item.place for item in self.memory.tables.work_items.values() if item.state is State.DONE}
        for id_ in self.memory.tables.campaigns:
            loaded = streams.load(self.memory, campaign.stream_of(id_), fold_version=campaign.RULES.fold_version)
            state = campaign.RULES.fold(loaded)
            for number, phase in enumerate(state.phases):
                accounted = sum(
                    batch.stop - batch.start
                    for (of, which, run, index), batch in self.memory.tables.batches.items()
                    if (of, which, run) == (id_, number, phase.run) and (of, which, run, index) not in open_
                )
                assert dict(phase.counts).get("valid", 0) == accounted, f"{id_} {number}: {phase.counts}, {accounted}"


@contextmanager
def on_memory() -> Any:  # noqa: ANN401 - a context
    """Have Admission read the memory store, by the twin of each table family; and claims noted in `CLAIMS`."""
    before = admission.leases, admission.work_items, leases.claim_stream
    admission.leases, admission.work_items = leases, work_items  # type: ignore[assignment]

    def claim_stream(store: MemoryStore, runtime: str, stream: str) -> int | None:
        epoch = before[2](store, runtime, stream)
        if epoch is not None:
            CLAIMS.setdefault(store, []).append((stream, store.tables.heads[stream].version, runtime))
        return epoch

    leases.claim_stream = claim_stream
    try:
        yield
    finally:
        admission.leases, admission.work_items, leases.claim_stream = before
