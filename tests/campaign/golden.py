"""Golden bytes: one body of each type and version, written by the code of its day into tests/golden, never changed.

Run as a script, it adds what is missing, and touches nothing that stands there:

    PYTHONPATH=. .venv/bin/python tests/campaign/golden.py
"""

import hashlib
import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from story import ANALYSED, CREATED, DNS, FETCHED, GENERATING, HTTP, LIVES, RESOLVED, RESOLVING, USER_PAUSE

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.events import (
    CampaignArchived,
    CampaignBegun,
    CampaignCancelled,
    CampaignCompleted,
    CampaignDeleted,
    CampaignFailed,
    CampaignPaused,
    CampaignResumed,
    HolderAdded,
    HolderLifted,
    PhaseConfig,
    PhaseConfigured,
    PhaseFailed,
    PhaseRequested,
    PhaseSkipped,
    PhasesReopened,
)
from domainflow.actors.campaign.history import StreamSealed
from domainflow.actors.codec import version_of
from domainflow.actors.monitor import alerts
from domainflow.actors.monitor.core import Alerts
from domainflow.actors.monitor.messages import (
    SEVERITIES,
    AlertKind,
    AlertRaised,
    AlertResolved,
    AlertSeen,
    StreamsVerified,
)
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.pattern.core import Pattern
from domainflow.actors.pattern.messages import OffsetsReserved, SourceOpened
from domainflow.actors.rules import Rules, encode, tag_of
from domainflow.spec import DnsPersona, KeywordRule, ScoringProfile

FOLDER: Final = Path(__file__).parent.parent / "golden"
EVENTS: Final = FOLDER / "events.txt"
STATES: Final = FOLDER / "states.txt"
OPENED: Final = SourceOpened(source=CREATED.source, space=100, exclusive=True)
CAMPAIGN_EVENTS: Final[tuple[Struct, ...]] = (
    CREATED,
    *GENERATING,
    *RESOLVING,
    *RESOLVED,
    *FETCHED,
    *ANALYSED,
    USER_PAUSE,
    HolderAdded(holder="window:night", reason="späť"),
    HolderLifted(holder="window:night"),
    CampaignBegun(),
    CampaignPaused(),
    CampaignResumed(),
    CampaignCompleted(),
    CampaignFailed(reason="no route"),
    CampaignCancelled(reason=""),
    CampaignArchived(),
    CampaignDeleted(),
    PhaseConfigured(phase=DNS, config=PhaseConfig(dns=DnsPersona(weights=(1,)), keywords=(KeywordRule(text="a"),))),
    PhaseConfigured(phase=DNS, config=PhaseConfig(scoring=ScoringProfile())),
    PhaseRequested(phase=HTTP),
    PhasesReopened(phases=(DNS, HTTP)),
    PhaseSkipped(phase=HTTP),
    PhaseFailed(phase=HTTP, reason="no route"),
    StreamSealed(fold_version=2, state=LIVES["completed"]),
)
PATTERN_EVENTS: Final[tuple[Struct, ...]] = (OPENED, OffsetsReserved(campaign="c", start=0, stop=2**62))
RAISED: Final = AlertRaised(
    number=1,
    kind=AlertKind.CAMPAIGN_STILL,
    subject="campaign/c",
    severity=SEVERITIES[AlertKind.CAMPAIGN_STILL],
    runbook="campaign_still",
    evidence=(("still_s", "600"),),
    at_us=1,
)
MONITOR_EVENTS: Final[tuple[Struct, ...]] = (
    RAISED,
    AlertSeen(1, 2),
    AlertResolved(1, "alice", "erledigt", 3),
    StreamsVerified("campaign/c"),
)
RULES: Final[dict[str, Rules[Any, Any, Any]]] = {
    "campaign": campaign.RULES,
    "pattern": pattern.RULES,
    "monitor": alerts.RULES,
}
LIVED: Final[tuple[tuple[Rules[Any, Any, Any], Struct], ...]] = (
    (campaign.RULES, LIVES["completed"]),
    (pattern.RULES, Pattern(opened=OPENED, free_from=20)),
    (alerts.RULES, reduce(alerts.RULES.evolve, MONITOR_EVENTS, Alerts())),
)


class Golden(NamedTuple):
    """One line: an event's tag or a core's name, the version, the shape that it had, and its bytes."""

    name: str
    version: int
    shape: str
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.name} {self.version} {self.shape} {self.body.hex()}"


def shape(type_: type[Struct]) -> str:
    """What tells a shape from another: fields, order, types, limits, defaults, all the way down; no class names."""
    (schema,), parts = msgspec.json.schema_components([type_], ref_template="{name}")
    return hashlib.sha256(json.dumps(_bare(schema, parts)).encode()).hexdigest()[:16]


def _bare(part: Any, parts: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    match part:
        case {"$ref": name, **rest}:
            return [_bare(parts[name], parts), _bare(rest, parts)]
        case dict():
            named = {key for key in ("title", "description") if isinstance(part.get(key), str)}
            named |= {"discriminator"} if "anyOf" in part else set()  # its tags stand in each type's own fields
            return {key: _bare(value, parts) for key, value in part.items() if key not in named}
        case list():
            return [_bare(each, parts) for each in part]
        case _:
            return part


def read(file: Path) -> list[Golden]:
    words = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [Golden(name, int(version), shape_, bytes.fromhex(body)) for name, version, shape_, body in words]


def events() -> Iterator[Golden]:
    """Today's line of each type of event."""
    for event in {
        tag_of(event): event for event in reversed((*CAMPAIGN_EVENTS, *PATTERN_EVENTS, *MONITOR_EVENTS))
    }.values():
        yield Golden(tag_of(event), version_of(event), shape(type(event)), _settled(event))


def states() -> Iterator[Golden]:
    """Today's line of each core's state."""
    for rules, state in LIVED:
        yield Golden(rules.name, rules.fold_version, shape(type(state)), _settled(state))


def _settled(value: Struct) -> bytes:
    """Its bytes once it has been read back: a float that was given as an integer is a float from then on."""
    return encode(msgspec.msgpack.decode(encode(value), type=type(value)))


def add_missing(file: Path, lines: Iterator[Golden]) -> None:
    there = read(file)
    known = {(golden.name, golden.version) for golden in there}
    new = [golden for golden in lines if (golden.name, golden.version) not in known]
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{golden.line}\n" for golden in sorted((*there, *new))))


if __name__ == "__main__":
    add_missing(EVENTS, events())
    add_missing(STATES, states())
