"""What a command is answered with, given what came of its commit; and how answers go to the store and come back.

No actor and no I/O: the shell and the command box's sender share it.
"""

from typing import Final

import msgspec
from msgspec import Struct

from domainflow.actors.envelope import Envelope
from domainflow.actors.rules import Ack, AuditContext, Refusal, decode_answer, encode, hash_command
from domainflow.errors import (
    Conflict,
    Corrupt,
    Denied,
    DomainFlowError,
    Fenced,
    KeyReused,
    QuotaExceeded,
    Rejected,
    StoreUnavailable,
    Unavailable,
    VersionConflict,
)
from domainflow.store.port import (
    NO_ANSWER,
    AuditNote,
    BoxAnswer,
    Failed,
    Foreign,
    Key,
    KeyTaken,
    OutOfStep,
    OverQuota,
    Owned,
    Stale,
)

_FAMILIES: Final = (Rejected, Conflict, Unavailable)
_BY_CODE: Final[dict[str, type[DomainFlowError]]] = {
    cls.code: cls for family in _FAMILIES for cls in (family, *family.__subclasses__())
}


class Asked(Struct, frozen=True):
    """A command that the gate has decided on, and that has no answer yet."""

    envelope: Envelope
    audit: AuditContext
    wish: Struct  # of the message, what its sender asked for

    def settle(self, answer: Ack | DomainFlowError) -> None:
        """Give the answer; to a tell there is none to give."""
        settle(self.envelope, answer)

    def hash(self, stream: str) -> bytes:
        """Return what tells it from another command under its key."""
        return hash_command(stream, self.wish)


def to_note(what: str, asked: Asked, answer: Ack | DomainFlowError, *, stream: str, about: Owned | None) -> AuditNote:
    """Return the record of a command that changed nothing; its answer is kept with it."""
    stored = _stored(answer)
    key, box = kept(asked, answer, stream=stream)
    audit = asked.audit
    alike = f"{audit.principal} {audit.command} {audit.decision}" if isinstance(answer, Denied) and box is None else ""
    return AuditNote(
        tenant=asked.envelope.context.principal.tenant,
        type=f"audit.{what}",
        context=encode(asked.audit),
        body=encode({"stream": stream, "answer": stored}),
        alike=alike,
        about=about,
        key=key,
        box=box,
    )


def counted(body: bytes, number: int) -> bytes:
    """Return the body of a note that stands for so many."""
    return encode({**msgspec.msgpack.decode(body), "count": number})


def kept(asked: Asked, answer: Ack | DomainFlowError, *, stream: str) -> tuple[Key | None, BoxAnswer | None]:
    """Return the answer as it is kept for who asks again: under the command's key, and in the command box."""
    context, body = asked.envelope.context, encode(_stored(answer))
    box = BoxAnswer(context.box_id, body) if context.box_id else None
    if not context.idempotency_key or isinstance(answer, KeyReused | Denied):
        return None, box  # it has another command's answer; or may be allowed when it is asked again
    # A conflict asks for another try: under the key, it would be the answer to every one of them.
    answer_ = NO_ANSWER if isinstance(answer, Conflict) else body
    principal, hashed = context.principal.id, asked.hash(stream)
    return Key(principal=principal, key=context.idempotency_key, command_hash=hashed, answer=answer_), box


def _stored(answer: Ack | DomainFlowError) -> Ack | Refusal:
    return answer if isinstance(answer, Ack) else Refusal(answer.code, str(answer))


def error_of(refusal: Refusal) -> DomainFlowError:
    """Return a refusal that was stored as the error that it was."""
    return _BY_CODE.get(refusal.code, Rejected)(refusal.message)


def is_reused(taken: KeyTaken, asked: Asked, *, stream: str) -> bool:
    """Whether the key was used with another command. One of the command box has no hash: its id is the command."""
    return bool(taken.command_hash) and taken.command_hash != asked.hash(stream)


def recorded_answer(taken: KeyTaken) -> Ack | DomainFlowError:
    """Return the answer that was given before."""
    answer = decode_answer(taken.answer)
    return answer if isinstance(answer, Ack) else error_of(answer)


def refusal_of(outcome: object, stream: str, *, owned: bool) -> DomainFlowError:
    """Return what a commit that wrote nothing is answered with. Raises Corrupt for what is no such outcome."""
    match outcome:
        case Stale() | Foreign() if owned:
            return Fenced(f"{stream} is owned by another runtime now; nothing was written")
        case Stale() | Foreign():  # Foreign: what was to be born with it is there already, and has an owner
            return VersionConflict(f"{stream}: others wrote first; nothing was written")
        case OutOfStep():
            return VersionConflict(f"{stream}: these batches are not done (any more); nothing was written")
        case OverQuota(reason=reason):
            return QuotaExceeded(f"{reason}; nothing was created")
        case Failed():
            return StoreUnavailable("the change could not be stored; nothing was written")
        case _:
            raise Corrupt(f"{stream}: no outcome of a commit: {outcome!r}")


def give(answer: Ack | DomainFlowError) -> Ack:
    """Return an answer from `receive`: a refusal is raised."""
    if isinstance(answer, DomainFlowError):
        raise answer
    return answer


def settle(envelope: Envelope, answer: object) -> None:
    """Give an answer later; to a tell there is none to give."""
    if envelope.reply is None:
        return
    if isinstance(answer, BaseException):
        envelope.reply.fail(answer)
    else:
        envelope.reply.set(answer)
