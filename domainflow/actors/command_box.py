"""The command box's owner side: commands that came by the database go to the actors that this runtime owns.

The answer is written in the actor's own commit, with its events. Woken by a hint; polling is the truth.
"""

from collections.abc import Callable
from typing import ClassVar, Final, NamedTuple, TypeAlias

import msgspec
import structlog

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.campaign.messages import CampaignCommand
from domainflow.actors.effects import Wake
from domainflow.actors.ref import Ref
from domainflow.actors.rules import Refusal, encode
from domainflow.actors.signals import Answer
from domainflow.errors import Conflict, DomainFlowError, Fenced, Rejected, Unavailable
from domainflow.security.context import Context
from domainflow.store import commands
from domainflow.store.commands import Boxed
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind

COMMAND_S: Final = 30.0

_log = structlog.get_logger()

Activate: TypeAlias = Callable[[str], Ref[CampaignCommand] | None]  # None: it is being started, ask again


class Again(NamedTuple):
    """Time to look for the commands of a stream again."""

    stream: str


class CommandBox(Behaviour[object]):
    """Carries commands from the box to the actors: of each stream one after the other, of all streams at once."""

    blocks: ClassVar[bool] = True

    def __init__(self, store: Postgres, activate: Activate, *, runtime: str, tick_s: float) -> None:
        """Wire it. `activate` returns the actor of a stream, or starts it and returns None; it must not wait."""
        self._store = store
        self._activate = activate
        self._runtime = runtime
        self._tick_s = tick_s
        # Streams whose oldest command is with the actor, or could not be given to it a moment ago: the next one of
        # them must not overtake it, and none of the others waits for it.
        self._busy: set[str] = set()

    def on_start(self) -> None:
        self.cell.signal(Wake())

    def on_signal(self, signal: object) -> None:
        match signal:
            case Again(stream=stream):
                self._busy.discard(stream)
            case Answer(token=Boxed() as boxed):
                self._hear(boxed, signal)
            case _:
                pass

    def on_idle(self) -> None:
        """Deliver what waits; again after a tick."""
        try:
            with self._store.upkeep(Kind.DELIVER) as connection:
                pending = commands.pending(connection, self._runtime, busy=self._busy)
            for boxed in pending:
                self._deliver(boxed)
        except Unavailable as error:
            _log.warning("command_box_waits_for_store", error=str(error)[:200])
        self.cell.start_timer("tick", self._tick_s, Wake())

    # --- in

    def _deliver(self, boxed: Boxed) -> None:
        if boxed.left_s <= 0:
            # Also to an actor that has it already: a commit that comes now finds it answered, and does nothing.
            self._withdraw(boxed.id, Unavailable("the command's deadline had passed; nothing was done"))
            return
        ref = self._activate(boxed.stream)
        if ref is None:
            self._put_off(boxed.stream)
            return
        try:
            command = msgspec.msgpack.decode(boxed.body, type=CampaignCommand)
            context = msgspec.msgpack.decode(boxed.context, type=Context)
        except (msgspec.MsgspecError, ValueError) as error:  # bad UTF-8 is a ValueError only
            self._withdraw(boxed.id, Rejected(f"the command cannot be read: {error}"))
            return
        context = msgspec.structs.replace(context, box_id=boxed.id)
        try:
            self.cell.request(ref, command, context, token=boxed, timeout_s=min(boxed.left_s, COMMAND_S))
        except Unavailable:  # a full mailbox
            self._put_off(boxed.stream)
        else:
            self._busy.add(boxed.stream)

    def _put_off(self, stream: str) -> None:
        """Try again a tick later."""
        self._busy.add(stream)
        self.cell.start_timer(stream, self._tick_s, Again(stream))

    # --- out

    def _hear(self, boxed: Boxed, answer: Answer) -> None:
        """What the actor recorded just now is answered already; what it recorded before, or could not, is not."""
        self._busy.discard(boxed.stream)
        try:
            match answer.error:
                case None:
                    self._answer(boxed.id, answer.value)
                case Fenced():
                    pass  # the stream's new owner finds it in the box
                case Rejected() | Conflict() as error:
                    self._withdraw(boxed.id, error)
                case _:
                    self._put_off(boxed.stream)
        except Unavailable as error:
            _log.warning("command_box_waits_for_store", error=str(error)[:200])
            self._put_off(boxed.stream)

    def _withdraw(self, command: str, error: DomainFlowError) -> None:
        self._answer(command, Refusal(error.code, str(error)))

    def _answer(self, command: str, answer: object) -> None:
        with self._store.upkeep(Kind.DELIVER) as connection:
            commands.withdraw(connection, command, encode(answer))
