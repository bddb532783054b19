"""An actor of the host's own, under a supervisor, and the test that tells it in a thousand orders. Needs `testing`.

`python examples/own_actor.py` sells seats; `pytest examples/own_actor.py` explores how.
"""

from typing import Any

from msgspec import Struct

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.children import ChildSpec
from domainflow.actors.envelope import Envelope
from domainflow.actors.ref import Ref
from domainflow.actors.system import System
from domainflow.errors import CommandRejected
from domainflow.testing import CONTEXT, World, explore


class Buy(Struct, frozen=True):
    """Take a seat, or be refused."""

    who: str


class Theatre(Behaviour[Buy]):
    """As many seats as it has, each sold once."""

    def __init__(self, seats: int) -> None:
        self.free = list(range(seats, 0, -1))

    def receive(self, _message: Buy, _: Envelope) -> object:
        if not self.free:
            raise CommandRejected("sold out")
        return f"seat {self.free.pop()}"


def buy(theatre: Ref[Any], who: str) -> str:
    """Ask for a seat; the answer, or why there is none."""
    try:
        return str(theatre.ask(Buy(who), CONTEXT))
    except CommandRejected as refusal:
        return str(refusal)


@explore(schedules=200)
def test_two_seats_are_sold_to_two_of_three(world: World) -> None:
    """In whatever order the three of them come."""
    theatre, said = world.start("theatre", lambda: Theatre(2)), list[str]()
    for who in ("ann", "bob", "cid"):
        world.thread(who, lambda who=who: said.append(buy(theatre, who)))
    world.join()
    assert sorted(said) == ["seat 1", "seat 2", "sold out"]


if __name__ == "__main__":
    system = System()
    system.start([ChildSpec(name="theatre", factory=lambda: Theatre(2))])
    if (theatre := system.environment.directory.find("theatre")) is not None:
        print(*(f"{who}: {buy(theatre, who)}" for who in ("ann", "bob", "cid")), sep="\n")
    system.stop()
