"""A runtime as a story has it: sources, campaigns, coordinator, admission and their supervisors, over either store.

Workers are threads of the story. `check` says whether every promise held.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
from msgspec.structs import replace
from reservation import reservation
from sides import OnMemory, Side, claims

from domainflow.actors import admission
from domainflow.actors.admission import Admission
from domainflow.actors.campaign import actor as campaign
from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import DynamicSupervisor, StartChild
from domainflow.actors.effects import Tell
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.ref import Ref
from domainflow.actors.restart import Budget, Policy, Restart
from domainflow.actors.rules import Ack, AuditContext, Rules
from domainflow.actors.shell import EventSourced
from domainflow.errors import AskTimeout, Conflict, Denied, Rejected, Unavailable
from domainflow.security.context import Context, Principal
from domainflow.store.chain import GENESIS, follows
from domainflow.store.memory import leases
from domainflow.store.memory.tables import MemoryStore
from domainflow.store.transaction import Kind
from domainflow.store.work_items import Result
from domainflow.testing import CrashError, World
from domainflow.testing.exchange import crashing

PATIENT: Final = Policy(budget=Budget(max_restarts=20, period_s=60.0))
TRIES: Final = 80
CLAIMS: Final = WeakKeyDictionary[MemoryStore, list[tuple[str, int, str]]]()  # stream, its version then, by whom


class House:
    """One runtime's actors."""

    def __init__(self, world: World, side: Side, prefix: str = "") -> None:
        self.world = world
        self.side = side
        # Of her own story: what she creates counts against her.
        self.alice = Principal(id=f"alice-{side.source.rpartition('/')[2]}", roles=("operator",), tenant="acme")
        self.prefix = prefix  # of its children's names, where there are two
        self.acked: dict[str, Ack] = {}  # by idempotency key
        self.refused: dict[str, Exception] = {}
        self.tries = TRIES
        with world.calm():
            world.start_child(side.lanes.child)
            for name in ("patterns", "campaigns"):
                factory = partial(DynamicSupervisor, PATIENT)
                world.start_child(ChildSpec(name=prefix + name, factory=factory, kind="supervisor"))
            world.start_child(ChildSpec(name=f"{prefix}admission", factory=self._admission, dispatcher="pinned"))

    # --- what clients do

    def create(self, name: str, count: int) -> None:
        side = self.side
        command = reservation(count, side.id(name), side.source)
        command = replace(command, draft=replace(command.draft, principal=self.alice.id))
        alive = partial(self._alive, "patterns", "source", pattern.RULES, side.source)
        self._done(f"create {name}", alive, command)

    def command(self, key: str, name: str, command: object) -> None:
        """Have it done, or refused, whatever it takes: asked again under its key while nobody knows."""
        stream = campaign.stream_of(self.side.id(name))
        self._done(key, partial(self._alive, "campaigns", name, campaign.RULES, stream), command)

    def own(self, name: str) -> None:
        """Have a campaign's actor alive here."""
        stream = campaign.stream_of(self.side.id(name))
        self._patiently(f"taking {name} over", partial(self._alive, "campaigns", name, campaign.RULES, stream))

    def work(self) -> None:
        """Do what there is to do, once."""
        for claim in claims(self.side, 3):
            self.world.exchange.crosses(self.world.scheduler.who, "postgres", "result")
            counts = (("valid", claim.stop - claim.start),)
            self.side.complete(Result(item=claim.id, fence=claim.fence, counts=counts, outcomes=b"", hits=()))

    def _done(self, key: str, alive: Callable[[], Ref[Any]], command: object) -> None:
        unique = f"{key} of {self.side.source}"
        context = Context(principal=self.alice, correlation_id=key, idempotency_key=unique)
        try:
            answer = self._patiently(key, lambda: alive().ask(command, context))
        except Rejected as refusal:
            self.refused[key] = refusal
        else:
            assert isinstance(answer, Ack)
            self.acked[key] = answer

    def _patiently(self, what: str, act: Callable[[], object]) -> object:
        for _ in range(self.tries):
            try:
                return act()
            except (Unavailable, AskTimeout, Conflict, CrashError):
                self.world.sleep(0.5)
        raise AssertionError(f"{what} was neither done nor refused in {self.tries} tries")

    # --- who lives here

    def _alive(self, supervisor: str, name: str, rules: Rules[Any, Any, Any], stream: str) -> Ref[Any]:
        supervisor = self.prefix + supervisor
        factory = partial(EventSourced, rules, stream, self.side.lanes.committer, self._perform)
        factory = crashing(factory, f"{supervisor}/{name}", self.world.exchange)
        ref = self._find(supervisor)
        if ref is None:
            raise Unavailable(f"{supervisor} is being restarted")
        start = StartChild(ChildSpec(name=name, factory=factory, restart=Restart.TRANSIENT))
        return ref.ask(start, Context(principal=self.alice, correlation_id=""))  # type: ignore[return-value]

    def _find(self, path: str) -> Ref[Any] | None:
        return self.world.environment.directory.find(path)

    def _perform(self, effect: Tell) -> None:
        if (ref := self._find(effect.to)) is not None:
            ref.signal(effect.message)

    def _admission(self) -> Admission:
        return Admission(
            self,  # type: ignore[arg-type]  # of the store it only wants `upkeep`
            lambda id_: self._find(f"{self.prefix}campaigns/{self.side.name(id_)}"),
            runtime=self.side.runtime,
            holds_lease=lambda: True,
            most_running=8,
            tick_s=1.0,
        )

    @contextmanager
    def upkeep(self, kind: Kind) -> Iterator[Any]:
        """What Admission reads through."""
        self.world.exchange.crosses(self.world.scheduler.who, "postgres", "look")
        with self.side.upkeep(kind) as connection:
            yield connection

    # --- what was promised

    def check(self) -> None:
        for stream in self.side.mine():
            version, previous = 0, GENESIS
            for recorded in self.side.events(stream):
                assert follows(recorded, version, previous), f"{stream} breaks at {recorded.version}"
                version, previous = recorded.version, recorded.hash
            head = self.side.head(stream)
            assert head is not None
            assert (version, previous) == (head.version, head.hash), f"the head of {stream} is not its last event"
        self._check_keys()
        self._check_ranges()
        for _, _, name in self.side.ranges():
            self._check_counts(name)

    def written(self) -> list[tuple[str, int, str, int]]:
        """Stream, version, key and moment of every event but audit records, in the order of their streams."""
        recorded = [each for stream in self.side.mine() for each in self.side.events(stream)]
        keys = [msgspec.msgpack.decode(each.context, type=AuditContext).correlation for each in recorded]
        told = zip(recorded, keys, strict=True)
        events = [(each.stream, each.version, key, each.recorded_at_us) for each, key in told]
        return [each for each in events if not each[0].startswith("audit/")]

    def _check_keys(self) -> None:
        moments: dict[str, set[int]] = {}
        for _, _, key, moment in self.written():
            moments.setdefault(key, set()).add(moment)
        for key in self.acked:
            assert len(moments.get(key, {0})) == 1, f"{key} was done {len(moments[key])} times"
        for key, refusal in self.refused.items():
            assert key not in moments, f"{key} was refused, and done"
            assert not isinstance(refusal, Denied), f"{key}: {refusal}"

    def _check_ranges(self) -> None:
        behind = 0
        for base, count, _ in (ranges := self.side.ranges()):
            assert base == behind, f"ranges overlap or leave a hole: {ranges}"
            behind = base + count
        created = {key.removeprefix("create ") for key in self.acked if key.startswith("create ")}
        assert created <= {name for _, _, name in ranges}

    def _check_counts(self, name: str) -> None:
        state = campaign.RULES.fold(self.side.load(campaign.stream_of(self.side.id(name))))
        results = self.side.results(name)
        for number, phase in enumerate(state.phases):
            names = sum(size for (which, run, _), size in results.items() if (which, run) == (number, phase.run))
            assert dict(phase.counts).get("valid", 0) == names, f"{name}, phase {number}: {phase.counts}, {names}"


def on_memory(world: World, store: MemoryStore | None = None, runtime: str = "") -> House:
    """A house over the memory store; with the name of a runtime, beside others."""
    prefix = f"{runtime}-" if runtime else ""
    return House(world, OnMemory(world, store or MemoryStore(), runtime or "r1", f"{prefix}store"), prefix)


@contextmanager
def reading(side: type[Side]) -> Iterator[None]:
    """Have Admission read by the families of a side, and the claims of a memory store be noted in `CLAIMS`."""
    before = admission.leases, admission.work_items, leases.claim_stream

    def claim_stream(store: MemoryStore, runtime: str, stream: str) -> int | None:
        epoch = before[2](store, runtime, stream)
        if epoch is not None:
            CLAIMS.setdefault(store, []).append((stream, store.tables.heads[stream].version, runtime))
        return epoch

    admission.leases, admission.work_items, leases.claim_stream = side.leases, side.work_items, claim_stream
    try:
        yield
    finally:
        admission.leases, admission.work_items, leases.claim_stream = before
