"""The results of one campaign: every accounted batch has one, no other has, and what it says adds up.

Batches and the rows that were kept are read once, side by side, in the order of their positions.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec

from domainflow.actors.campaign.actor import campaign_of
from domainflow.actors.campaign.state import Campaign
from domainflow.store import verify_rows
from domainflow.store.faults import Fault, Kind
from domainflow.store.verify_rows import HitRow, Instant, ResultRow, StreamRow
from domainflow.verify import outcomes
from domainflow.verify.folding import UNREADABLE
from domainflow.verify.tally import RunTally, Tally, place

END = (1 << 31, 0, 0)  # after every (phase, run, position)


def check_results(instant: Instant, row: StreamRow, state: Campaign, tally: Tally) -> Iterator[Fault]:
    """Yield what is wrong with a campaign's results, given what its events say."""
    hits = _Hits(verify_rows.hits(instant, campaign_of(row.stream)))
    checks = [_RunCheck(row, run, state, hits) for _, run in sorted(tally.runs.items())]
    waiting = iter(checks)
    check = next(waiting, None)
    for result in verify_rows.results(instant, campaign_of(row.stream)):
        while check is not None and check.run.key < (result.phase, result.run):
            yield from check.finish()
            check = next(waiting, None)
        if check is not None and check.run.key == (result.phase, result.run):
            yield from check.take(result)
        else:
            if not tally.is_archived(result.phase, result.run):
                where = place(row.stream, result.phase, result.run, result.batch)
                yield Fault(Kind.RESULT_STRAY, where, "there is a result of a run that was never started")
            hits.skip((result.phase, result.run, result.stop))
    while check is not None:
        yield from check.finish()
        check = next(waiting, None)
    yield from _strays(row.stream, hits.before(END))


class _Hits:
    """Rows in order, each handed out once."""

    def __init__(self, rows: Iterator[HitRow]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def before(self, key: tuple[int, int, int]) -> Iterator[HitRow]:
        """Hand out the rows below (phase, run, position)."""
        while (row := self._next) is not None and (row.phase, row.run, row.position) < key:
            self._next = next(self._rows, None)
            yield row

    def skip(self, key: tuple[int, int, int]) -> None:
        """Pass over the rows below (phase, run, position)."""
        for _ in self.before(key):
            pass


class _RunCheck:
    """One run of a phase: its results in order, and their sum."""

    def __init__(self, row: StreamRow, run: RunTally, state: Campaign, hits: _Hits) -> None:
        self.run = run
        self._stream, self._tenant = row.stream, row.tenant
        self._hits = hits
        self._next = 0  # batch
        self._sum: Counter[str] = Counter()  # of the accounted
        self._sound = not run.twice  # whether the sum means anything
        phase = state.phases[run.key[0]]
        self._counters = Counter(dict(phase.counts)) if phase.run == run.key[1] else run.counts

    def take(self, result: ResultRow) -> Iterator[Fault]:
        """Judge the next result by batch."""
        yield from self._missing_before(result.batch)
        self._next = result.batch + 1
        where = place(self._stream, *self.run.key, result.batch)
        accounted = self.run.has(result.batch)
        start, stop = self.run.range(result.batch)
        yield from _strays(self._stream, self._hits.before((*self.run.key, start)))
        own = self._hits.before((*self.run.key, stop))
        if not accounted and not result.done:
            yield Fault(Kind.RESULT_STRAY, where, "there is a result, and the batch is neither accounted nor done")
        elif (result.start, result.stop) != (start, stop) or result.tenant != self._tenant:
            self._sound = False
            text = f"its result is of positions {result.start} to {result.stop} and tenant {result.tenant}"
            yield Fault(Kind.RESULT_MISSHAPEN, where, text)
        else:
            yield from self._judge(result, own, where, accounted=accounted)
        for _ in own:
            pass  # what was not looked at belongs to this batch all the same

    def finish(self) -> Iterator[Fault]:
        """Judge what is left when all results of the run have been taken."""
        yield from self._missing_before(self.run.started.batches)
        yield from _strays(self._stream, self._hits.before((*self.run.key, 1 << 63)))
        if self._sound and self._sum != self._counters:
            text = f"its counters are {_said(self._counters)}, its results sum to {_said(self._sum)}"
            yield Fault(Kind.COUNTERS_DIFFER, place(self._stream, *self.run.key), text)

    def _judge(self, result: ResultRow, own: Iterator[HitRow], where: str, *, accounted: bool) -> Iterator[Fault]:
        try:
            counts = Counter(msgspec.msgpack.decode(result.counts, type=dict[str, int]))
        except UNREADABLE as error:
            self._sound = False
            yield Fault(Kind.RESULT_UNREADABLE, where, f"its counts cannot be read: {error}")
            return
        if accounted:
            self._sum.update(counts)
        fault = outcomes.contradiction(result, counts, own, self._tenant)
        if fault is not None:
            self._sound = False
            yield Fault(fault[0], where, fault[1])

    def _missing_before(self, end: int) -> Iterator[Fault]:
        for first, after in self.run.accounted_between(self._next, end):
            self._sound = False
            yield from _strays(self._stream, self._hits.before((*self.run.key, self.run.range(first)[0])))
            self._hits.skip((*self.run.key, self.run.range(after - 1)[1]))
            which = f"batch {first}" if after == first + 1 else f"batches {first} to {after - 1}"
            where = f"{place(self._stream, *self.run.key)} {which}"
            yield Fault(Kind.RESULT_MISSING, where, "accounted, and there is no result")


def _strays(stream: str, hits: Iterator[HitRow]) -> Iterator[Fault]:
    for hit in hits:
        where = f"{place(stream, hit.phase, hit.run)} position {hit.position}"
        yield Fault(Kind.HIT_STRAY, where, "a row was kept outside of every batch")


def _said(counts: Counter[str]) -> str:
    return ", ".join(f"{outcome} {number}" for outcome, number in sorted(counts.items()) if number) or "none"
