"""Falsifications of work: what is accounted, which items are open, and their results."""

from typing import Final

from plant import Plant, done, running
from stored import DEAD_RUNTIME, NXDOMAIN, TENANT, Hand

from domainflow.actors.campaign.events import BatchesAccounted
from domainflow.actors.rules import encode
from domainflow.verify import Kind
from domainflow.vocabulary import Phase
from domainflow.work.vectors import pack

READY: Final = " where id = (select min(id) from domainflow.work_item where campaign = %s and state = 0)"
BATCH: Final = " where campaign = %s and phase = %s and batch = 0"
A_HIT: Final = (
    " where campaign = %s and phase = %s and position ="
    " (select min(position) from domainflow.hit where campaign = %s and phase = %s)"
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


def _lost_row(number: int, phase: str) -> Plant:
    def plant(hand: Hand) -> None:
        hand.do("delete from domainflow.hit", hand.ids.done, number, hand.ids.done, number, where=A_HIT)

    return Plant(Kind.HITS_DIFFER, lambda h: f"{done(h)} {phase} run 1 batch ", plant, f"{phase} lost a row")


WORK_PLANTS: Final = (
    Plant(
        Kind.BATCH_ACCOUNTED_TWICE,
        done,
        lambda h: h.append(
            done(h),
            BatchesAccounted(phase=Phase.ANALYSIS, run=1, batches=(0,), items=(1,), counts=(("no_keywords", 1),)),
        ),
    ),
    Plant(
        Kind.COUNTERS_DIFFER,
        lambda h: f"{done(h)} domain_generation run 1",
        lambda h: h.do(
            "update domainflow.batch set counts = %s", encode({"valid": 99, "invalid": 1}), h.ids.done, 0, where=BATCH
        ),
    ),
    Plant(
        Kind.ITEM_UNEXPECTED,
        lambda h: f"{done(h)} dns_validation run 1 batch 0",
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
        lambda h: f"{done(h)} http_keyword_validation run 1 batch 0",
        lambda h: h.do("delete from domainflow.batch", h.ids.done, 2, where=BATCH),
    ),
    Plant(Kind.RESULT_STRAY, running, _result_of_an_open_batch),
    Plant(
        Kind.RESULT_MISSHAPEN,
        done,
        lambda h: h.do("update domainflow.batch set stop = stop + 1", h.ids.done, 1, where=BATCH),
        "another range",
    ),
    Plant(
        Kind.RESULT_MISSHAPEN,
        done,
        lambda h: h.do("update domainflow.batch set counts = %s", encode({"valid": 7}), h.ids.done, 0, where=BATCH),
        "too few names",
    ),
    Plant(
        Kind.RESULT_UNREADABLE,
        done,
        lambda h: h.do("update domainflow.batch set counts = '\\xc1'", h.ids.done, 3, where=BATCH),
    ),
    Plant(
        Kind.VECTOR_DIFFERS,
        done,
        lambda h: h.do("update domainflow.batch set outcomes = %s", pack([NXDOMAIN] * 10), h.ids.done, 1, where=BATCH),
        "other outcomes",
    ),
    Plant(
        Kind.VECTOR_DIFFERS,
        done,
        lambda h: h.do("update domainflow.batch set outcomes = %s", pack([NXDOMAIN] * 8), h.ids.done, 1, where=BATCH),
        "too short",
    ),
    *(_lost_row(1, "dns_validation"), _lost_row(2, "http_keyword_validation"), _lost_row(3, "analysis")),
    Plant(
        Kind.HIT_STRAY,
        lambda h: f"{done(h)} dns_validation run 1 position 5000",
        lambda h: h.do(
            "insert into domainflow.hit (campaign, phase, run, position, tenant, body) values (%s, 1, 1, 5000, %s, '')",
            *(h.ids.done, TENANT),
        ),
    ),
    Plant(
        Kind.HIT_UNREADABLE,
        lambda h: f"{done(h)} http_keyword_validation run 1 batch ",
        lambda h: h.do("update domainflow.hit set body = '\\xc1'", h.ids.done, 2, h.ids.done, 2, where=A_HIT),
    ),
)
