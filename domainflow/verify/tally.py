"""What a campaign's events say about its batches, counted again beside the fold: every run of every phase.

Pure. Memory is a run's window of batches accounted out of order, however many batches there are.
"""

from collections import Counter
from collections.abc import Iterator

from domainflow.actors.campaign.events import (
    BatchesAccounted,
    CampaignCreated,
    PhaseCompleted,
    PhaseStarted,
)
from domainflow.actors.campaign.evolution import FOLD_VERSION, TRANSITIONS
from domainflow.actors.campaign.history import CampaignEvent, StreamSealed
from domainflow.actors.campaign.state import Campaign, PhaseState
from domainflow.store.faults import Fault, Kind
from domainflow.verify.folding import OutOfPlaceError
from domainflow.vocabulary import PHASES, Phase

MOVES = frozenset(type_ for _, type_ in TRANSITIONS)


class RunTally:
    """One run of one phase: how it was cut, what was accounted."""

    def __init__(self, started: PhaseStarted, positions: int) -> None:
        """`positions` is how many the campaign has."""
        self.started = started
        self.positions = positions
        self.frontier = 0  # all below are accounted
        self.ahead: set[int] = set()
        self.counts: Counter[str] = Counter()
        self.twice = False  # a batch was accounted twice, so that the counters are known to be wrong

    @property
    def key(self) -> tuple[int, int]:
        """(phase number, run)."""
        return PHASES.index(self.started.phase), self.started.run

    @property
    def accounted(self) -> int:
        """Batches accounted."""
        return self.frontier + len(self.ahead)

    def has(self, batch: int) -> bool:
        """Whether a batch is accounted."""
        return batch < self.frontier or batch in self.ahead

    def range(self, batch: int) -> tuple[int, int]:
        """The positions [start, stop) of a batch."""
        width = self.started.width
        return batch * width, min((batch + 1) * width, self.positions)

    def open(self, window: int) -> Iterator[int]:
        """The batches that the ledger must hold, ascending."""
        end = min(self.started.batches, self.accounted + window)
        return (batch for batch in range(self.frontier, end) if batch not in self.ahead)

    def is_open(self, batch: int, window: int) -> bool:
        """Whether the ledger must hold a batch."""
        return 0 <= batch < min(self.started.batches, self.accounted + window) and not self.has(batch)

    def accounted_between(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """The accounted batches of [first, end), as ranges [from, to), ascending."""
        if first < (below := min(self.frontier, end)):
            yield first, below
        yield from ((batch, batch + 1) for batch in sorted(self.ahead) if first <= batch < end)

    def account(self, event: BatchesAccounted) -> tuple[int, ...]:
        """Take in an event; return those of its batches that were accounted before."""
        again = []
        for batch in event.batches:
            if self.has(batch):
                again.append(batch)
            else:
                self.ahead.add(batch)
        while self.frontier in self.ahead:
            self.ahead.remove(self.frontier)
            self.frontier += 1
        self.counts.update(dict(event.counts))
        self.twice = self.twice or bool(again)
        return tuple(again)


class Tally:
    """All runs of a campaign."""

    def __init__(self, stream: str, *, begins: int = 1) -> None:
        """Nothing has happened yet that is not archived; `begins`: the version of its first event."""
        self.stream = stream
        self.runs: dict[tuple[int, int], RunTally] = {}
        self._begins = begins
        self._archived: dict[int, int] = {}  # phase -> its last run before the seal that the stream begins with

    def latest(self, phase: Phase) -> RunTally | None:
        """The last run of a phase."""
        number = PHASES.index(phase)
        return max((run for run in self.runs.values() if run.key[0] == number), key=lambda run: run.key, default=None)

    def is_archived(self, phase: int, run: int) -> bool:
        """Whether how a run was cut stands in the archive, and nowhere else: it was run again before the seal."""
        return 1 <= run < self._archived.get(phase, 0)

    def judge(self, state: Campaign, event: CampaignEvent) -> Iterator[Fault]:
        """Yield what is wrong with an event in the state before it, and count it. Raises OutOfPlaceError."""
        if isinstance(event, StreamSealed):
            yield from self._seal(state, event)
            return
        if (state.created is None) is not isinstance(event, CampaignCreated):
            raise OutOfPlaceError("a campaign is created by its first event and no other")
        if type(event) in MOVES and (state.status, type(event)) not in TRANSITIONS:
            raise OutOfPlaceError(f"the campaign is {state.status}")
        match event:
            case PhaseStarted():
                self._start(state, event)
            case BatchesAccounted():
                yield from self._account(event)
            case PhaseCompleted(phase=phase):
                yield from self._complete(phase)
            case _:
                pass

    def _seal(self, state: Campaign, event: StreamSealed) -> Iterator[Fault]:
        if state.created is not None:
            if event.fold_version == FOLD_VERSION and event.state != state:
                yield Fault(Kind.SEAL_DIFFERS, self.stream, "its seal is not the fold of what is before it")
        elif self._begins == 1:
            raise OutOfPlaceError("nothing is before it, and nothing is archived")
        else:
            for number, phase in enumerate(event.state.phases):
                if phase.run:
                    self._take_over(number, phase, event.state.spec.count)

    def _take_over(self, number: int, phase: PhaseState, positions: int) -> None:
        """Go on with a phase as it was sealed."""
        started = PhaseStarted(
            phase=PHASES[number], run=phase.run, width=phase.width, batches=phase.batches, total=phase.total
        )
        run = self.runs[number, phase.run] = RunTally(started, positions)
        run.frontier, run.ahead, run.counts = phase.frontier, set(phase.ahead), Counter(dict(phase.counts))
        self._archived[number] = phase.run

    def _start(self, state: Campaign, event: PhaseStarted) -> None:
        before = self.latest(event.phase)
        expected = before.started.run + 1 if before else 1
        if event.run != expected:
            raise OutOfPlaceError(f"run {event.run} stands where run {expected} should")
        positions = state.spec.count
        if event.width < 1 or event.batches != (-(-positions // event.width) if event.total else 0):
            raise OutOfPlaceError(f"{event.batches} batches of {event.width} do not cover {positions} positions")
        run = RunTally(event, positions)
        self.runs[run.key] = run

    def _account(self, event: BatchesAccounted) -> Iterator[Fault]:
        run = self.runs.get((PHASES.index(event.phase), event.run))
        if run is None or run is not self.latest(event.phase):
            raise OutOfPlaceError(f"run {event.run} of {event.phase} is not under way")
        if any(not 0 <= batch < run.started.batches for batch in event.batches):
            raise OutOfPlaceError(f"the run has {run.started.batches} batches")
        for batch in run.account(event):
            where = place(self.stream, *run.key, batch)
            yield Fault(Kind.BATCH_ACCOUNTED_TWICE, where, "an event accounts it that was accounted before")

    def _complete(self, phase: Phase) -> Iterator[Fault]:
        run = self.latest(phase)
        if run is None:
            raise OutOfPlaceError(f"{phase} was not under way")
        where = place(self.stream, *run.key)
        names, started = run.counts.total(), run.started
        if run.accounted < started.batches:
            text = f"it was completed with {run.accounted} of {started.batches} batches accounted"
            yield Fault(Kind.PHASE_INCOMPLETE, where, text)
        elif names != started.total and not run.twice:
            yield Fault(Kind.PHASE_INCOMPLETE, where, f"it was completed with {names} of {started.total} names")


def place(stream: str, phase: int, run: int, batch: int | None = None) -> str:
    """Return where in a campaign something is."""
    name = str(PHASES[phase]) if 0 <= phase < len(PHASES) else f"phase {phase}"
    return f"{stream} {name} run {run}" + ("" if batch is None else f" batch {batch}")
