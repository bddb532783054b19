"""A campaign executed or watched by this process: shown until it ends, is paused, or somebody presses Ctrl-C."""

import signal
import time
from typing import Final

from domainflow.cli import errors, summary
from domainflow.cli.options import Options
from domainflow.cli.output import Output
from domainflow.cli.progress import Display, display
from domainflow.cli.signals import Signals
from domainflow.errors import CommandRejected, Unavailable
from domainflow.operations import CampaignHandle
from domainflow.views import View
from domainflow.vocabulary import CampaignStatus, Phase

LOOK_EVERY_S: Final = 0.25
DRAIN_S: Final = 30.0
OUTAGE_S: Final = 60.0  # how long the store may be away before we give up; a restarted server needs seconds
HISTORY_S: Final = 10.0

_RESTING: Final = summary.ENDED | {CampaignStatus.PAUSED}
_EXIT: Final = {CampaignStatus.FAILED: errors.FAILED, CampaignStatus.CANCELLED: errors.FAILED}


class Follower:
    """One campaign in front of one person."""

    def __init__(self, options: Options, handle: CampaignHandle, signals: Signals, *, seed: int | None) -> None:
        """`seed` is that of the lab beside us, for the command that resumes; None: there is none."""
        self._here = ("--follow",) if seed is None else ("--follow", "--lab", str(seed))
        self._again = options.hint("campaign", "resume", handle.id, *self._here)
        self._options = options
        self._handle = handle
        self._signals = signals
        self._output = Output(json=options.json)
        signals.parting = f"Nothing that was recorded is lost; go on with: {self._again}"

    def until_it_rests(self) -> int:
        """Show it until it ends or is paused; return the exit code.

        Ctrl-C pauses it, once the batches in hand are finished; SIGTERM leaves it running for the next owner.
        """
        shown = display(self._output)
        try:
            view, heard = self._watch(shown)
            if heard is signal.SIGINT:
                view = self._pause(shown)
        finally:
            shown.close()
        if heard is signal.SIGTERM:
            self._output.note(f"terminated; it stays {view.status} for the next owner, such as: {self._again}")
            return errors.TERMINATED
        self._conclude(view)
        if heard is signal.SIGINT:
            return errors.INTERRUPTED
        return _EXIT.get(view.status, 0)

    def _watch(self, shown: Display) -> tuple[View, signal.Signals | None]:
        while True:
            view = self._view(shown)
            shown.update(view)
            if view.status in _RESTING:
                return view, None
            heard = self._signals.wait(LOOK_EVERY_S)
            if heard is not None:
                return view, heard

    def _view(self, shown: Display) -> View:
        """Look, patient with a store that is away for a moment."""
        deadline_s = time.monotonic() + OUTAGE_S
        told = False
        while True:
            try:
                return self._handle.view()
            except Unavailable as error:
                if time.monotonic() > deadline_s:
                    raise
                if not told:
                    shown.note(f"waiting for the store: {error}")
                told = True
                time.sleep(LOOK_EVERY_S)

    def _pause(self, shown: Display) -> View:
        shown.note("pausing once the batches in hand are finished; Ctrl-C again stops at once")
        try:
            self._handle.pause(reason="Ctrl-C", holder="user", timeout_s=DRAIN_S)
        except CommandRejected:  # it ended in this moment
            return self._view(shown)
        deadline_s = time.monotonic() + DRAIN_S
        while True:
            view = self._view(shown)
            shown.update(view)
            if view.status in _RESTING or time.monotonic() > deadline_s:
                return view
            time.sleep(LOOK_EVERY_S)

    def _conclude(self, view: View) -> None:
        if not self._options.json:
            self._output.line("")
            self._output.line(summary.heading(view))
            self._output.rows(summary.COLUMNS, summary.rows(view, self._durations(view)))
            self._output.line(f"leads found: {summary.number(summary.leads(view))}", "bold")
        next_step = self._next_step(view)
        if next_step:
            self._output.note(next_step)

    def _durations(self, view: View) -> dict[Phase, float]:
        """How long each phase took; of an ended campaign alone, since the history of another one does not end."""
        if view.status not in summary.ENDED:
            return {}
        return summary.durations(list(self._handle.watch(timeout_s=HISTORY_S)))

    def _next_step(self, view: View) -> str:
        hint = self._options.hint
        waiting = summary.waiting_phase(view)
        match view.status:
            case CampaignStatus.COMPLETED:
                return "export: " + hint("campaign", "export", view.id, "--output", f"{view.id}.csv")
            case CampaignStatus.FAILED:
                return "go on with: " + hint("campaign", "retry", view.id, *self._here)
            case CampaignStatus.CANCELLED:
                return ""
            case _ if waiting is not None:
                return "go on with: " + hint("phase", "start", view.id, waiting, *self._here)
            case _:
                return f"{view.status}; go on with: {self._again}"
