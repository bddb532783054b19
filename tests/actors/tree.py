"""What the tests of supervision share: children that keep a diary, and a system to put them in."""

import queue
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from kernel import SOON_S, Puppet

from domainflow.actors.children import ChildSpec
from domainflow.actors.envelope import Envelope
from domainflow.actors.ref import Ref
from domainflow.actors.restart import Policy
from domainflow.actors.signals import ChildStarted
from domainflow.actors.supervisor import Supervisor
from domainflow.actors.system import System

AT_ONCE = Policy(base_s=0)  # restarts without delay


class Diary:
    """What happened to the children, in order."""

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read(self, lines: int) -> list[str]:
        return [self.lines.get(timeout=SOON_S) for _ in range(lines)]

    def all(self) -> list[str]:
        """What was not read yet, without waiting."""
        return [self.lines.get_nowait() for _ in range(self.lines.qsize())]

    def spec(self, name: str, **how: Any) -> ChildSpec:  # noqa: ANN401  # the fields of a ChildSpec
        return ChildSpec(name=name, factory=lambda: Diarist(self, name), **how)


class Diarist(Puppet):
    def __init__(self, diary: Diary, name: str) -> None:
        super().__init__()
        self.diary, self.name = diary, name

    def on_start(self) -> None:
        self.diary.lines.put(f"+{self.name}")

    def on_stop(self) -> None:
        self.diary.lines.put(f"-{self.name}")


def bug(*_: object) -> None:
    raise ValueError("bug")


def end(me: Puppet, _: Envelope) -> None:
    me.cell.stop()


def fail_orderly(supervisor: Ref[Any]) -> None:
    """Make the supervisor fail in a signal, as a hook of its host would."""

    class Poisoned(str):
        __slots__ = ()

        def rpartition(self, _: str) -> Any:  # noqa: ANN401  # never returns
            raise ValueError("a hook")

    supervisor.signal(ChildStarted(Poisoned("x"), 1))


def nested(name: str, specs: Sequence[ChildSpec], policy: Policy = AT_ONCE, **how: Any) -> ChildSpec:  # noqa: ANN401  # as in spec
    return ChildSpec(name=name, factory=lambda: Supervisor(specs, policy), kind="supervisor", **how)


def find(system: System, path: str) -> Ref[Any]:
    ref = system.environment.directory.find(path)
    assert ref is not None
    return ref


def alive(system: System) -> list[str]:
    return [ref.path for ref in system.environment.directory.tree()]


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def system() -> Iterator[System]:
    made = System()
    yield made
    made.stop(SOON_S)
    assert len(made.environment.directory) == 0
