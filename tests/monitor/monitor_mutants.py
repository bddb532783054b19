"""The monitor with a guard taken out, for the proof that it is this guard that a test bears out."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from domainflow.actors.monitor import core, judging
from domainflow.actors.monitor.core import Alerts
from domainflow.actors.monitor.judging import Judged
from domainflow.actors.monitor.messages import AlertRaised, Observe
from domainflow.store.watched import Watched

_raised: Final = core._raised  # noqa: SLF001 - what is mutated


def raise_anew(state: Alerts, command: Observe) -> Iterator[AlertRaised]:
    """Raise whatever is found, open or not."""
    return _raised(replace(state, open=()), command)


def forget_who_has_gone(*_: object) -> tuple[str, ...]:
    """Wait for word of everybody."""
    return ()


def forget_since(watched: Watched, _: object, **how: Any) -> Judged:  # noqa: ANN401 - as `judge` takes it
    """Judge each look by itself."""
    return judging.judge(watched, {}, **how)
