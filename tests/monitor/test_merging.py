"""What the monitor's words say to commute does, whatever the state; and what does not is not said to."""

from itertools import product
from typing import Final

from domainflow.actors.monitor.alerts import commute
from domainflow.actors.monitor.core import Alerts, evolve
from domainflow.actors.monitor.messages import (
    SEVERITIES,
    AlertKind,
    AlertRaised,
    AlertResolved,
    AlertSeen,
    MonitorEvent,
    StreamsVerified,
)


def raised(number: int) -> AlertRaised:
    kind = AlertKind.CAMPAIGN_STILL
    return AlertRaised(
        number=number,
        kind=kind,
        subject=f"campaign/{number}",
        severity=SEVERITIES[kind],
        runbook=kind.value,
        evidence=(),
        at_us=number,
    )


EVENTS: Final[tuple[MonitorEvent, ...]] = (
    raised(3),
    raised(4),
    AlertSeen(1, 10),
    AlertSeen(2, 20),
    AlertResolved(1, "alice", "done", 30),
    AlertResolved(2, "bob", "done", 40),
    StreamsVerified("a"),
    StreamsVerified("b"),
)


def test_what_is_said_to_commute_does() -> None:
    state = evolve(evolve(Alerts(), raised(1)), raised(2))
    said = [(one, another) for one, another in product(EVENTS, EVENTS) if commute(one, another)]
    assert len(said) == 2 * 2 * 6
    assert all(evolve(evolve(state, one), another) == evolve(evolve(state, another), one) for one, another in said)


def test_two_of_a_kind_are_not_said_to_commute() -> None:
    assert not any(commute(event, event) for event in EVENTS)
