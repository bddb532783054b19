"""What any version of the program wrote can be read, and no shape changes without a version that says so."""

from typing import Annotated, Any, Final

import golden
import msgspec
import pytest
from golden import EVENTS, RULES, STATES, Golden, shape
from msgspec import Meta, Struct

from domainflow.actors.rules import encode, tag_of
from domainflow.store.port import Recorded

HOW: Final = "give its type another VERSION, its codec a step, and run tests/campaign/golden.py"
HOW_TO_FOLD: Final = "raise FOLD_VERSION and run tests/campaign/golden.py"


def recorded(line: Golden) -> Recorded:
    return Recorded(
        stream="s",
        version=1,
        tenant="acme",
        recorded_at_us=0,
        type=line.name,
        type_version=line.version,
        context=b"",
        body=line.body,
        hash=b"",
    )


def todays(event: Struct, line: Golden) -> bool:
    return getattr(type(event), "VERSION", 1) == line.version


@pytest.mark.parametrize("line", golden.read(EVENTS), ids=lambda line: f"{line.name} {line.version}")
def test_an_event_of_any_version_is_read_and_one_of_todays_written_as_it_was(line: Golden) -> None:
    rules = RULES[line.name.partition(".")[0]]
    event = rules.decode_event(recorded(line))
    assert tag_of(event) == line.name
    if todays(event, line):
        assert shape(type(event)) == line.shape, f"the shape of {line.name} has changed: {HOW}"
        assert encode(event) == line.body


def test_there_is_a_line_of_each_type_and_version_and_of_no_other() -> None:
    lines = [(line.name, line.version) for line in golden.read(EVENTS)]
    expected = [(line.name, version) for line in golden.events() for version in range(1, line.version + 1)]
    assert lines == sorted(expected), HOW


@pytest.mark.parametrize("line", [*golden.states()], ids=lambda line: line.name)
def test_a_state_has_the_shape_of_its_fold_version(line: Golden) -> None:
    (written,) = (each for each in golden.read(STATES) if (each.name, each.version) == line[:2])
    assert line.shape == written.shape, f"the state of a {line.name} has changed: {HOW_TO_FOLD}"
    type_: Any = type(RULES[line.name].initial)
    assert encode(msgspec.msgpack.decode(written.body, type=type_)) == written.body


# --- what a shape is


class Inner(Struct, frozen=True):
    """One."""

    number: int = 1


class Moved(Struct, frozen=True, tag="thing.moved"):
    """It has moved."""

    by: int
    inner: Inner = Inner()


class Within(Struct, frozen=True):
    number: int = 1


class Went(Struct, frozen=True, tag="thing.moved"):
    """In other words."""

    by: int
    inner: Within = Within()


def test_what_is_said_of_a_type_and_what_it_is_called_here_is_not_its_shape() -> None:
    assert shape(Went) == shape(Moved)


class Longer(Struct, frozen=True, tag="thing.moved"):
    by: int
    inner: Inner = Inner()
    description: str = ""


class Limited(Struct, frozen=True, tag="thing.moved"):
    by: Annotated[int, Meta(le=9)]
    inner: Inner = Inner()


class Turned(Struct, frozen=True, tag="thing.moved"):
    inner: Inner = Inner()
    by: int = 0


class Deeper(Struct, frozen=True, tag="thing.moved"):
    by: int
    inner: Inner = Inner(2)


class Renamed(Struct, frozen=True, tag="thing.shifted"):
    by: int
    inner: Inner = Inner()


@pytest.mark.parametrize("other", [Longer, Limited, Turned, Deeper, Renamed], ids=lambda other: other.__name__.lower())
def test_another_field_limit_order_default_or_tag_is_another_shape(other: type[Struct]) -> None:
    assert shape(other) != shape(Moved)
