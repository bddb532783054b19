"""A thing that moves, as three versions of a program knew it, and the steps between them."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from msgspec import Struct

from domainflow.actors.codec import Body, Codec, Upcasts
from domainflow.actors.rules import Rules

TAG: Final = "thing.moved"


class First(Struct, frozen=True, tag=TAG, forbid_unknown_fields=True):
    m: int


class Second(Struct, frozen=True, tag=TAG, forbid_unknown_fields=True):
    VERSION: ClassVar[int] = 2
    cm: int


class Third(Struct, frozen=True, tag=TAG, forbid_unknown_fields=True):
    VERSION: ClassVar[int] = 3
    cm: int
    axis: str


def in_centimetres(body: Body) -> Body:
    return {"type": body["type"], "cm": body["m"] * 100}


def along_an_axis(body: Body) -> Body:
    return {**body, "axis": "x"}


UPCASTS: Final[Upcasts] = {(TAG, 1): in_centimetres, (TAG, 2): along_an_axis}
# Three metres, as each of them wrote it.
BODIES: Final = {
    1: bytes.fromhex("82a474797065ab7468696e672e6d6f766564a16d03"),
    2: bytes.fromhex("82a474797065ab7468696e672e6d6f766564a2636dcd012c"),
    3: bytes.fromhex("83a474797065ab7468696e672e6d6f766564a2636dcd012ca461786973a178"),
}


class Move(Struct, frozen=True, tag="thing.move"):
    m: int


class Thing(Struct, frozen=True):
    cm: int = 0


def program(codec: Codec[Any], made: Callable[[Move], Struct], cm: Callable[[Any], int]) -> Rules[Any, Any, Any]:
    """One version of the program: what it makes of a move, and how it adds one up."""
    return Rules[Any, Any, Any](
        name="thing",
        owned=False,
        fold_version=1,
        initial=Thing(),
        events=codec,
        commands=Move,
        decide=lambda _, command: (made(command),),
        evolve=lambda state, event: Thing(state.cm + cm(event)),
        react=lambda *_: (),
        resume=lambda _: (),
        permission=lambda _: "campaigns:execute",
    )


OLD: Final = program(Codec(First), lambda move: First(move.m), lambda event: event.m * 100)
NEW: Final = program(Codec(Third, UPCASTS), lambda move: Third(move.m * 100, "x"), lambda event: event.cm)
