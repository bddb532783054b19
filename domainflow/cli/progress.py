"""How a running campaign is shown: bars on a terminal, lines in a log, JSON for programs. Asks nobody for a view."""

import time
from typing import Final, Protocol

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from domainflow.cli import summary
from domainflow.cli.output import Output
from domainflow.views import PhaseView, View
from domainflow.vocabulary import Phase, PhaseStatus

LINE_EVERY_S: Final = 5.0  # a log need not hold more
JSON_EVERY_S: Final = 1.0
SHOWN_OUTCOMES: Final = 4

_BEGUN: Final = frozenset({PhaseStatus.IN_PROGRESS, PhaseStatus.PAUSED, PhaseStatus.FAILED, PhaseStatus.COMPLETED})


class Display(Protocol):
    """Shows one campaign."""

    def update(self, view: View) -> None:
        """Show this now, or leave it out where the last one is recent."""

    def note(self, text: str) -> None:
        """Say something beside the numbers."""

    def close(self) -> None:
        """Leave the screen in order."""


def display(output: Output) -> Display:
    """The one that fits where standard output goes."""
    if output.json:
        return JsonLines(output)
    return Bars(output) if output.console.is_terminal else Lines(output)


class Bars:
    """A bar a phase, on a terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._bars: dict[Phase, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[names]}", justify="right"),
            TextColumn("{task.fields[pace]}", style="cyan"),
            TextColumn("{task.fields[outcomes]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
            console=output.console,
            expand=True,
            auto_refresh=False,  # a view comes four times a second, and nothing moves between two of them
        )

    def update(self, view: View) -> None:
        """Show it."""
        if not self._bars:
            self._output.line(summary.heading(view))
            self._bars = {p.phase: self._bar(p) for p in view.phases if p.status is not PhaseStatus.SKIPPED}
            self._progress.start()
        for phase in view.phases:
            if phase.phase in self._bars:
                self._show(self._bars[phase.phase], phase)
        self._progress.refresh()

    def note(self, text: str) -> None:
        """Print above the bars."""
        self._output.line(text, "yellow")

    def close(self) -> None:
        """Leave the last state of the bars on the screen."""
        self._progress.stop()

    def _bar(self, phase: PhaseView) -> TaskID:
        return self._progress.add_task(summary.TITLES[phase.phase], total=1, names="", pace="", outcomes="")

    def _show(self, bar: TaskID, phase: PhaseView) -> None:
        self._progress.update(
            bar,
            completed=phase.done,
            total=phase.total or 1,  # without one the bar would pulse, as if something went on
            names=f"{summary.number(phase.done)}/{summary.number(phase.total)}" if phase.total else "",
            pace=summary.pace(phase) if phase.status is PhaseStatus.IN_PROGRESS else str(phase.status),
            outcomes=summary.outcomes(phase, SHOWN_OUTCOMES),
        )


class Lines:
    """A line now and then, for a log."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._shown: tuple[object, ...] = ()
        self._next_s = 0.0

    def update(self, view: View) -> None:
        """Say how far the phase in hand is, at once when the status or the phase is another one."""
        if not self._shown:
            self._output.line(summary.heading(view))
        phase = _in_hand(view)
        state = (view.status, phase.phase if phase else None)
        now_s = time.monotonic()
        if state == self._shown and now_s < self._next_s:
            return
        self._shown, self._next_s = state, now_s + LINE_EVERY_S
        self._output.line(f"{view.status}: {_line(phase)}" if phase else str(view.status))

    def note(self, text: str) -> None:
        """Say it in a line of its own."""
        self._output.line(text)

    def close(self) -> None:
        """Nothing is left open."""


class JsonLines:
    """A view a line, for a program."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._shown: tuple[object, ...] = ()
        self._next_s = 0.0

    def update(self, view: View) -> None:
        """Print the view if it is a new one: at once with another status, else once a second."""
        now_s = time.monotonic()
        if self._shown == (view.version, view.status):
            return
        if self._shown and self._shown[1] == view.status and now_s < self._next_s:
            return
        self._shown, self._next_s = (view.version, view.status), now_s + JSON_EVERY_S
        self._output.object(view)

    def note(self, text: str) -> None:
        """Print an object with nothing but the note."""
        self._output.object({"note": text})

    def close(self) -> None:
        """Nothing is left open."""


def _in_hand(view: View) -> PhaseView | None:
    """The last phase that has begun."""
    return next((phase for phase in reversed(view.phases) if phase.status in _BEGUN), None)


def _line(phase: PhaseView) -> str:
    share = f" ({100 * phase.done // phase.total} %)" if phase.total else ""
    names = f"{summary.number(phase.done)} of {summary.number(phase.total)}{share}"
    words = (names, summary.pace(phase), summary.outcomes(phase, SHOWN_OUTCOMES))
    return f"{summary.TITLES[phase.phase]} {'; '.join(word for word in words if word)}"
