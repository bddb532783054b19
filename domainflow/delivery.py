"""How a command finds the owner of its stream: here, or by way of the command box, or by becoming the owner.

For threads of the host; waits.
"""

import contextlib
import time
import uuid
from typing import Any, Final

import msgspec

from domainflow.actors.answers import error_of
from domainflow.actors.campaign.actor import campaign_of
from domainflow.actors.ref import Ref
from domainflow.actors.rules import Ack, Refusal, decode_answer, encode
from domainflow.errors import ActorStopped, AskTimeout, Fenced, Unavailable
from domainflow.ids import new_id
from domainflow.security.context import Context
from domainflow.store import commands, leases
from domainflow.store.commands import Boxed
from domainflow.store.presence import notify
from domainflow.tree import Parts

LOOK_AGAIN_S: Final = 0.02
ALIVE_AGAIN_S: Final = 0.5
LET_GO_S: Final = 5.0


class Delivery:
    """Delivers commands to one campaign."""

    def __init__(self, parts: Parts, stream: str) -> None:
        self._parts = parts
        self._stream = stream
        self._in_doubt = False  # whether some owner's answer was lost

    def deliver(self, command: msgspec.Struct, context: Context, *, timeout_s: float) -> Ack:
        """Return the owner's answer.

        Raises what the owner refused it with; AskTimeout: not answered in time, and then it will not be done, unless
        the message says that it is not known.
        """
        # With a key even where the caller gave none: a command may be sent again to the next owner, and counts once.
        context = msgspec.structs.replace(context, idempotency_key=context.idempotency_key or f"once/{new_id()}")
        deadline_s = time.monotonic() + timeout_s
        self._in_doubt = False
        try:
            while (left_s := deadline_s - time.monotonic()) > 0:
                answer = self._deliver_once(command, context, left_s)
                if answer is not None:
                    return answer
        finally:
            self._let_go()
        doubt = "it is not known whether it was done: look, or ask again with the same key"
        outcome = doubt if self._in_doubt else "nothing was done"
        raise AskTimeout(f"no owner of {self._stream} answered within {timeout_s} s; {outcome}")

    def _deliver_once(self, command: msgspec.Struct, context: Context, left_s: float) -> Ack | None:
        """Try one owner; None: there is another one now."""
        ref = self._parts.find_campaign(campaign_of(self._stream))
        if ref is None and (owner := self._other_owner()):
            return self._by_box(command, context, owner, left_s)
        try:
            ref = ref or self._start(left_s)
            answer = ref.ask(command, context, timeout_s=left_s)
        except (Fenced, ActorStopped) as error:
            # Who ended over a command may have sent its commit; under its key the next owner tells.
            self._in_doubt = self._in_doubt or isinstance(error, ActorStopped)
            time.sleep(LOOK_AGAIN_S)  # for the next owner's claim, or the next incarnation, to be there
            return None
        assert isinstance(answer, Ack)  # noqa: S101 - campaigns answer commands with nothing else
        return answer

    def _start(self, left_s: float) -> Ref[Any]:
        return self._parts.start("campaigns", self._parts.campaign_spec(self._stream), left_s)

    def _let_go(self) -> None:
        """Keep no campaign that this runtime would not execute: as long as it held it, nobody else would."""
        if not self._parts.campaigns and self._parts.find_campaign(campaign_of(self._stream)) is not None:
            with contextlib.suppress(Unavailable):  # the command's answer stands; another attempt comes with the next
                self._parts.let_go(self._stream, LET_GO_S)

    def _other_owner(self) -> str | None:
        with self._parts.store.upkeep() as connection:
            owner = leases.owner(connection, self._stream)
        return owner[0] if owner and owner[2] and owner[0] != self._parts.runtime else None

    # --- by the command box

    def _by_box(self, command: msgspec.Struct, context: Context, owner: str, left_s: float) -> Ack | None:
        id_ = str(uuid.UUID(new_id()))
        tenant = context.principal.tenant
        boxed = Boxed(id_, self._stream, tenant, encode(command), encode(context), expired=False)
        with self._parts.store.tenants(tenant) as connection:
            commands.put(connection, boxed, deadline_s=left_s)
        with self._parts.store.upkeep() as connection:
            notify(connection, "command_box")
        body = self._await(id_, tenant, owner, left_s)
        if body is None:
            return None
        answer = decode_answer(body)
        if isinstance(answer, Ack):
            return answer
        raise error_of(answer)

    def _await(self, id_: str, tenant: str, owner: str, left_s: float) -> bytes | None:
        """Wait for the answer; None: the owner is gone and the command is taken back."""
        deadline_s, alive_at_s = time.monotonic() + left_s, time.monotonic()
        while True:
            with self._parts.store.tenants(tenant) as connection:
                body = commands.answer(connection, id_)
            if body is not None:
                return body
            now_s = time.monotonic()
            if now_s > deadline_s:
                return self._give_up(id_, tenant, AskTimeout(f"the owner of {self._stream} did not answer in time"))
            if now_s - alive_at_s > ALIVE_AGAIN_S:
                alive_at_s = now_s
                if self._other_owner() != owner:
                    return self._give_up(id_, tenant, None)
            time.sleep(LOOK_AGAIN_S)

    def _give_up(self, id_: str, tenant: str, error: Unavailable | None) -> bytes | None:
        """Take the command back, unless it was answered this very moment."""
        refusal = Refusal("unavailable", "taken back by its sender; nothing was done")
        with self._parts.store.tenants(tenant) as connection:
            if not commands.withdraw(connection, id_, encode(refusal)):
                return commands.answer(connection, id_)
        if error is not None:
            raise error
        return None
