"""What is a cause for an alert: given what was watched and since when, then what is the matter. Pure."""

from typing import Final

import pytest

from domainflow.actors.monitor.judging import Judged, Limits, Since, judge, of_faults
from domainflow.actors.monitor.messages import BY_SUBJECT, AlertKind, Cause, Finding
from domainflow.store.faults import Fault, Kind
from domainflow.store.observed import Quarantined
from domainflow.store.watched import MOST, Behind, Overdue, Silent, Still, Waiting, Watched, Writer

LIMITS: Final = Limits(stall_s=60.0, held_s=600.0, lag_s=30.0)
ALL: Final = tuple(kind for kind in AlertKind if kind not in BY_SUBJECT)


def judged(watched: Watched, since: Since | None = None, now_s: float = 1_000.0) -> Judged:
    return judge(watched, since or {}, now_s=now_s, limits=LIMITS)


def ready(item: int = 1, fence: int = 0, *, passed_by: bool = True, stream: str = "campaign/a") -> Waiting:
    return Waiting(item, fence, stream, "acme", None, passed_by)


def held(item: int = 1, fence: int = 1, stream: str = "campaign/a", runtime: str = "r1") -> Waiting:
    return Waiting(item, fence, stream, "acme", runtime, False)  # noqa: FBT003 - nobody passes by what is in hand


def still(last: str) -> Watched:
    return Watched(still=(Still("campaign/a", "acme", 7, "running", last, 61.4, 2),))


def causes(found: Judged) -> list[Cause]:
    return [finding.cause for findings in found.findings.values() for finding in findings]


NOT_TAKEN, HELD = (AlertKind.WORK_NOT_TAKEN, "campaign/a"), (AlertKind.WORK_HELD, "campaign/a")

# since when, what, then what is the matter, and what is not known yet
WORK: Final[dict[str, tuple[dict[tuple[int, int], float], tuple[Waiting, ...], list[Cause], tuple[Cause, ...]]]] = {
    "seen for the first time": ({}, (ready(),), [], (NOT_TAKEN,)),
    "ready for a while": ({(1, 0): 941.0}, (ready(),), [], (NOT_TAKEN,)),
    "ready for too long": ({(1, 0): 940.0}, (ready(),), [NOT_TAKEN], ()),
    "taken and put back meanwhile": ({(1, 0): 0.0}, (ready(fence=2),), [], (NOT_TAKEN,)),
    "ready for too long, and others are before it": ({(1, 0): 0.0}, (ready(passed_by=False),), [], ()),
    "two of a campaign": ({(1, 0): 0.0, (2, 0): 0.0}, (ready(), ready(2)), [NOT_TAKEN], ()),
    "one too long, one not": ({(1, 0): 0.0}, (ready(), ready(2)), [NOT_TAKEN], (NOT_TAKEN,)),
    "of two campaigns": (
        {(1, 0): 0.0, (2, 0): 0.0}, (ready(), ready(2, stream="campaign/b")),
        [NOT_TAKEN, (AlertKind.WORK_NOT_TAKEN, "campaign/b")], ()),
    "in hand for a while": ({(1, 1): 401.0}, (held(),), [], (HELD,)),
    "in hand for too long": ({(1, 1): 400.0}, (held(),), [HELD], ()),
    "in hand again": ({(1, 1): 0.0}, (held(fence=3),), [], (HELD,)),
    "in two hands for too long": ({(1, 1): 0.0, (2, 1): 0.0}, (held(), held(2, runtime="r2")), [HELD], ()),
}  # fmt: skip


@pytest.mark.parametrize(("since", "waiting", "matter", "unknown"), WORK.values(), ids=WORK.keys())
def test_work_is_judged_by_how_long_it_was_seen_as_it_is(
    since: dict[tuple[int, int], float], waiting: tuple[Waiting, ...], matter: list[Cause], unknown: tuple[Cause, ...]
) -> None:
    found = judged(Watched(waiting=waiting), since)
    assert (causes(found), found.undecided) == (matter, unknown)


def test_only_what_is_still_there_is_remembered_and_from_the_first_time_on() -> None:
    found = judged(Watched(waiting=(ready(), held(2))), {(1, 0): 5.0, (7, 7): 5.0})
    assert found.since == {(1, 0): 5.0, (2, 1): 1_000.0}


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ("campaign.phase_completed", AlertKind.PHASE_NOT_STARTED),
        ("campaign.batches_accounted", AlertKind.CAMPAIGN_STILL),
    ],
)
def test_a_campaign_that_does_not_move_is_named_with_what_says_so(last: str, kind: AlertKind) -> None:
    evidence = (
        ("status", "running"), ("version", "7"), ("last_event", last), ("still_s", "61"), ("batches_not_accounted", "2")
    )  # fmt: skip
    assert judged(still(last)).findings == {"acme": (Finding(kind, "campaign/a", evidence),)}


def test_commands_that_nobody_answers_and_actors_that_cannot_live_are_named() -> None:
    alone = Quarantined("campaign/b", "other", 3, 1, "Corrupt: ?", "", "")
    watched = Watched(overdue=(Overdue("campaign/a", "acme", "r1", 3, 12.2),), alone=(alone,))
    overdue = Finding(AlertKind.COMMAND_OVERDUE, "campaign/a", (("commands", "3"), ("late_s", "12"), ("owner", "r1")))
    assert judged(watched).findings == {
        "acme": (overdue,),
        "other": (Finding(AlertKind.ACTOR_CANNOT_LIVE, "campaign/b", (("why", "Corrupt: ?"),)),),
    }


def test_work_in_hand_is_named_with_who_has_it_and_work_that_is_not_with_how_many_could() -> None:
    watched = Watched(waiting=(ready(), held(2, stream="campaign/b")), alive=("r1", "r2", "r3"))
    by_kind = {each.kind: dict(each.evidence) for each in judged(watched, {(1, 0): 0.0, (2, 1): 0.0}).findings["acme"]}
    assert by_kind == {
        AlertKind.WORK_NOT_TAKEN: {"items": "1", "first_item": "1", "runtimes_alive": "3"},
        AlertKind.WORK_HELD: {"items": "1", "first_item": "2", "runtime": "r1"},
    }


def test_where_more_is_the_matter_than_a_look_holds_nothing_of_that_kind_is_gone() -> None:
    assert judged(Watched()).covered == ALL
    full = Watched(waiting=tuple(ready(n) for n in range(MOST)))
    assert set(ALL) - set(judged(full).covered) == {AlertKind.WORK_NOT_TAKEN}
    many = Watched(still=tuple(Still(f"campaign/{n}", "acme", 1, "running", "x", 61.0, 0) for n in range(MOST)))
    assert set(ALL) - set(judged(many).covered) == {AlertKind.CAMPAIGN_STILL, AlertKind.PHASE_NOT_STARTED}


def test_of_an_actor_that_is_tried_again_after_its_quarantine_nothing_is_known_yet() -> None:
    found = judged(Watched(on_trial=("campaign/a",)))
    assert (causes(found), found.undecided) == ([], ((AlertKind.ACTOR_CANNOT_LIVE, "campaign/a"),))


def writer(xid: int = 77) -> Writer:
    return Writer(xid, 4711, "books", "bob", "psql", "idle in transaction")


def test_a_transaction_holds_the_feed_back_once_it_was_seen_for_a_while_and_is_named_with_its_session() -> None:
    cause, another = (AlertKind.FEED_HELD_BACK, "transaction/77"), (AlertKind.FEED_HELD_BACK, "transaction/78")
    young = judged(Watched(writers=(writer(),)))
    assert (causes(young), young.undecided, young.since) == ([], (cause,), {77: 1_000.0})
    old = judged(Watched(writers=(writer(), writer(78))), {77: 969.0, 78: 971.0})
    assert (causes(old), old.undecided) == ([cause], (another,))
    assert dict(old.findings["system"][0].evidence) == {
        "pid": "4711",
        "database": "books",
        "user": "bob",
        "application": "psql",
        "state": "idle in transaction",
        "seen_for_s": "31",
    }


def test_a_projection_that_is_behind_is_its_tenant_s_and_a_runtime_that_is_silent_nobody_s() -> None:
    watched = Watched(
        behind=(Behind("acme", "totals", 3, 2, 61.4),), silent=(Silent("r2", "box", 4711, 7.6),), alive=("r1",)
    )
    assert judged(watched).findings == {
        "acme": (
            Finding(
                AlertKind.PROJECTION_BEHIND,
                "projection/totals",
                (("version", "3"), ("generation", "2"), ("behind_s", "61")),
            ),
        ),
        "system": (
            Finding(AlertKind.RUNTIME_SILENT, "runtime/r2", (("host", "box"), ("pid", "4711"), ("late_s", "8"))),
        ),
    }


def test_faults_are_one_finding_a_stream() -> None:
    faults = [
        Fault(Kind.CHAIN_BROKEN, "campaign/a", "one"),
        Fault(Kind.EVENT_UNREADABLE, "campaign/a version 3", "two"),
        Fault(Kind.HEAD_DIFFERS, "campaign/b", "three"),
    ]
    assert of_faults(faults) == (
        Finding(
            AlertKind.STORE_CONTRADICTS, "campaign/a", (("faults", "2"), ("first", "chain_broken campaign/a: one"))
        ),
        Finding(
            AlertKind.STORE_CONTRADICTS, "campaign/b", (("faults", "1"), ("first", "head_differs campaign/b: three"))
        ),
    )
