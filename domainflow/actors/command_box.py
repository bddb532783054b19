"""The command box's owner side: commands that came by the database go to the actors that this runtime owns.

The answer is written in the actor's own commit, with its events. Woken by a hint; polling is the truth.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

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

COMMAND_S: Final = 30.0

_log = structlog.get_logger()

Activate: TypeAlias = Callable[[str], Ref[CampaignCommand] | None]  # None: it is being started, ask again


class CommandBox(Behaviour[object]):
    """Carries commands from the box to the actors."""

    def __init__(self, store: Postgres, activate: Activate, *, runtime: str, tick_s: float) -> None:
        """Wire it. `activate` returns the actor of a stream, or starts it and returns None; it must not wait."""
        self._store = store
        self._activate = activate
        self._runtime = runtime
        self._tick_s = tick_s
        self._delivered: set[str] = set()  # to an actor, not answered yet

    def on_start(self) -> None:
        self.cell.signal(Wake())

    def on_signal(self, signal: object) -> None:
        if isinstance(signal, Answer):
            self._hear(str(signal.token), signal)

    def on_idle(self) -> None:
        """Deliver what waits; again after a tick."""
        try:
            with self._store.upkeep() as connection:
                pending = commands.pending(connection, self._runtime)
            for boxed in pending:
                self._deliver(boxed)
        except Unavailable as error:
            _log.warning("command_box_waits_for_store", error=str(error)[:200])
        self.cell.start_timer("tick", self._tick_s, Wake())

    def _deliver(self, boxed: Boxed) -> None:
        if boxed.id in self._delivered:
            return
        if boxed.expired:
            self._withdraw(boxed.id, Unavailable("the command's deadline had passed; nothing was done"))
            return
        ref = self._activate(boxed.stream)
        if ref is None:
            return
        try:
            command = msgspec.msgpack.decode(boxed.body, type=CampaignCommand)
            context = msgspec.msgpack.decode(boxed.context, type=Context)
        except msgspec.MsgspecError as error:
            self._withdraw(boxed.id, Rejected(f"the command cannot be read: {error}"))
            return
        context = msgspec.structs.replace(context, box_id=boxed.id)
        self.cell.request(ref, command, context, token=boxed.id, timeout_s=COMMAND_S)
        self._delivered.add(boxed.id)  # not before: a full mailbox takes it at another look

    def _hear(self, command: str, answer: Answer) -> None:
        """What the actor recorded just now is answered already; what it recorded before, or could not, is not."""
        self._delivered.discard(command)
        if isinstance(answer.error, Fenced):
            return  # the stream's new owner finds it in the box
        if isinstance(answer.error, Rejected | Conflict):
            self._withdraw(command, answer.error)
        elif answer.error is None:
            self._answer(command, answer.value)

    def _withdraw(self, command: str, error: DomainFlowError) -> None:
        self._answer(command, Refusal(error.code, str(error)))

    def _answer(self, command: str, answer: object) -> None:
        with self._store.upkeep() as connection:
            commands.withdraw(connection, command, encode(answer))
