"""How a campaign's numbers read: one phase in a line, all of them in a table. Pure; nothing here prints or asks."""

from collections.abc import Mapping
from typing import Final

from domainflow.actors.campaign.events import PhaseCompleted, PhaseStarted
from domainflow.views import Change, PhaseView, View
from domainflow.vocabulary import PHASES, CampaignStatus, Phase, PhaseStatus, Rejection

TITLES: Final = {
    Phase.DOMAIN_GENERATION: "generation",
    Phase.DNS_VALIDATION: "DNS",
    Phase.HTTP_KEYWORD_VALIDATION: "HTTP",
    Phase.ANALYSIS: "analysis",
}
COLUMNS: Final = ("phase", "status", "#names", "#seconds", "outcomes")
ENDED: Final = frozenset({CampaignStatus.COMPLETED, CampaignStatus.FAILED, CampaignStatus.CANCELLED})

MINUTE_S: Final = 60
HOUR_S: Final = 3600


def outcomes(phase: PhaseView, most: int = 20) -> str:
    """Outcomes with their numbers, the most frequent first: `NXDOMAIN 14 520, resolved 3 600`."""
    ranked = sorted(phase.counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{word} {number(count)}" for word, count in ranked[:most])


def number(value: int) -> str:
    """An integer in groups of three."""
    return f"{value:,}".replace(",", "\u202f")


def span(seconds: float) -> str:
    """A duration as `42 s`, `3:07 min` or `2:05 h`."""
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S}:{whole % MINUTE_S:02} min"
    return f"{whole // HOUR_S}:{whole % HOUR_S // MINUTE_S:02} h"


def pace(phase: PhaseView) -> str:
    """Rate and time to go of a phase in progress, as far as they are known: `1 200/s, 14 s to go`."""
    words: list[str] = []
    if phase.status is not PhaseStatus.IN_PROGRESS:
        return ""
    if phase.rate_per_s is not None:
        words.append(f"{number(round(phase.rate_per_s))}/s")
    if phase.eta_s is not None:
        words.append(f"{span(phase.eta_s)} to go")
    return ", ".join(words)


def rows(view: View, seconds: Mapping[Phase, float]) -> list[tuple[str, ...]]:
    """One row of COLUMNS a phase; `seconds` for those whose duration is known."""
    return [
        (
            TITLES[phase.phase],
            phase.status,
            f"{number(phase.done)} of {number(phase.total)}" if phase.total else "",
            f"{seconds[phase.phase]:.1f}" if phase.phase in seconds else "",
            outcomes(phase),
        )
        for phase in view.phases
    ]


def leads(view: View) -> int:
    """How many names qualified."""
    return view.phases[PHASES.index(Phase.ANALYSIS)].counts.get(Rejection.QUALIFIED, 0)


def heading(view: View) -> str:
    """The campaign in one line."""
    held = f", executed by {view.held_by}" if view.held_by and view.status not in ENDED else ""
    paused = f" by {', '.join(view.holders)}" if view.holders else ""
    reason = f" ({view.reason})" if view.reason else ""
    return f"campaign {view.id} “{view.name}”: {view.status}{paused}{reason}{held}"


def waiting_phase(view: View) -> Phase | None:
    """The phase that a step-by-step campaign waits to be told to start; None: it waits for nothing like that."""
    if "step" not in view.holders:
        return None
    over = {PhaseStatus.COMPLETED, PhaseStatus.SKIPPED}
    return next((phase.phase for phase in view.phases if phase.status not in over), None)


def durations(changes: list[Change]) -> dict[Phase, float]:
    """Seconds from the last start of each completed phase to its end, pauses included."""
    began: dict[Phase, float] = {}
    lasted: dict[Phase, float] = {}
    for change in changes:
        at = change.recorded_at.timestamp()
        match change.event:
            case PhaseStarted(phase=phase):
                began[phase] = at
            case PhaseCompleted(phase=phase) if phase in began:
                lasted[phase] = at - began[phase]
            case _:
                pass
    return lasted
