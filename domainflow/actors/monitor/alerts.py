"""What the shell needs to know of a tenant's monitor stream. It is shared: any runtime may write it, by turns."""

from typing import Final

from msgspec.structs import replace

from domainflow.actors.codec import Codec, Upcasts
from domainflow.actors.monitor.core import FOLD_VERSION, Alerts, decide, evolve
from domainflow.actors.monitor.messages import (
    MonitorCommand,
    MonitorEvent,
    RecordVerified,
    ResolveAlert,
    StreamsVerified,
)
from domainflow.actors.rules import Rules, Strategy

PREFIX: Final = "monitor/"
UPCASTS: Final[Upcasts] = {("monitor.alert_raised", 1): lambda body: body}  # what it could say it still can


def stream_of(tenant: str) -> str:
    """Return the stream of a tenant's alerts."""
    return f"{PREFIX}{tenant}"


def permission(command: MonitorCommand) -> str:
    """What its sender must be allowed; what is found is the runtime's to say."""
    return "alerts:resolve" if isinstance(command, ResolveAlert) else "system:admin"


def asked(command: MonitorCommand) -> MonitorCommand:
    """Return a command without the time at which it was sent: who asks again with its key asks the same."""
    return command if isinstance(command, RecordVerified) else replace(command, now_us=0)


def commute(one: MonitorEvent, another: MonitorEvent) -> bool:
    """Whether it is the same in any order: how far streams were verified and what became of alerts are two things."""
    return isinstance(one, StreamsVerified) is not isinstance(another, StreamsVerified)


RULES: Final = Rules[Alerts, MonitorCommand, MonitorEvent](
    name="monitor",
    owned=False,
    fold_version=FOLD_VERSION,
    initial=Alerts(),
    events=Codec(MonitorEvent, UPCASTS),  # type: ignore[arg-type]  # a union is no class to mypy
    commands=MonitorCommand,  # type: ignore[arg-type]  # likewise
    decide=decide,
    evolve=evolve,
    react=lambda *_: (),
    resume=lambda _: (),
    permission=permission,
    passive=lambda _: True,
    asked=asked,
    strategies={RecordVerified: Strategy.MERGE},
    commute=commute,
)
