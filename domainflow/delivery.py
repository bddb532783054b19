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
from domainflow.draining import drain
from domainflow.errors import ActorStopped, AskTimeout, DomainFlowError, Fenced, StoreUnavailable, Unavailable
from domainflow.ids import new_id
from domainflow.security.context import Context
from domainflow.store import commands, leases
from domainflow.store.commands import Boxed
from domainflow.store.postgres import UNDONE
from domainflow.store.transaction import Kind
from domainflow.tree import Parts
from domainflow.vocabulary import CampaignStatus

LOOK_AGAIN_S: Final = 0.02
ALIVE_AGAIN_S: Final = 0.5
LET_GO_S: Final = 5.0
TAKE_BACK_S: Final = 2.0  # beyond the time-out: it is worth some time to know that nothing will be done
IN_DOUBT: Final = "it is not known whether it was done: look, or ask again with the same key"


class Delivery:
    """Delivers commands to one campaign."""

    def __init__(self, parts: Parts, stream: str) -> None:
        self._parts = parts
        self._stream = stream
        self._in_doubt = False  # whether some owner's answer was lost

    def deliver(self, command: msgspec.Struct, context: Context, *, timeout_s: float) -> Ack:
        """Return the owner's answer.

        Raises what the owner refused it with. AskTimeout: not answered in time; StoreUnavailable: Postgres was lost, or
        had no connection free in time; Unavailable: nobody can take it just now. Of each it will not be done, unless
        the message says that it is not known.
        """
        # With a key even where the caller gave none: a command may be sent again to the next owner, and counts once.
        keyed = msgspec.structs.replace(context, idempotency_key=context.idempotency_key or f"once/{new_id()}")
        deadline_s = time.monotonic() + timeout_s
        self._in_doubt = False
        try:
            while time.monotonic() < deadline_s:
                answer = self._deliver_once(command, keyed, deadline_s)
                if answer is not None:
                    return self._seen_through(answer, context, deadline_s)
        except Unavailable as error:  # says nothing of who was asked before
            if not self._in_doubt:
                raise
            kind = StoreUnavailable if isinstance(error, StoreUnavailable) else Unavailable
            raise kind(f"{self._stream} did not answer, and cannot be asked just now; {IN_DOUBT}") from error
        finally:
            self._let_go()
        outcome = IN_DOUBT if self._in_doubt else UNDONE
        raise AskTimeout(f"no owner of {self._stream} answered within {timeout_s:.3g} s; {outcome}")

    def _deliver_once(self, command: msgspec.Struct, context: Context, deadline_s: float) -> Ack | None:
        """Try one owner; None: there is another one now, or time is up."""
        ref = self._parts.find_campaign(campaign_of(self._stream))
        if ref is None and (owner := self._other_owner(deadline_s)):
            return self._by_box(command, context, owner, deadline_s)
        try:
            ref = ref or self._start(deadline_s)
        except (AskTimeout, Fenced, ActorStopped):  # nothing was sent to it
            time.sleep(LOOK_AGAIN_S)  # for the next owner's claim, or the next incarnation, to be there
            return None
        try:
            answer = ref.ask(command, context, timeout_s=_left_s(deadline_s))
        except (Fenced, ActorStopped, AskTimeout) as error:
            # Who ended over a command may have sent its commit; under its key the next owner tells.
            self._in_doubt = self._in_doubt or not isinstance(error, Fenced)
            time.sleep(LOOK_AGAIN_S)
            return None
        assert isinstance(answer, Ack)  # noqa: S101 - campaigns answer commands with nothing else
        return answer

    def _start(self, deadline_s: float) -> Ref[Any]:
        return self._parts.start("campaigns", self._parts.campaign_spec(self._stream), _left_s(deadline_s))

    def _seen_through(self, answer: Ack, context: Context, deadline_s: float) -> Ack:
        """Return the answer, or to a pause that has taken hold since what is true then.

        A key's answer stays the first one: whoever asks again must hear the same.
        """
        if answer.status != CampaignStatus.PAUSING or self._parts.campaigns:
            return answer
        with contextlib.suppress(DomainFlowError):  # the pause stands; another attempt comes with the next
            drained = drain(self._parts, self._stream, context, deadline_s=deadline_s)
            return answer if drained is None or context.idempotency_key else drained
        return answer

    def _let_go(self) -> None:
        """Keep no campaign that this runtime would not execute: as long as it held it, nobody else would."""
        if not self._parts.campaigns and self._parts.find_campaign(campaign_of(self._stream)) is not None:
            with contextlib.suppress(Unavailable):  # the command's answer stands; another attempt comes with the next
                self._parts.let_go(self._stream, LET_GO_S)

    def _other_owner(self, deadline_s: float) -> str | None:
        with self._parts.store.upkeep(Kind.OWNERSHIP, timeout_s=_left_s(deadline_s)) as connection:
            owner = leases.owner(connection, self._stream)
        return owner[0] if owner and owner[2] and owner[0] != self._parts.runtime else None

    # --- by the command box

    def _by_box(self, command: msgspec.Struct, context: Context, owner: str, deadline_s: float) -> Ack | None:
        id_ = str(uuid.UUID(new_id()))
        tenant = context.principal.tenant
        boxed = Boxed(id_, self._stream, tenant, encode(command), encode(context))
        in_doubt, left_s = self._in_doubt, _left_s(deadline_s)
        with self._parts.store.tenants(Kind.BOX, tenant, timeout_s=left_s) as connection:
            commands.put(connection, boxed, deadline_s=left_s)
            self._in_doubt = True  # from here on, until it is answered or taken back
        self._parts.waking.tell("command_box")
        body = self._await(boxed, owner, deadline_s)
        self._in_doubt = in_doubt
        if body is None:
            return None
        answer = decode_answer(body)
        if isinstance(answer, Ack):
            return answer
        raise error_of(answer)

    def _await(self, boxed: Boxed, owner: str, deadline_s: float) -> bytes | None:
        """Wait for the answer; None: time is up or the owner is gone, and the command is taken back."""
        alive_at_s = time.monotonic()
        while (left_s := _left_s(deadline_s)) > 0:
            with self._parts.store.tenants(Kind.BOX, boxed.tenant, timeout_s=left_s) as connection:
                body = commands.answer(connection, boxed.id)
            if body is not None:
                return body
            if time.monotonic() - alive_at_s > ALIVE_AGAIN_S:
                alive_at_s = time.monotonic()
                if self._other_owner(deadline_s) != owner:
                    break
            time.sleep(LOOK_AGAIN_S)
        return self._take_back(boxed)

    def _take_back(self, boxed: Boxed) -> bytes | None:
        """Take the command back, unless it was answered this very moment; None: it is taken back."""
        refusal = Refusal("unavailable", "taken back by its sender; nothing was done")
        with self._parts.store.tenants(Kind.BOX, boxed.tenant, timeout_s=TAKE_BACK_S) as connection:
            if commands.withdraw(connection, boxed.id, encode(refusal)):
                return None
            return commands.answer(connection, boxed.id)


def _left_s(deadline_s: float) -> float:
    return max(deadline_s - time.monotonic(), 0.0)
