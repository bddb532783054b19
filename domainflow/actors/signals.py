"""The words of the system lane: orders to a cell, its reports to its supervisor, and what a behaviour may hear there.

Values only. What anybody does about them stands in `cell` and `supervisor`.
"""

from typing import NamedTuple

from domainflow.actors.restart import Exit


class Start(NamedTuple):
    """Order: make a behaviour and start it."""


class Stop(NamedTuple):
    """Order: end the behaviour; `final`: and the cell with it, otherwise a `Start` may follow."""

    exit: Exit
    final: bool = True


class Started(NamedTuple):
    """A behaviour's word that its start, which it had deferred, is complete."""


class Finish(NamedTuple):
    """A behaviour's word that what it wanted to do before it stops is done."""


class Stamped(NamedTuple):
    """A signal that is meant for one incarnation and dropped by all others."""

    incarnation: int
    signal: object


class ChildStarted(NamedTuple):
    """Report: the behaviour's start is complete."""

    path: str
    incarnation: int


class ChildFailed(NamedTuple):
    """Report: the behaviour raised what is no refusal; the cell waits without one."""

    path: str
    incarnation: int
    error: BaseException


class ChildStopped(NamedTuple):
    """Report: the behaviour has ended; `final`: and the cell with it."""

    path: str
    incarnation: int
    exit: Exit
    final: bool


class Answer(NamedTuple):
    """What came of a `request`: a value, or the error it failed with."""

    token: object
    value: object
    error: BaseException | None
