"""Falsifications of a filled database: each breaks one rule, and names the fault that must be found for it."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from stored import DEAD_RUNTIME, NXDOMAIN, TENANT, Hand, fresh_uuid

from domainflow.actors.campaign.actor import stream_of
from domainflow.actors.campaign.messages import (
    BatchesAccounted,
    CampaignBegun,
    CampaignDeleted,
)
from domainflow.actors.campaign.state import Campaign
from domainflow.actors.pattern.messages import OffsetsReserved
from domainflow.actors.rules import encode
from domainflow.verify import Kind
from domainflow.vocabulary import Phase
from domainflow.work.vectors import pack


@dataclass(frozen=True)
class Plant:
    """One falsification, and what the verifier must say of it."""

    kind: Kind
    where: Callable[[Hand], str]  # how the fault's place begins
    plant: Callable[[Hand], None]
    label: str = ""


def _done(hand: Hand) -> str:
    return stream_of(hand.ids.done)


def running(hand: Hand) -> str:
    return stream_of(hand.ids.running)


def _words(hand: Hand) -> str:
    return stream_of(hand.ids.words)


def _pattern(hand: Hand) -> str:
    return hand.pattern()


def _falsify_snapshot(hand: Hand) -> None:
    row = hand.connection.execute("select state from domainflow.snapshot where stream = %s", (_done(hand),)).fetchone()
    assert row is not None
    state = msgspec.structs.replace(msgspec.msgpack.decode(row[0], type=Campaign), reason="another")
    hand.do("update domainflow.snapshot set state = %s where stream = %s", encode(state), _done(hand))


def _change_tenant(hand: Hand) -> None:
    hand.append(running(hand), CampaignDeleted(), tenant="other")


def _reserve(campaign: Callable[[Hand], str], start: Callable[[int], int], names: int) -> Callable[[Hand], None]:
    def plant(hand: Hand) -> None:
        row = hand.connection.execute(
            "select max(base + count) from domainflow.campaign where source_stream = %s", (hand.pattern(),)
        ).fetchone()
        first = start(row[0] if row else 0)
        hand.append(hand.pattern(), OffsetsReserved(campaign=campaign(hand), start=first, stop=first + names))

    return plant


def _forget_source_stream(hand: Hand) -> None:
    of_names = " using domainflow.campaign where stream = source_stream and id = %s"
    hand.do("delete from domainflow.event", hand.ids.names, where=of_names)
    hand.do("delete from domainflow.head", hand.ids.names, where=of_names)


def _forget_words(hand: Hand) -> None:
    hand.do("delete from domainflow.source_chunk", where=OF_WORDS)
    hand.do("delete from domainflow.source where kind = 'words'")


def _list_a_campaign_that_is_not(hand: Hand) -> None:
    hand.do(
        "insert into domainflow.campaign (id, tenant, principal, name, source_stream, base, count)"
        " values (%s, %s, 'alice', 'ghost', 'pattern/acme/none', 0, 1)",
        *(fresh_uuid(), TENANT),
    )


def _result_of_an_open_batch(hand: Hand) -> None:
    hand.do(
        "insert into domainflow.batch (campaign, phase, run, batch, tenant, start, stop, counts, outcomes)"
        " select campaign, phase, run, batch, tenant, start, stop, %s, %s from domainflow.work_item"
        " where campaign = %s and state = 0 order by batch limit 1",
        *(encode({"NXDOMAIN": 10}), pack([NXDOMAIN] * 10), hand.ids.running),
    )


def _item_of_an_accounted_batch(hand: Hand) -> None:
    hand.do(
        "insert into domainflow.work_item (campaign, tenant, phase, run, batch, start, stop)"
        " select campaign, tenant, phase, run, batch, start, stop from domainflow.batch"
        " where campaign = %s and phase = 1 and batch = 0",
        hand.ids.done,
    )


def _half_an_answer(hand: Hand) -> None:
    hand.do(
        "insert into domainflow.command (id, stream, tenant, body, context, deadline, answered_at)"
        " values (%s, %s, %s, '', '', now(), now())",
        *(fresh_uuid(), _done(hand), TENANT),
    )


AT: Final = " where stream = %s and version = %s"
READY: Final = " where id = (select min(id) from domainflow.work_item where campaign = %s and state = 0)"
BATCH: Final = " where campaign = %s and phase = %s and batch = 0"
OF_WORDS: Final = " where sha256 in (select sha256 from domainflow.source where kind = 'words')"
A_HIT: Final = (
    " where campaign = %s and phase = %s and position ="
    " (select min(position) from domainflow.hit where campaign = %s and phase = %s)"
)


def _lost_row(number: int, phase: str) -> Plant:
    def plant(hand: Hand) -> None:
        hand.do("delete from domainflow.hit", hand.ids.done, number, hand.ids.done, number, where=A_HIT)

    return Plant(Kind.HITS_DIFFER, lambda h: f"{_done(h)} {phase} run 1 batch ", plant, f"{phase} lost a row")


PLANTS: Final = (
    Plant(
        Kind.VERSION_GAP,
        _done,
        lambda h: h.do("delete from domainflow.event", _done(h), 5, where=AT),
        "an event is missing",
    ),
    Plant(
        Kind.CHAIN_BROKEN,
        _done,
        lambda h: h.do("update domainflow.event set body = body || '\\x00'", _done(h), 3, where=AT),
        "a body was changed",
    ),
    Plant(
        Kind.CHAIN_BROKEN,
        _done,
        lambda h: h.do(
            "update domainflow.event set recorded_at = recorded_at + interval '1 microsecond'", _done(h), 3, where=AT
        ),
        "a time was changed",
    ),
    Plant(
        Kind.CHAIN_BROKEN,
        _done,
        lambda h: h.do("update domainflow.event set recorded_at = 'infinity'", _done(h), 3, where=AT),
        "a time is no time",
    ),
    Plant(Kind.TENANT_DIFFERS, running, _change_tenant),
    Plant(
        Kind.HEAD_DIFFERS,
        _done,
        lambda h: h.do(
            "delete from domainflow.event e using domainflow.head d"
            " where e.stream = d.stream and e.version = d.version and d.stream = %s",
            _done(h),
        ),
        "the last event is missing",
    ),
    Plant(
        Kind.HEAD_DIFFERS,
        _words,
        lambda h: h.do("update domainflow.head set hash = sha256(hash) where stream = %s", _words(h)),
        "a hash was changed",
    ),
    Plant(
        Kind.HEAD_WITHOUT_EVENTS,
        lambda _: "audit/acme/ghost/0",
        lambda h: h.do(
            "insert into domainflow.head (stream, tenant, version, hash) values ('audit/acme/ghost/0', %s, 1, '')",
            TENANT,
        ),
    ),
    Plant(
        Kind.EVENTS_WITHOUT_HEAD,
        lambda _: "audit/acme/",
        lambda h: h.do("delete from domainflow.head where stream like 'audit/%%' and tenant = %s", TENANT),
    ),
    Plant(
        Kind.OWNERSHIP_WRONG,
        _done,
        lambda h: h.do("update domainflow.head set epoch = null, owner = null where stream = %s", _done(h)),
    ),
    Plant(
        Kind.SNAPSHOT_MISPLACED,
        _done,
        lambda h: h.do("update domainflow.snapshot set version = version + 1 where stream = %s", _done(h)),
    ),
    Plant(Kind.SNAPSHOT_DIFFERS, _done, _falsify_snapshot, "another state"),
    Plant(
        Kind.SNAPSHOT_DIFFERS,
        _done,
        lambda h: h.do("update domainflow.snapshot set state = '\\xc1' where stream = %s", _done(h)),
        "no state",
    ),
    Plant(
        Kind.EVENT_UNREADABLE,
        _done,
        lambda h: h.append_bytes(_done(h), "campaign.unknown", encode({"type": "campaign.unknown"})),
        "an unknown event",
    ),
    Plant(
        Kind.EVENT_UNREADABLE,
        _done,
        lambda h: h.append_bytes(_done(h), "campaign.deleted", encode(CampaignBegun())),
        "a mislabelled event",
    ),
    Plant(Kind.EVENT_OUT_OF_PLACE, _done, lambda h: h.append(_done(h), CampaignBegun())),
    Plant(Kind.COMMAND_INCONSISTENT, lambda _: "command/", _half_an_answer),
    Plant(
        Kind.STATUS_DIFFERS,
        _done,
        lambda h: h.do("update domainflow.head set status = 'failed' where stream = %s", _done(h)),
    ),
    Plant(
        Kind.CAMPAIGN_ROW_MISSING, _words, lambda h: h.do("delete from domainflow.campaign where id = %s", h.ids.words)
    ),
    Plant(
        Kind.CAMPAIGN_ROW_DIFFERS,
        _done,
        lambda h: h.do("update domainflow.campaign set principal = 'bob' where id = %s", h.ids.done),
    ),
    Plant(Kind.CAMPAIGN_ROW_WITHOUT_STREAM, lambda _: "campaign/", _list_a_campaign_that_is_not),
    Plant(
        Kind.BATCH_ACCOUNTED_TWICE,
        _done,
        lambda h: h.append(
            _done(h),
            BatchesAccounted(phase=Phase.ANALYSIS, run=1, batches=(0,), items=(1,), counts=(("no_keywords", 1),)),
        ),
    ),
    Plant(
        Kind.COUNTERS_DIFFER,
        lambda h: f"{_done(h)} domain_generation run 1",
        lambda h: h.do(
            "update domainflow.batch set counts = %s", encode({"valid": 99, "invalid": 1}), h.ids.done, 0, where=BATCH
        ),
    ),
    Plant(
        Kind.ITEM_UNEXPECTED,
        lambda h: f"{_done(h)} dns_validation run 1 batch 0",
        _item_of_an_accounted_batch,
    ),
    Plant(Kind.ITEM_MISSING, running, lambda h: h.do("delete from domainflow.work_item", h.ids.running, where=READY)),
    Plant(
        Kind.ITEM_MISSHAPEN,
        running,
        lambda h: h.do("update domainflow.work_item set start = start + 1", h.ids.running, where=READY),
    ),
    Plant(
        Kind.ITEM_STATE_WRONG,
        running,
        lambda h: h.do("update domainflow.work_item set state = 3", h.ids.running, where=READY),
        "parked",
    ),
    Plant(
        Kind.ITEM_STATE_WRONG,
        running,
        lambda h: h.do("update domainflow.work_item set state = 1", h.ids.running, where=READY),
        "held by nobody",
    ),
    Plant(
        Kind.ITEM_HOLDER_UNKNOWN,
        running,
        lambda h: h.do("delete from domainflow.runtime where id = %s", DEAD_RUNTIME),
    ),
    Plant(
        Kind.ITEM_WITHOUT_RESULT,
        running,
        lambda h: h.do("update domainflow.work_item set state = 2", h.ids.running, where=READY),
    ),
    Plant(
        Kind.RESULT_MISSING,
        lambda h: f"{_done(h)} http_keyword_validation run 1 batch 0",
        lambda h: h.do("delete from domainflow.batch", h.ids.done, 2, where=BATCH),
    ),
    Plant(Kind.RESULT_STRAY, running, _result_of_an_open_batch),
    Plant(
        Kind.RESULT_MISSHAPEN,
        _done,
        lambda h: h.do("update domainflow.batch set stop = stop + 1", h.ids.done, 1, where=BATCH),
        "another range",
    ),
    Plant(
        Kind.RESULT_MISSHAPEN,
        _done,
        lambda h: h.do("update domainflow.batch set counts = %s", encode({"valid": 7}), h.ids.done, 0, where=BATCH),
        "too few names",
    ),
    Plant(
        Kind.RESULT_UNREADABLE,
        _done,
        lambda h: h.do("update domainflow.batch set counts = '\\xc1'", h.ids.done, 3, where=BATCH),
    ),
    Plant(
        Kind.VECTOR_DIFFERS,
        _done,
        lambda h: h.do("update domainflow.batch set outcomes = %s", pack([NXDOMAIN] * 10), h.ids.done, 1, where=BATCH),
        "other outcomes",
    ),
    Plant(
        Kind.VECTOR_DIFFERS,
        _done,
        lambda h: h.do("update domainflow.batch set outcomes = %s", pack([NXDOMAIN] * 8), h.ids.done, 1, where=BATCH),
        "too short",
    ),
    *(_lost_row(1, "dns_validation"), _lost_row(2, "http_keyword_validation"), _lost_row(3, "analysis")),
    Plant(
        Kind.HIT_STRAY,
        lambda h: f"{_done(h)} dns_validation run 1 position 5000",
        lambda h: h.do(
            "insert into domainflow.hit (campaign, phase, run, position, tenant, body) values (%s, 1, 1, 5000, %s, '')",
            *(h.ids.done, TENANT),
        ),
    ),
    Plant(
        Kind.HIT_UNREADABLE,
        lambda h: f"{_done(h)} http_keyword_validation run 1 batch ",
        lambda h: h.do("update domainflow.hit set body = '\\xc1'", h.ids.done, 2, h.ids.done, 2, where=A_HIT),
    ),
    Plant(Kind.RANGES_DISCONTINUOUS, _pattern, _reserve(lambda h: h.ids.done, lambda _: 0, 200)),
    Plant(Kind.RESERVATION_UNBORN, _pattern, _reserve(lambda _: fresh_uuid(), lambda free: free, 5)),
    Plant(Kind.RESERVATION_DIFFERS, _pattern, _reserve(lambda h: h.ids.done, lambda free: free, 5)),
    Plant(Kind.CAMPAIGN_UNRESERVED, lambda h: stream_of(h.ids.names), _forget_source_stream),
    Plant(Kind.SOURCE_MISSING, _words, _forget_words),
    Plant(
        Kind.SOURCE_CORRUPT,
        lambda _: "source/acme/",
        lambda h: h.do("update domainflow.source set lines = lines + 1 where kind = 'words'"),
        "another number of lines",
    ),
    Plant(
        Kind.SOURCE_CORRUPT,
        lambda _: "source/acme/",
        lambda h: h.do("update domainflow.source_chunk set data = %s", zlib.compress(b"other"), where=OF_WORDS),
        "other bytes",
    ),
    Plant(
        Kind.SOURCE_CORRUPT,
        lambda _: "source/acme/",
        lambda h: h.do("update domainflow.source_chunk set chunk = 1", where=OF_WORDS),
        "a hole",
    ),
)
