"""What can be wrong with stored data: the kinds of faults, and one fault.

Words only. Who looks for them stands in `domainflow.verify` and `verify_sql`.
"""

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """One thing that must not be so. The values are permanent: people grep for them."""

    # any stream
    VERSION_GAP = "version_gap"  # versions are not 1, 2, 3 …
    CHAIN_BROKEN = "chain_broken"  # a hash is not that of what it covers
    TENANT_DIFFERS = "tenant_differs"  # a stream changes its tenant
    HEAD_DIFFERS = "head_differs"  # a head is not its stream's last event
    HEAD_WITHOUT_EVENTS = "head_without_events"
    EVENTS_WITHOUT_HEAD = "events_without_head"
    OWNERSHIP_WRONG = "ownership_wrong"  # an owned stream without an epoch, or a shared one with an epoch or an owner
    SNAPSHOT_MISPLACED = "snapshot_misplaced"  # without a head, above it, or of another tenant
    SNAPSHOT_DIFFERS = "snapshot_differs"  # not the fold of its prefix
    EVENT_UNREADABLE = "event_unreadable"
    EVENT_OUT_OF_PLACE = "event_out_of_place"  # the state before does not allow it
    SEAL_DIFFERS = "seal_differs"  # not the fold of what was before it, here or in its archive
    ARCHIVE_MISSING = "archive_missing"  # its file is not in the folder
    ARCHIVE_DIFFERS = "archive_differs"  # its file is another one, or not what the seal follows
    COMMAND_INCONSISTENT = "command_inconsistent"  # half answered, or of another tenant than its stream

    # campaigns
    STATUS_DIFFERS = "status_differs"  # the head's is not that of the fold
    CAMPAIGN_ROW_MISSING = "campaign_row_missing"
    CAMPAIGN_ROW_DIFFERS = "campaign_row_differs"
    CAMPAIGN_ROW_WITHOUT_STREAM = "campaign_row_without_stream"
    BATCH_ACCOUNTED_TWICE = "batch_accounted_twice"
    COUNTERS_DIFFER = "counters_differ"  # a phase's counters are not the sum of its accounted results
    PHASE_INCOMPLETE = "phase_incomplete"  # completed, with batches or names that are not accounted

    # ledger
    ITEM_UNEXPECTED = "item_unexpected"  # no open batch of its campaign
    ITEM_MISSING = "item_missing"  # a batch is neither accounted nor open
    ITEM_MISSHAPEN = "item_misshapen"  # wrong range or tenant
    ITEM_STATE_WRONG = "item_state_wrong"
    ITEM_HOLDER_UNKNOWN = "item_holder_unknown"  # claimed by a runtime that is not registered
    ITEM_WITHOUT_RESULT = "item_without_result"  # done, and there is none

    # results
    RESULT_MISSING = "result_missing"  # a batch is accounted, and has none
    RESULT_STRAY = "result_stray"  # a batch is neither accounted nor done, and has one
    RESULT_MISSHAPEN = "result_misshapen"  # wrong range, tenant or number of names
    RESULT_UNREADABLE = "result_unreadable"
    VECTOR_DIFFERS = "vector_differs"  # outcomes are not what the counts say
    HITS_DIFFER = "hits_differ"  # rows that were kept are not what counts or outcomes say
    HIT_STRAY = "hit_stray"  # outside of every batch
    HIT_UNREADABLE = "hit_unreadable"

    # sources
    RANGES_DISCONTINUOUS = "ranges_discontinuous"  # reserved ranges overlap, leave a hole or leave the space
    RESERVATION_UNBORN = "reservation_unborn"  # its campaign does not exist
    RESERVATION_DIFFERS = "reservation_differs"  # its campaign has another range or source
    CAMPAIGN_UNRESERVED = "campaign_unreserved"  # its range was never reserved
    SOURCE_MISSING = "source_missing"  # a campaign's word list or file of names is not stored
    SOURCE_CORRUPT = "source_corrupt"  # its bytes are not those of its hash


class Fault(Struct, frozen=True):
    """One thing that is off."""

    kind: Kind
    where: str  # stream, and what in it
    text: str  # one sentence for people; one line

    @property
    def line(self) -> str:
        """All of it in one line, whatever the stored text holds."""
        return " ".join(f"{self.kind} {self.where}: {self.text}".split())


class Slice(Struct, frozen=True):
    """What a look at the next few streams came to."""

    after: str  # the last of them; "": there are no more
    events: int
    faults: tuple[Fault, ...]
