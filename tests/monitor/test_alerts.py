"""The rules of alerts: given what is open, what is found, then what is recorded. Pure."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domainflow.actors.monitor.alerts import RULES, permission
from domainflow.actors.monitor.core import (
    GONE,
    MOST_OPEN,
    MOST_RESOLVED,
    SEEN_FIRST_US,
    SEEN_LAST_US,
    Alerts,
    Resolution,
    decide,
    evolve,
)
from domainflow.actors.monitor.messages import (
    BY_SUBJECT,
    SEVERITIES,
    AlertKind,
    AlertRaised,
    AlertResolved,
    AlertSeen,
    Cause,
    Finding,
    MonitorCommand,
    MonitorEvent,
    Observe,
    RecordVerified,
    ResolveAlert,
    Severity,
    StreamsVerified,
)
from domainflow.actors.rules import encode
from domainflow.errors import NotFound
from domainflow.store.port import Recorded

STILL, FAULT = AlertKind.CAMPAIGN_STILL, AlertKind.STORE_CONTRADICTS
NOW_US: Final = 1_700_000_000_000_000
STALLS: Final = tuple(kind for kind in AlertKind if kind not in BY_SUBJECT)
A, B = Finding(STILL, "campaign/a", (("still_s", "61"),)), Finding(STILL, "campaign/b", ())
BROKEN: Final = Finding(FAULT, "campaign/a", ())


def observe(
    *findings: Finding,
    at_s: float = 0.0,
    covered: tuple[AlertKind, ...] = STALLS,
    undecided: tuple[Cause, ...] = (),
    checked: tuple[str, ...] = (),
) -> Observe:
    return Observe(
        findings=findings, covered=covered, undecided=undecided, checked=checked, now_us=NOW_US + int(at_s * 1e6)
    )


def raised(number: int, finding: Finding, at_s: float = 0.0) -> AlertRaised:
    return AlertRaised(
        number=number,
        kind=finding.kind,
        subject=finding.subject,
        severity=Severity.CRITICAL,
        runbook=finding.kind.value,
        evidence=finding.evidence,
        at_us=NOW_US + int(at_s * 1e6),
    )


def gone(number: int, at_s: float = 0.0) -> AlertResolved:
    return AlertResolved(number, "monitor", GONE, NOW_US + int(at_s * 1e6))


def seen(number: int, at_s: float) -> AlertSeen:
    return AlertSeen(number, NOW_US + int(at_s * 1e6))


def after(*events: MonitorEvent) -> Alerts:
    state = Alerts()
    for event in events:
        state = evolve(state, event)
    return state


def resolve(number: int) -> ResolveAlert:
    return ResolveAlert(number=number, by="alice", how="mended", now_us=NOW_US)


OPEN, BOTH = after(raised(1, A)), after(raised(1, A), raised(2, B))
FAULTY: Final = after(raised(1, BROKEN))

# given, what is heard, then
TABLE: Final[dict[str, tuple[Alerts, MonitorCommand, tuple[MonitorEvent, ...]]]] = {
    "nothing is the matter": (Alerts(), observe(), ()),
    "something is": (Alerts(), observe(A), (raised(1, A),)),
    "two things are": (Alerts(), observe(A, B), (raised(1, A), raised(2, B))),
    "one thing is, said twice": (Alerts(), observe(A, A), (raised(1, A),)),
    "of one subject two things are": (Alerts(), observe(A, BROKEN), (raised(1, A), raised(2, BROKEN))),
    "it is still": (OPEN, observe(A, at_s=59.0), ()),
    "it is still, after a minute": (OPEN, observe(A, at_s=60.0), (seen(1, 60.0),)),
    "it is still, soon after it was seen": (after(raised(1, A), seen(1, 60.0)), observe(A, at_s=119.0), ()),
    "it is still, another minute later": (
        after(raised(1, A), seen(1, 60.0)), observe(A, at_s=120.0), (seen(1, 120.0),)),
    "each time after twice as long": (after(raised(1, A), seen(1, 120.0)), observe(A, at_s=239.0), ()),
    "each hour at last": (
        after(raised(1, A), seen(1, 90_000.0)), observe(A, at_s=93_600.0), (seen(1, 93_600.0),)),
    "it is gone": (OPEN, observe(at_s=5.0), (gone(1, 5.0),)),
    "it is gone, and another one comes": (OPEN, observe(B), (gone(1), raised(2, B))),
    "one of two is gone": (BOTH, observe(B), (gone(1),)),
    "it comes back": (after(raised(1, A), gone(1)), observe(A), (raised(2, A),)),
    "nobody looked for it": (OPEN, observe(covered=()), ()),
    "it is not known yet whether it is gone": (OPEN, observe(undecided=(A.cause,)), ()),
    "of another one it is not known yet": (OPEN, observe(undecided=(B.cause,)), (gone(1),)),
    "a fault is not verified again by looking for stalls": (FAULTY, observe(), ()),
    "a fault is not verified again by verifying others": (FAULTY, observe(checked=("campaign/b",)), ()),
    "a fault is gone": (FAULTY, observe(checked=("campaign/a",)), (gone(1),)),
    "a fault is still there": (FAULTY, observe(BROKEN, checked=("campaign/a",)), ()),
    "what stalls is not resolved by verifying it": (OPEN, observe(covered=(), checked=("campaign/a",)), ()),
    "somebody resolves it": (OPEN, resolve(1), (AlertResolved(1, "alice", "mended", NOW_US),)),
    "somebody resolves one of two": (BOTH, resolve(2), (AlertResolved(2, "alice", "mended", NOW_US),)),
    "somebody resolved it, and it is there": (after(raised(1, A), gone(1)), observe(A), (raised(2, A),)),
    "so much is verified": (Alerts(), RecordVerified("campaign/a"), (StreamsVerified("campaign/a"),)),
    "that much was verified before": (after(StreamsVerified("campaign/a")), RecordVerified("campaign/a"), ()),
    "a round is over": (after(StreamsVerified("campaign/a")), RecordVerified(""), (StreamsVerified(""),)),
}  # fmt: skip


@pytest.mark.parametrize(("given", "heard", "then"), TABLE.values(), ids=TABLE.keys())
def test_what_is_recorded(given: Alerts, heard: MonitorCommand, then: tuple[MonitorEvent, ...]) -> None:
    assert decide(given, heard) == then


@pytest.mark.parametrize("number", [0, 2, 99])
def test_what_is_not_open_cannot_be_resolved(number: int) -> None:
    with pytest.raises(NotFound, match=f"there is no open alert {number}"):
        decide(OPEN, resolve(number))


def test_how_it_ended_is_remembered_of_the_last_ones() -> None:
    state = Alerts()
    for number in range(1, MOST_RESOLVED + 3):
        for event in (raised(number, A), AlertResolved(number, "alice", "mended", NOW_US)):
            state = evolve(state, event)
    assert [alert.number for alert in state.resolved] == list(range(3, MOST_RESOLVED + 3))
    assert {alert.resolved for alert in state.resolved} == {Resolution("alice", "mended", NOW_US)}
    assert state.open == ()


def test_no_more_than_so_many_are_open_and_the_others_follow() -> None:
    many = [Finding(STILL, f"campaign/{n:04}", ()) for n in range(MOST_OPEN + 10)]
    state = after(*decide(Alerts(), observe(*many)))
    assert len(state.open) == MOST_OPEN
    state = evolve(state, AlertResolved(1, "alice", "mended", NOW_US))
    (following,) = decide(state, observe(*many[1:]))
    assert isinstance(following, AlertRaised)
    assert (following.number, following.subject) == (MOST_OPEN + 1, f"campaign/{MOST_OPEN:04}")


def test_every_kind_has_its_severity() -> None:
    assert set(SEVERITIES) == set(AlertKind)


def test_only_a_resolution_is_a_person_s() -> None:
    commands = (observe(), RecordVerified(""), resolve(1))
    assert [permission(command) for command in commands] == ["system:admin", "system:admin", "alerts:resolve"]


# --- laws

findings = st.lists(
    st.builds(Finding, st.sampled_from(AlertKind), st.sampled_from(["campaign/a", "campaign/b", "s"]), st.just(())),
    max_size=6,
).map(tuple)
observations = st.builds(
    Observe,
    findings=findings,
    covered=st.sets(st.sampled_from(AlertKind)).map(tuple),
    undecided=st.lists(st.tuples(st.sampled_from(AlertKind), st.just("campaign/a")), max_size=2).map(tuple),
    checked=st.sets(st.sampled_from(["campaign/a", "s"])).map(tuple),
    now_us=st.integers(0, 10 * SEEN_LAST_US),
)


@given(st.lists(observations, max_size=8))
def test_of_a_cause_one_alert_is_open_and_numbers_follow_one_another(history: list[Observe]) -> None:
    state, raisings = Alerts(), []
    for heard in sorted(history, key=lambda each: each.now_us):
        for event in decide(state, heard):
            state = evolve(state, event)
            if isinstance(event, AlertRaised):
                raisings.append(event.number)
        assert len({alert.cause for alert in state.open}) == len(state.open)
        assert {finding.cause for finding in heard.findings} <= {alert.cause for alert in state.open}
        assert decide(state, heard) == ()  # what is heard twice does nothing the second time
    assert raisings == list(range(1, state.raised + 1))


@given(st.integers(1, 100), st.integers(1, 5_000))
def test_however_long_it_lasts_few_sightings_are_recorded(hours: int, each_s: int) -> None:
    state = OPEN
    for at_s in range(each_s, hours * 3600, each_s * max(1, hours * 3600 // each_s // 500)):
        for event in decide(state, observe(A, at_s=at_s)):
            state = evolve(state, event)
    assert state.open[0].seen <= 8 + hours
    assert SEEN_FIRST_US < SEEN_LAST_US


def test_every_command_and_event_survives_its_stored_form() -> None:
    for event in (raised(1, A), seen(1, 60.0), gone(1), StreamsVerified("x")):
        recorded = Recorded(
            stream="monitor/acme", version=1, tenant="acme", recorded_at_us=0, type="", type_version=1, context=b"",
            body=encode(event), hash=b"",
        )  # fmt: skip
        assert RULES.decode_event(recorded) == event
