"""The points of a story at which somebody else could come first: each has a name, the same in every order of the rest.

    teller>bank#2   the second message from `teller` to `bank` arrives
    bank!3          the third turn of `bank` begins
    teller@1        the first timer that `teller` set goes off
    host<1          `host` goes on after its first wait
    time#4          nobody moves until the next timer is due, for the fourth time
    host=box.py:7#1 `host` comes to line 7 of `box.py`, for the first time

Names and words only; which point comes next is picked in `strategies`.
"""

import re
from typing import Final

TIME: Final = "time"
NO_PERSON: Final = "somebody"  # whoever is outside every actor and thread of the story
TELLER: Final = "story"  # the thread that tells it

_SHAPE: Final = re.compile(r"(?P<who>.+?)(?:>(?P<to>.+))?(?P<kind>[#!@<])(?P<nth>\d+)")


def arrival(sender: str, receiver: str, nth: int) -> str:
    """A message arrives."""
    return f"{sender}>{receiver}#{nth}"


def turn(actor: str, nth: int) -> str:
    """A turn begins."""
    return f"{actor}!{nth}"


def alarm(actor: str, nth: int) -> str:
    """A timer goes off."""
    return f"{actor}@{nth}"


def awakening(thread: str, nth: int) -> str:
    """A wait is over."""
    return f"{thread}<{nth}"


def place(thread: str, where: str, nth: int) -> str:
    """A thread comes to a statement."""
    return f"{thread}={where}#{nth}"


def is_time(name: str) -> bool:
    """Whether it is time that passes."""
    return name.startswith(f"{TIME}#")


def words(name: str) -> str:
    """What a name says, for people."""
    shape = _SHAPE.fullmatch(name)
    if shape is None:
        return name
    nth, who, to = ordinal(int(shape["nth"])), shape["who"], shape["to"]
    who, _, where = who.partition("=")
    match shape["kind"]:
        case "#" if where:
            return f"{who} at {where}, for the {nth} time"
        case "#" if to is not None:
            return f"the {nth} message from {who} to {to}"
        case "!":
            return f"the {nth} turn of {who}"
        case "@":
            return f"the {nth} timer of {who}"
        case "<":
            return f"{who} after its {nth} wait"
        case _:
            return f"the {nth} passing of time"


def ordinal(number: int) -> str:
    """The number as in 1st, 2nd, 3rd, 4th, 11th."""
    teens = 10 < number % 100 < 14  # noqa: PLR2004 - eleventh, twelfth, thirteenth
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
