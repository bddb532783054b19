"""What the shell of an event-sourced actor waits for. Values only; they die with the incarnation that waits."""

from msgspec import Struct

from domainflow.actors.answers import Asked
from domainflow.actors.draft import Draft
from domainflow.actors.rules import Ack
from domainflow.errors import DomainFlowError


class Load(Struct, frozen=True):
    """Waiting for the stream."""


class Lingered(Struct, frozen=True):
    """Nothing came for a while."""


class Overdue(Struct, frozen=True):
    """Time to look whether the outcome of a commit has come."""


class Commit(Struct, frozen=True):
    """Waiting for the outcome of a command."""

    asked: Asked
    draft: Draft


class Note(Struct, frozen=True):
    """Waiting until something that changed nothing is recorded."""

    asked: Asked
    answer: Ack | DomainFlowError


class Denial(Struct, frozen=True):
    """The same of a denial: nothing waits for it but whoever was denied."""

    note: Note
