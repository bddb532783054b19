"""One campaign in somebody's name: commanded, looked at, watched.

Blocking, for threads of the host. Every command goes to the actor that owns the stream, in this process or by way of
the command box; what is read comes from Postgres (`reading`).
"""

import threading
import time
from collections.abc import Iterator
from typing import Final, TypedDict, Unpack

import msgspec

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.events import Listed, PhaseConfig
from domainflow.actors.campaign.messages import (
    ArchiveCampaign,
    CampaignCommand,
    CancelCampaign,
    ConfigurePhase,
    DeleteCampaign,
    PauseCampaign,
    RerunPhase,
    ResumeCampaign,
    RetryCampaign,
    SkipPhase,
    StartCampaign,
    StartPhase,
)
from domainflow.actors.hub import LOOK_AGAIN_S
from domainflow.actors.rules import Ack
from domainflow.delivery import Delivery
from domainflow.errors import AskTimeout, InvalidInput
from domainflow.ids import new_id
from domainflow.reading import Reading
from domainflow.security.context import Context, Principal
from domainflow.security.input import check_key, check_parts, check_version
from domainflow.store.pool import CONNECTION_S
from domainflow.subscriptions import Quiet
from domainflow.tree import Parts
from domainflow.views import Change, View
from domainflow.vocabulary import Phase
from domainflow.work import dns_resolvers

COMMAND_S: Final = 10.0


class How(TypedDict, total=False):
    """How a command is given, where it is not as usual."""

    timeout_s: float  # to be durable in; COMMAND_S
    expected_version: int | None  # of the campaign; at another one it is refused: VersionConflict. None: any
    idempotency_key: str  # the same key and command: the same answer, for 24 hours


class CampaignHandle:
    """One campaign, in somebody's name. Holds no state: it may be made anew at any time, in any process."""

    def __init__(self, parts: Parts, principal: Principal, id_: str) -> None:
        """Use `Operations.campaign`."""
        self._parts = parts
        self._principal = principal
        self.id = id_
        self.stream = campaign.stream_of(id_)
        self.reading = Reading(parts, principal, id_)
        self.hub = parts.waking.hub

    # --- commands: each returns when it is durable, and says at which version

    def start(self, **how: Unpack[How]) -> Ack:
        """Queue it; it begins when a run slot is free."""
        return self._command(StartCampaign(), **how)

    def pause(self, reason: str = "", holder: str = "user", **how: Unpack[How]) -> Ack:
        """Hold it; batches in hand are finished first."""
        return self._command(PauseCampaign(holder=holder, reason=reason), **how)

    def resume(self, holder: str = "user", **how: Unpack[How]) -> Ack:
        """Lift a holder's pause."""
        return self._command(ResumeCampaign(holder=holder), **how)

    def cancel(self, reason: str = "", **how: Unpack[How]) -> Ack:
        """End it for good."""
        return self._command(CancelCampaign(reason=reason), **how)

    def retry(self, **how: Unpack[How]) -> Ack:
        """Go on after a failure."""
        return self._command(RetryCampaign(), **how)

    def archive(self, **how: Unpack[How]) -> Ack:
        """Put it aside."""
        return self._command(ArchiveCampaign(), **how)

    def delete(self, **how: Unpack[How]) -> Ack:
        """Take it out of every list."""
        return self._command(DeleteCampaign(), **how)

    def configure_phase(self, phase: Phase, config: PhaseConfig, **how: Unpack[How]) -> Ack:
        """Change what a phase that has not begun will run with. Raises InvalidInput."""
        check_parts(phase, dns=config.dns, http=config.http, rules=config.keywords or (), scoring=config.scoring)
        if config.dns is not None:
            dns_resolvers.check(config.dns)
        return self._command(ConfigurePhase(phase=phase, config=config), **how)

    def start_phase(self, phase: Phase, **how: Unpack[How]) -> Ack:
        """Go on with the next phase of a step-by-step campaign."""
        return self._command(StartPhase(phase=phase), **how)

    def skip_phase(self, phase: Phase, **how: Unpack[How]) -> Ack:
        """Never run a phase that has not begun."""
        return self._command(SkipPhase(phase=phase), **how)

    def rerun_phase(self, phase: Phase, **how: Unpack[How]) -> Ack:
        """Run a completed phase again."""
        return self._command(RerunPhase(phase=phase), **how)

    # --- reading

    def view(self, *, at_least: int = 0, timeout_s: float = CONNECTION_S) -> View:
        """Return what is durable now, and includes version `at_least`: an answer's, or a change's, from any process.

        Raises NotFound; AskTimeout when it has not come so far within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        ear = threading.Event()
        with self.hub.listening(self.stream, ear):
            while (view := self.reading.view(deadline_s)).version < at_least:
                if time.monotonic() > deadline_s:
                    raise AskTimeout(not_yet(view, at_least, timeout_s))
                _rest(ear, deadline_s)
        return view

    def listed(self) -> Listed | None:
        """Return what its list of words or names came to, with what was left out; None: a pattern. Raises NotFound."""
        return self.reading.listed()

    def watch(self, after: int = 0, timeout_s: float | None = None) -> Iterator[Change]:
        """Yield every change above version `after`, in order, as it becomes durable; ends when the campaign has.

        Resume with the version of the last change seen. Raises AskTimeout when nothing happens for `timeout_s`;
        Archived: some changes above `after` have left the database; from 0 on, its seal comes first.
        """
        quiet = Quiet(timeout_s)
        ear = threading.Event()
        with self.hub.listening(self.stream, ear):
            while True:
                seen = self.reading.look(after, quiet.deadline_s)
                for change in seen.changes:
                    yield change
                    after = change.version
                    quiet.over()
                if seen.ended:
                    return
                quiet.check(f"campaign {self.id}, which is {seen.status},")
                if not seen.full:
                    _rest(ear, quiet.deadline_s)

    def wait(self, timeout_s: float = 600.0) -> View:
        """Return the view once it is completed, failed, cancelled or paused. Raises AskTimeout."""
        deadline_s = time.monotonic() + timeout_s
        ear = threading.Event()
        with self.hub.listening(self.stream, ear):
            while (rest := self.reading.rest(deadline_s)).view is None:
                if time.monotonic() > deadline_s:
                    raise AskTimeout(f"campaign {self.id} is still {rest.status} after {timeout_s} s")
                _rest(ear, deadline_s)
        return rest.view

    # --- within the house

    def _command(
        self,
        command: CampaignCommand,
        *,
        timeout_s: float = COMMAND_S,
        expected_version: int | None = None,
        idempotency_key: str = "",
    ) -> Ack:
        deadline_s = time.monotonic() + timeout_s
        # Whoever may not know of it gets the same answer as if there were none. With a key this may be the deletion
        # over again, and the actor has its answer.
        self.reading.summary(deleted=bool(idempotency_key), timeout_s=timeout_s)
        command = _checked(command)
        check_key(idempotency_key)
        check_version(expected_version)
        context = Context(
            principal=self._principal,
            correlation_id=new_id(),
            idempotency_key=idempotency_key,
            expected_version=expected_version,
        )
        return Delivery(self._parts, self.stream).deliver(command, context, timeout_s=deadline_s - time.monotonic())


def not_yet(view: View, at_least: int, timeout_s: float) -> str:
    """Say that a campaign has not come so far in time."""
    return f"campaign {view.id} is at version {view.version} after {timeout_s} s, not yet at {at_least}"


def left_s(deadline_s: float | None) -> float:
    """How long to wait for a word before the next look."""
    return LOOK_AGAIN_S if deadline_s is None else max(min(LOOK_AGAIN_S, deadline_s - time.monotonic()), 0.0)


def _rest(ear: threading.Event, deadline_s: float | None) -> None:
    ear.wait(left_s(deadline_s))
    ear.clear()  # what is said during a look counts


def _checked(command: CampaignCommand) -> CampaignCommand:
    """Return a command whose fields keep their bounds, which a Struct made in code need not. Raises InvalidInput."""
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(command), type=type(command))
    except (msgspec.ValidationError, UnicodeError) as error:
        raise InvalidInput(f"{type(command).__name__}: {error}") from error
