"""What the shell of an event-sourced actor waits for. Values only; they die with the incarnation that waits."""

from dataclasses import dataclass

from domainflow.actors.answers import Asked
from domainflow.actors.draft import Draft
from domainflow.actors.rules import Ack
from domainflow.errors import DomainFlowError


@dataclass(frozen=True)
class Load:
    """Waiting for the stream."""


@dataclass(frozen=True)
class Lingered:
    """Nothing came for a while."""


@dataclass(frozen=True)
class Overdue:
    """Time to look whether the outcome of a commit has come."""


@dataclass(frozen=True)
class Commit:
    """Waiting for the outcome of a command."""

    asked: Asked
    draft: Draft


@dataclass(frozen=True)
class Note:
    """Waiting until something that changed nothing is recorded."""

    asked: Asked
    answer: Ack | DomainFlowError


@dataclass(frozen=True)
class Denial:
    """The same of a denial: nothing waits for it but whoever was denied."""

    note: Note
