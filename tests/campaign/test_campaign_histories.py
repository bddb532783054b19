"""Laws that hold after whatever a campaign was told, in whatever order; with a ledger that does what it is told."""

import random
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from story import CREATED, of

from domainflow.actors.campaign.actor import RULES
from domainflow.actors.campaign.core import decide
from domainflow.actors.campaign.events import PhaseConfig
from domainflow.actors.campaign.evolution import LEGAL_MOVES
from domainflow.actors.campaign.history import CampaignEvent
from domainflow.actors.campaign.messages import (
    AccountBatches,
    BeginCampaign,
    CampaignMessage,
    CancelCampaign,
    ConfigurePhase,
    DeleteCampaign,
    DoneBatch,
    ObserveLedger,
    PauseCampaign,
    RerunPhase,
    ResumeCampaign,
    RetryCampaign,
    SkipPhase,
    StartCampaign,
    StartPhase,
)
from domainflow.actors.campaign.state import Campaign, current, opened, upcoming
from domainflow.actors.draft import Draft, Stream
from domainflow.errors import Rejected
from domainflow.store.port import Ledger, OpenItem
from domainflow.vocabulary import PHASES, CampaignStatus, Mode, Phase, PhaseStatus

STREAM: Final = Stream("campaign/00000000-0000-7000-8000-000000000001")
UNBEGUN: Final = ("not_started", "ready", "configured")
# What the domain allows, and one thing more: a late report may complete a phase that is paused.
PHASE_MOVES: Final = frozenset(
    {(before, after) for before in UNBEGUN for after in ("configured", "in_progress", "skipped")}
    | {("in_progress", after) for after in ("paused", "completed", "failed")}
    | {("paused", "in_progress"), ("paused", "failed"), ("paused", "completed")}
    | {("completed", "in_progress"), ("failed", "in_progress")}
)


class World:
    """A campaign and its ledger: every batch that is open, and in which state."""

    def __init__(self, state: Campaign) -> None:
        self.state = state
        self.items: dict[int, tuple[OpenItem, str]] = {}
        self.numbers = 0
        self.reported: list[DoneBatch] = []
        self.names = dict.fromkeys(PHASES, 0)  # of the current run, as the worker counted them

    def tell(self, message: CampaignMessage) -> None:
        """As the shell: decide, evolve, and do to the ledger what rides in the commit. A refusal changes nothing."""
        before = self.state
        try:
            events = decide(before, message)
        except Rejected:
            return
        draft = Draft.of(RULES, before, events, stream=STREAM, tenant="acme")
        assert set(draft.moves) <= LEGAL_MOVES
        assert isinstance(draft.state, Campaign)
        self.check_phases(events)
        self.state = draft.state
        self.settle(draft)
        self.check()

    def settle(self, draft: Draft) -> None:
        for number in draft.accounts:
            item, state = self.items.pop(number)
            assert state == "done"
            self.names[PHASES[item.phase]] += item.stop - item.start
        match draft.ledger:
            case Ledger.PARK:
                self.shift({"ready": "parked"})
            case Ledger.UNPARK:
                self.shift({"parked": "ready"})
            case Ledger.REVIVE:
                self.shift({"parked": "ready", "dead": "ready"})
            case Ledger.DROP:
                self.items.clear()
            case _:
                pass
        for item in draft.opens:
            assert (item.phase, item.run, item.batch) not in {(i.phase, i.run, i.batch) for i, _ in self.items.values()}
            self.numbers += 1
            self.items[self.numbers] = (item, "parked" if item.parked else "ready")

    def shift(self, moves: dict[str, str]) -> None:
        self.items = {number: (item, moves.get(state, state)) for number, (item, state) in self.items.items()}

    def work(self, before: str, after: str) -> None:
        """A worker takes or ends the oldest item in a state; it takes nothing while the campaign does not run."""
        found = next((number for number, (_, state) in self.items.items() if state == before), None)
        if found is not None and (before != "ready" or self.state.status is CampaignStatus.RUNNING):
            self.items[found] = (self.items[found][0], after)

    def account(self) -> None:
        """Report what is done, and once more what was reported the last time."""
        done = [self.result(number, item) for number, (item, state) in self.items.items() if state == "done"]
        self.tell(AccountBatches(done=(*done, *self.reported)))
        self.reported = done

    def result(self, number: int, item: OpenItem) -> DoneBatch:
        outcomes = ("generated", "resolved" if self.state.spec.count % 3 else "unresolved", "success", "match")
        return DoneBatch(
            number, PHASES[item.phase], item.run, item.batch, ((outcomes[item.phase], item.stop - item.start),)
        )

    def observe(self) -> None:
        states = [state for _, state in self.items.values()]
        ready, claimed, done, dead = (states.count(state) for state in ("ready", "claimed", "done", "dead"))
        self.tell(ObserveLedger(ready=ready, claimed=claimed, done=done, dead=dead))

    # --- the laws

    def check_phases(self, events: tuple[object, ...]) -> None:
        state = self.state
        for event in events:
            after = RULES.evolve(state, event)  # type: ignore[arg-type]  # they were decided just now
            for was, now in zip(state.phases, after.phases, strict=True):
                assert was.status is now.status or (was.status, now.status) in PHASE_MOVES
                if now.run != was.run:
                    self.names[PHASES[after.phases.index(now)]] = 0
            state = after

    def check(self) -> None:
        state = self.state
        assert len(set(state.holders)) == len(state.holders)
        if state.status in {CampaignStatus.PAUSING, CampaignStatus.PAUSED}:
            assert state.holders, "it is held, and nobody can let go of it"
        elif state.status in {CampaignStatus.QUEUED, CampaignStatus.RUNNING}:
            assert not state.holders
        for phase, now in zip(PHASES, state.phases, strict=True):
            assert now.accounted <= now.batches
            assert len(now.ahead) <= state.spec.window
            assert sum(number for _, number in now.counts) == self.names[phase]
            if now.status is PhaseStatus.COMPLETED:
                assert now.accounted == now.batches
        if state.status is CampaignStatus.CANCELLED or state.deleted:
            assert not self.items
            return
        phase_now = current(state)
        expected = 0 if phase_now is None else self.open_of(phase_now)
        assert len(self.items) == expected
        if state.status is CampaignStatus.RUNNING:
            assert phase_now is not None, "it runs, and nothing will ever happen to it"

    def open_of(self, phase: Phase) -> int:
        now = self.state.phase(phase)
        assert opened(now, self.state.spec.window) == min(now.batches, now.accounted + self.state.spec.window)
        return opened(now, self.state.spec.window) - now.accounted

    def finish(self) -> None:
        """Do what people and the runtime can do to bring it to its end."""
        for _ in range(500):
            if self.state.deleted or self.state.status in {CampaignStatus.CANCELLED, CampaignStatus.COMPLETED}:
                return
            for message in (StartCampaign(), RetryCampaign(), BeginCampaign()):
                self.tell(message)
            if (phase := upcoming(self.state)) is not None:
                self.tell(StartPhase(phase=phase))
            for holder in self.state.holders:
                self.tell(ResumeCampaign(holder=holder))
            self.work("ready", "claimed")
            self.work("claimed", "done")
            self.account()
            self.observe()
        raise AssertionError(f"it never ends: {self.state}, {self.items}")


HOLDERS: Final = ("user", "window:night")
# What may happen next, and how often among the rest: often enough that campaigns come to their last phase.
STEPS: Final[tuple[tuple[object, int], ...]] = (
    ("account", 16),
    ("observe", 16),
    (("ready", "claimed"), 20),
    (("claimed", "done"), 20),
    (("claimed", "ready"), 2),
    (("claimed", "dead"), 1),
    (BeginCampaign(), 10),
    (StartCampaign(), 1),
    (RetryCampaign(), 3),
    *((PauseCampaign(holder=holder), 2) for holder in HOLDERS),
    *((ResumeCampaign(holder=holder), 4) for holder in HOLDERS),
    *((StartPhase(phase=phase), 2) for phase in PHASES),
    *((SkipPhase(phase=phase), 1) for phase in PHASES[2:]),
    *((RerunPhase(phase=phase), 1) for phase in PHASES),
    (ConfigurePhase(phase=PHASES[3], config=PhaseConfig()), 1),
)
seeds = st.integers(0, 2**32)
ENDS: Final = (CancelCampaign(), DeleteCampaign())
BEGUN: Final = (StartCampaign(), BeginCampaign())


def history(seed: int, length: int) -> list[object]:
    """Steps drawn by chance: lists that hypothesis draws are too short to get anywhere."""
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    steps, weights = zip(*STEPS, strict=True)
    return [*BEGUN, *chance.choices(steps, weights, k=length)]


def campaign(seed: int) -> Campaign:
    """A small campaign drawn by chance."""
    chance = random.Random(seed)  # noqa: S311 - likewise
    return of(
        replace(
            CREATED,
            mode=chance.choice(tuple(Mode)),
            count=chance.randint(1, 40),
            batch_size=chance.randint(1, 20),
            window=chance.randint(1, 4),
            skip=tuple(chance.sample(PHASES, chance.choice((0, 0, 1, 2)))),
        )
    )


def act(world: World, step: object) -> None:
    match step:
        case "account":
            world.account()
        case "observe":
            world.observe()
        case (str(before), str(after)):
            world.work(before, after)
        case _:
            world.tell(step)  # type: ignore[arg-type]  # a message


@given(seeds)
def test_whatever_it_was_told_it_can_be_brought_to_its_end_and_nothing_is_lost(seed: int) -> None:
    world = World(campaign(seed))
    for step in history(seed, 150):
        act(world, step)
    world.finish()
    assert world.state.status is CampaignStatus.COMPLETED
    assert all(phase.accounted == phase.batches for phase in world.state.phases)
    assert not world.items


@given(seeds, st.integers(0, 100), st.sampled_from(ENDS))
def test_after_its_end_for_good_nothing_is_opened_or_accounted(seed: int, steps: int, end: CampaignMessage) -> None:
    world = World(campaign(seed))
    for step in [*history(seed, steps), end, *history(seed + 1, 10)]:
        act(world, step)


@given(seeds)
def test_evolve_never_refuses_what_was_decided_in_another_state(seed: int) -> None:
    world = World(campaign(seed))
    stray = campaign(seed)
    for step in history(seed, 60):
        before = world.state
        act(world, step)
        if isinstance(step, CancelCampaign | PauseCampaign | ResumeCampaign | StartPhase | SkipPhase | RerunPhase):
            stray = of(*decided(before, step), state=stray)


def decided(state: Campaign, message: CampaignMessage) -> tuple[CampaignEvent, ...]:
    try:
        return decide(state, message)
    except Rejected:
        return ()
