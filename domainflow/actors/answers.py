"""What a command is answered with, given what came of its commit; and how answers come back from the store.

No actor and no I/O: the shell and the command box's sender share it.
"""

from typing import Final

from msgspec import Struct

from domainflow.actors.envelope import Reply
from domainflow.actors.rules import Ack, Refusal, decode_answer, hash_command
from domainflow.errors import (
    Conflict,
    Corrupt,
    DomainFlowError,
    Fenced,
    KeyReused,
    QuotaExceeded,
    Rejected,
    StoreUnavailable,
    Unavailable,
    VersionConflict,
)
from domainflow.store.port import Failed, Foreign, KeyTaken, OutOfStep, OverQuota, Stale

_FAMILIES: Final = (Rejected, Conflict, Unavailable)
_BY_CODE: Final[dict[str, type[DomainFlowError]]] = {
    cls.code: cls for family in _FAMILIES for cls in (family, *family.__subclasses__())
}


def error_of(refusal: Refusal) -> DomainFlowError:
    """Return a refusal that was stored as the error that it was."""
    return _BY_CODE.get(refusal.code, Rejected)(refusal.message)


def recorded_answer(taken: KeyTaken, stream: str, command: Struct, key: str) -> Ack | DomainFlowError:
    """Return the answer that was given under this key before; to another command under it, a refusal.

    A command of the command box has no hash: its id is the command.
    """
    if taken.command_hash and taken.command_hash != hash_command(stream, command):
        return KeyReused(f"idempotency key {key} was used with another command; nothing was done")
    answer = decode_answer(taken.answer)
    return answer if isinstance(answer, Ack) else error_of(answer)


def refusal_of(outcome: object, stream: str) -> DomainFlowError:
    """Return what a commit that wrote nothing is answered with. Raises Corrupt for what is no such outcome."""
    match outcome:
        case Stale() | Foreign():
            return Fenced(f"{stream} is owned by another runtime now; nothing was written")
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


def settle(reply: Reply | None, answer: object) -> None:
    """Give an answer later; to a tell there is none to give."""
    if reply is None:
        return
    if isinstance(answer, BaseException):
        reply.fail(answer)
    else:
        reply.set(answer)
