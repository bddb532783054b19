"""One campaign: its events folded again, its head, its row and its open items compared with what follows from them.

Its results are judged in `results`.
"""

from collections.abc import Iterator
from typing import Final

from domainflow.actors.campaign.actor import RULES, campaign_of
from domainflow.actors.campaign.state import Campaign, current
from domainflow.actors.pattern.actor import source_stream
from domainflow.spec import Pattern
from domainflow.store import verify_rows
from domainflow.store.faults import Fault, Kind
from domainflow.store.verify_rows import Instant, ItemRow, StreamRow
from domainflow.verify.folding import fold
from domainflow.verify.results import check_results
from domainflow.verify.tally import RunTally, Tally, place
from domainflow.vocabulary import CampaignStatus
from domainflow.work.generation import source_hash

READY: Final = 0
CLAIMED: Final = 1
DONE: Final = 2
PARKED: Final = 3


def check_campaign(instant: Instant, row: StreamRow) -> Iterator[Fault]:
    """Yield what is wrong with a campaign whose chain is sound."""
    tally = Tally(row.stream, begins=row.begins)
    state = yield from fold(instant, row, RULES, tally.judge)
    if state is None:
        return
    if row.status != state.status.value:
        yield Fault(Kind.STATUS_DIFFERS, row.stream, f"its head says {row.status}, its events say {state.status}")
    yield from _check_row(instant, row, state)
    yield from _check_source(instant, row, state)
    yield from _check_ledger(instant, row, state, tally)
    if not state.deleted:  # of a deleted one they are taken away slice by slice
        yield from check_results(instant, row, state, tally)


def _check_row(instant: Instant, row: StreamRow, state: Campaign) -> Iterator[Fault]:
    spec = state.spec
    found = verify_rows.campaign_row(instant, campaign_of(row.stream))
    if found is None:
        if not state.deleted:
            yield Fault(Kind.CAMPAIGN_ROW_MISSING, row.stream, "no list shows it")
        return
    expected = verify_rows.CampaignRow(
        tenant=row.tenant,
        principal=spec.principal,
        name=spec.name,
        source_stream=source_stream(row.tenant, source_hash(spec.source)),
        base=spec.base,
        count=spec.count,
        business_status=state.business_status and state.business_status.value,
        deleted=state.deleted,
    )
    for name in expected.__struct_fields__:
        says, is_ = getattr(found, name), getattr(expected, name)
        if says != is_:
            yield Fault(Kind.CAMPAIGN_ROW_DIFFERS, row.stream, f"its row has {name} {says!a}, its events {is_!a}")


def _check_source(instant: Instant, row: StreamRow, state: Campaign) -> Iterator[Fault]:
    source = state.spec.source
    stream = source_stream(row.tenant, source_hash(source))
    if not verify_rows.stream_exists(instant, stream):
        yield Fault(Kind.CAMPAIGN_UNRESERVED, row.stream, f"there is no stream {stream}")
    if not isinstance(source, Pattern) and not verify_rows.source_exists(instant, row.tenant, source.sha256):
        yield Fault(Kind.SOURCE_MISSING, row.stream, f"its source {source.sha256} is not stored")


def _check_ledger(instant: Instant, row: StreamRow, state: Campaign, tally: Tally) -> Iterator[Fault]:
    run, window = _run_under_way(state, tally), state.spec.window
    seen: set[int] = set()  # at most the window
    for item in verify_rows.items(instant, campaign_of(row.stream)):
        where = place(row.stream, item.phase, item.run, item.batch)
        if run is None or (item.phase, item.run) != run.key or not run.is_open(item.batch, window):
            yield Fault(Kind.ITEM_UNEXPECTED, where, _why_unexpected(item, run))
            continue
        seen.add(item.batch)
        if (item.start, item.stop) != run.range(item.batch) or item.tenant != row.tenant:
            text = f"its item has positions {item.start} to {item.stop} of tenant {item.tenant}"
            yield Fault(Kind.ITEM_MISSHAPEN, where, text)
        else:
            yield from _check_item(item, state, where)
    for batch in run.open(window) if run else ():
        if batch not in seen:
            where = place(row.stream, *run.key, batch) if run else row.stream
            yield Fault(Kind.ITEM_MISSING, where, "it is neither accounted nor open")


def _run_under_way(state: Campaign, tally: Tally) -> RunTally | None:
    phase = current(state)
    if phase is None or state.deleted or state.status is CampaignStatus.CANCELLED:
        return None
    return tally.latest(phase)


def _why_unexpected(item: ItemRow, run: RunTally | None) -> str:
    if run is None:
        return "it has an open item, and no phase is under way"
    if (item.phase, item.run) != run.key:
        return f"it has an open item, and {place('', *run.key).strip()} is under way"
    return "it has an open item, and is accounted" if run.has(item.batch) else "it has an open item before its time"


def _check_item(item: ItemRow, state: Campaign, where: str) -> Iterator[Fault]:
    if item.held is not (item.state == CLAIMED):
        text = "its item is claimed by nobody" if item.state == CLAIMED else "its item is not claimed and has a holder"
        yield Fault(Kind.ITEM_STATE_WRONG, where, text)
    elif item.held and not item.holder_known:
        yield Fault(Kind.ITEM_HOLDER_UNKNOWN, where, "its item is claimed by a runtime that is not registered")
    elif item.state == PARKED and state.status is CampaignStatus.RUNNING:
        yield Fault(Kind.ITEM_STATE_WRONG, where, "its item is parked and the campaign is running")
    elif item.state == DONE and not item.has_result:
        yield Fault(Kind.ITEM_WITHOUT_RESULT, where, "its item is done, and there is no result")
