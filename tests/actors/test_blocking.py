"""Who waits for the outside world says so and has a thread of its own: the kernel refuses it else, and ours do."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast, get_type_hints

import pytest
from kernel import CONTEXT, SOON_S, Puppet, count
from tree import find

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.children import ChildSpec
from domainflow.actors.supervisor import Supervisor
from domainflow.actors.system import System
from domainflow.errors import InvalidInput
from domainflow.settings import Settings
from domainflow.tree import Parts


class Waits(Puppet):
    blocks: ClassVar[bool] = True


def test_a_behaviour_that_blocks_does_not_start_on_a_thread_that_others_share() -> None:
    system = System()
    with pytest.raises(InvalidInput, match="Waits blocks: its child spec must say dispatcher='pinned'"):
        system.start([ChildSpec(name="a", factory=Waits)])


def test_it_starts_on_a_thread_of_its_own() -> None:
    system = System()
    system.start([ChildSpec(name="a", factory=Waits, dispatcher="pinned")])
    assert find(system, "a").ask(count, CONTEXT) == 1
    assert system.stop(SOON_S) == ()


def made_by(factory: Callable[..., Any]) -> type[Behaviour[Any]]:
    """The class of behaviour that a factory makes, without making one."""
    if isinstance(factory, partial):
        return made_by(factory.func)
    return factory if isinstance(factory, type) else get_type_hints(factory)["return"]


def below(specs: list[ChildSpec]) -> Iterator[ChildSpec]:
    for spec in specs:
        yield spec
        if isinstance(spec.factory, partial) and spec.factory.func is Supervisor:
            yield from below(spec.factory.args[0])


def ours(cls: type[Behaviour[Any]]) -> Iterator[type[Behaviour[Any]]]:
    for each in cls.__subclasses__():
        if each.__module__.startswith("domainflow."):
            yield each
        yield from ours(each)


def test_in_a_runtime_those_that_block_are_pinned_and_no_others() -> None:
    nothing = cast("Any", None)  # no child is made, so none of these is touched
    parts = Parts(
        runtime="r",
        home=Path(),
        settings=Settings(retention_days=1.0),
        store=nothing,
        presence=nothing,
        verifying=nothing,
        campaigns=True,
        work=True,
    )
    specs = list(below(parts.children()))
    blocking = {cls for cls in ours(Behaviour) if cls.blocks}
    assert {made_by(spec.factory) for spec in specs if spec.dispatcher == "pinned"} == blocking
    assert len(blocking) == 11
