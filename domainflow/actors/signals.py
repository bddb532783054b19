"""The words of the system lane: orders to a cell, its reports to its supervisor, and what a behaviour may hear there.

Values only. What anybody does about them stands in `cell` and `supervisor`.
"""

from msgspec import Struct

from domainflow.actors.restart import Exit


class Start(Struct, frozen=True):
    """Order: make a behaviour and start it."""


class Stop(Struct, frozen=True):
    """Order: end the behaviour; `final`: and the cell with it, otherwise a `Start` may follow."""

    exit: Exit
    final: bool = True


class Started(Struct, frozen=True):
    """A behaviour's word that its start, which it had deferred, is complete."""


class Finish(Struct, frozen=True):
    """A behaviour's word that what it wanted to do before it stops is done."""


class Stamped(Struct, frozen=True):
    """A signal that is meant for one incarnation and dropped by all others."""

    incarnation: int
    signal: object


class ChildStarted(Struct, frozen=True):
    """Report: the behaviour's start is complete."""

    path: str
    incarnation: int


class ChildFailed(Struct, frozen=True):
    """Report: the behaviour raised what is no refusal; the cell waits without one."""

    path: str
    incarnation: int
    error: BaseException


class ChildStopped(Struct, frozen=True):
    """Report: the behaviour has ended; `final`: and the cell with it."""

    path: str
    incarnation: int
    exit: Exit
    final: bool


class Answer(Struct, frozen=True):
    """What came of a `request`: a value, or the error it failed with."""

    token: object
    value: object
    error: BaseException | None
