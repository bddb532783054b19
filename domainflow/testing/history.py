"""What threads of the host asked and were told; and whether an object that does one thing at a time explains it.

Source of the check: Wing and Gong (1993), with the memory of Lowe (2017): a depth-first search over what could have
been first, that looks at no set of operations in one state twice.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from domainflow.errors import AskTimeout, Conflict, Rejected, Unavailable
from domainflow.testing.scheduler import Scheduler

S = TypeVar("S", bound=Hashable)
C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)
T = TypeVar("T")


class Operation(Struct, Generic[C], frozen=True):
    """One call."""

    thread: str
    call: C
    answer: object
    began: int
    ended: int | None  # None: nobody knows whether it was done


class Model(Protocol[S, C_contra]):
    """The object as it should be: what a call does to its state, and what it answers."""

    initial: S

    def apply(self, state: S, call: C_contra) -> tuple[S, object]:
        """The next state and the answer."""
        ...


class NotLinearizableError(AssertionError):
    """No order of the calls explains the answers."""


class History:
    """The calls of one story."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._moments = 0
        self.operations: list[Operation[object]] = []

    def call(self, call: object, do: Callable[[], T]) -> T | None:
        """Do it and write down what came of it; None where it stays open whether it was done.

        Raises:
            Rejected, Conflict: it was refused; the kind of refusal is written down as its answer.
        """
        began = self._moment()
        try:
            answer = do()
        except (AskTimeout, Unavailable):
            self._note(call, None, began, None)
            return None
        except (Rejected, Conflict) as refusal:
            self._note(call, type(refusal), began, self._moment())
            raise
        self._note(call, answer, began, self._moment())
        return answer

    def check(self, model: Model[Any, Any]) -> None:
        """Raise `NotLinearizableError` unless some order of the calls explains every answer."""
        operations = sorted(self.operations, key=lambda operation: operation.began)
        if not _explains(model, operations):
            told = "\n".join(f"  {each.thread}: {each.call} -> {each.answer}" for each in operations)
            raise NotLinearizableError(f"no order of these calls explains the answers:\n{told}")

    def _note(self, call: object, answer: object, began: int, ended: int | None) -> None:
        self.operations.append(Operation(self._scheduler.who, call, answer, began, ended))

    def _moment(self) -> int:
        self._moments += 1
        return self._moments


def _explains(model: Model[S, C], operations: Sequence[Operation[C]]) -> bool:
    seen: set[tuple[frozenset[int], S]] = set()
    ahead: list[tuple[frozenset[int], S]] = [(frozenset(range(len(operations))), model.initial)]
    while ahead:
        left, state = ahead.pop()
        if all(operations[index].ended is None for index in left):
            return True
        for index in _could_be_first(operations, left):
            after, answer = model.apply(state, operations[index].call)
            following = (left - {index}, after)
            if (operations[index].ended is None or answer == operations[index].answer) and following not in seen:
                seen.add(following)
                ahead.append(following)
    return False


def _could_be_first(operations: Sequence[Operation[C]], left: frozenset[int]) -> list[int]:
    first_end = min((ended for index in left if (ended := operations[index].ended) is not None), default=None)
    return [index for index in left if first_end is None or operations[index].began < first_end]
