import queue
import threading
from typing import Any

import pytest
from kernel import CONTEXT, SOON_S, Puppet
from tree import AT_ONCE, Diarist, Diary, alive, bug, diary, end, fail_orderly, find, system

from domainflow.actors.children import ChildSpec
from domainflow.actors.dynamic import DynamicSupervisor, StartChild, StopChild
from domainflow.actors.envelope import Envelope
from domainflow.actors.ref import Ref
from domainflow.actors.restart import Budget, Policy, Restart, Strategy
from domainflow.actors.system import System
from domainflow.errors import CommandRejected, InvalidInput, Unavailable

__all__ = ["diary", "system"]  # fixtures


def campaigns(system: System, policy: Policy = AT_ONCE, **hooks: Any) -> Ref[Any]:  # noqa: ANN401  # as it takes them
    spec = ChildSpec(name="campaigns", factory=lambda: DynamicSupervisor(policy, **hooks), kind="supervisor")
    system.start([spec], AT_ONCE)
    return find(system, "campaigns")


def test_a_child_is_started_on_demand_and_answered_with_its_ref(system: System, diary: Diary) -> None:
    supervisor = campaigns(system)
    ref: Any = supervisor.ask(StartChild(diary.spec("6f")), CONTEXT)
    assert ref.path == "campaigns/6f"
    assert ref.ask(lambda me, _: me.name, CONTEXT) == "6f"
    assert supervisor.ask(StartChild(diary.spec("6f")), CONTEXT) is ref
    assert diary.read(1) == ["+6f"]
    assert diary.lines.empty()


def test_whoever_asks_while_it_starts_gets_the_same_ref(system: System, diary: Diary) -> None:
    loaded = threading.Event()

    class Slow(Diarist):
        def on_start(self) -> None:
            assert loaded.wait(SOON_S)
            super().on_start()

    supervisor = campaigns(system)
    spec = ChildSpec(name="6f", factory=lambda: Slow(diary, "6f"))
    replies = [supervisor.ask_reply(StartChild(spec), CONTEXT) for _ in range(5)]
    assert supervisor.ask(StopChild("another"), CONTEXT) is False  # it is not kept from its work meanwhile
    loaded.set()
    assert len({id(reply.get(SOON_S)) for reply in replies}) == 1
    assert diary.read(1) == ["+6f"]


def test_a_child_that_cannot_start_is_told_to_who_asked_and_forgotten(system: System, diary: Diary) -> None:
    class Broken(Diarist):
        def on_start(self) -> None:
            raise Unavailable("no such stream")

    supervisor = campaigns(system)
    with pytest.raises(Unavailable, match="no such stream"):
        supervisor.ask(StartChild(ChildSpec(name="6f", factory=lambda: Broken(diary, "6f"))), CONTEXT)
    ref: Any = supervisor.ask(StartChild(diary.spec("6f")), CONTEXT)
    assert ref.ask(lambda me, _: me.name, CONTEXT) == "6f"


def test_a_child_is_stopped_by_name_and_the_answer_comes_when_it_has_ended(system: System, diary: Diary) -> None:
    supervisor = campaigns(system)
    supervisor.ask(StartChild(diary.spec("6f")), CONTEXT)
    assert supervisor.ask(StopChild("6f"), CONTEXT) is True
    assert diary.read(2) == ["+6f", "-6f"]
    assert alive(system) == ["root", "campaigns"]
    assert supervisor.ask(StopChild("6f"), CONTEXT) is False


def test_a_start_that_is_asked_for_during_a_stop_follows_it(system: System, diary: Diary) -> None:
    stopping, release = threading.Event(), threading.Event()

    class SlowEnd(Diarist):
        def on_stop(self) -> None:
            stopping.set()
            assert release.wait(SOON_S)
            super().on_stop()

    supervisor = campaigns(system)
    supervisor.ask(StartChild(ChildSpec(name="6f", factory=lambda: SlowEnd(diary, "6f"))), CONTEXT)
    stopped = supervisor.ask_reply(StopChild("6f"), CONTEXT)
    assert stopping.wait(SOON_S)
    started = supervisor.ask_reply(StartChild(diary.spec("6f")), CONTEXT)
    release.set()
    assert stopped.get(SOON_S) is True
    ref: Any = started.get(SOON_S)
    assert ref.ask(lambda me, _: me.name, CONTEXT) == "6f"
    assert diary.read(3) == ["+6f", "-6f", "+6f"]


def test_a_child_that_ends_normally_is_gone_and_can_be_started_again(system: System, diary: Diary) -> None:
    class Passivates(Diarist):
        def on_idle(self) -> None:
            if self.done:
                self.cell.stop_if_idle()

    supervisor = campaigns(system)
    spec = ChildSpec(name="6f", factory=lambda: Passivates(diary, "6f"), restart=Restart.TRANSIENT)
    for _ in range(20):
        ref: Any = supervisor.ask(StartChild(spec), CONTEXT)
        ref.tell(lambda me, _: me.done.append(1), CONTEXT)
        assert diary.read(2) == ["+6f", "-6f"]
    transient: Any = supervisor.ask(StartChild(diary.spec("7a", restart=Restart.TRANSIENT)), CONTEXT)
    transient.tell(end, CONTEXT)
    assert diary.read(2) == ["+7a", "-7a"]


def test_a_failed_child_is_restarted_alone_and_keeps_its_ref(system: System, diary: Diary) -> None:
    supervisor = campaigns(system)
    refs: list[Any] = [supervisor.ask(StartChild(diary.spec(name)), CONTEXT) for name in ("6f", "7a")]
    diary.read(2)
    refs[0].tell(bug, CONTEXT)
    assert diary.read(2) == ["-6f", "+6f"]
    assert [ref.ask(lambda me, _: me.cell.incarnation, CONTEXT) for ref in refs] == [2, 1]


def test_a_child_that_fails_too_often_is_given_up_and_the_others_live(system: System, diary: Diary) -> None:
    given_up: queue.SimpleQueue[tuple[str, BaseException | None]] = queue.SimpleQueue()
    supervisor = campaigns(
        system,
        Policy(budget=Budget(2, 60), base_s=0),
        on_given_up=lambda spec, error: given_up.put((spec.name, error)),
    )
    poison: Any = supervisor.ask(StartChild(diary.spec("poison")), CONTEXT)
    other: Any = supervisor.ask(StartChild(diary.spec("other")), CONTEXT)
    for _ in range(3):
        poison.tell(bug, CONTEXT)
    name, error = given_up.get(timeout=SOON_S)
    assert (name, str(error)) == ("poison", "bug")
    assert other.ask(lambda me, _: me.cell.incarnation, CONTEXT) == 1
    assert supervisor.ask(StopChild("poison"), CONTEXT, timeout_s=SOON_S) in {True, False}
    assert alive(system) == ["root", "campaigns", "campaigns/other"]


def test_who_should_be_alive_is_started_with_the_supervisor_and_again_with_the_next_one(
    system: System, diary: Diary
) -> None:
    desired = [diary.spec("6f"), diary.spec("7a")]
    restarted: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    calls = iter([None, ValueError("the store is gone"), None])

    def ask_the_store() -> list[ChildSpec]:
        error = next(calls)
        if error is not None:
            raise error
        return desired

    supervisor = campaigns(
        system, desired=ask_the_store, on_restarted=lambda specs: restarted.put([spec.name for spec in specs])
    )
    assert sorted(diary.read(2)) == ["+6f", "+7a"]
    kept = find(system, "campaigns/7a")
    dropped: Any = supervisor.ask(StartChild(diary.spec("undesired")), CONTEXT)
    desired[:] = [diary.spec("7a"), diary.spec("8b")]
    diary.read(1)
    fail_orderly(supervisor)
    assert restarted.get(timeout=SOON_S) == ["7a", "8b"]
    assert sorted(diary.read(5)) == ["+7a", "+8b", "-6f", "-7a", "-undesired"]
    assert kept.ask(lambda me, _: me.name, CONTEXT) == "7a"
    assert supervisor.ask(StopChild("6f"), CONTEXT) in {True, False}
    assert supervisor.ask(StopChild("undesired"), CONTEXT) in {True, False}
    assert not dropped.is_alive()
    assert alive(system) == ["root", "campaigns", "campaigns/7a", "campaigns/8b"]


def test_children_are_started_from_inside_an_actor_by_a_request(system: System, diary: Diary) -> None:
    supervisor = campaigns(system)
    asker: Any = supervisor.ask(StartChild(diary.spec("asker")), CONTEXT)

    def request(me: Puppet, _: Envelope) -> object:
        me.cell.request(supervisor, StartChild(diary.spec("6f")), CONTEXT, token="started")
        return me.heard

    answer = asker.ask(request, CONTEXT).get(timeout=SOON_S)
    assert (answer.token, answer.value.path, answer.error) == ("started", "campaigns/6f", None)


def test_stopping_is_in_parallel_and_takes_as_long_as_the_slowest(system: System, diary: Diary) -> None:
    meeting = threading.Barrier(2)

    class Meets(Diarist):
        def on_stop(self) -> None:
            meeting.wait(SOON_S)  # broken, unless both stop at the same time

    supervisor = campaigns(system)
    for name in ("6f", "7a"):
        supervisor.ask(StartChild(ChildSpec(name=name, factory=lambda: Meets(diary, "x"))), CONTEXT)
    assert system.stop(SOON_S) == ()
    assert not meeting.broken


def test_only_one_for_one_suits_children_that_come_and_go() -> None:
    with pytest.raises(InvalidInput, match="one_for_one"):
        DynamicSupervisor(Policy(strategy=Strategy.ONE_FOR_ALL))


def test_it_takes_no_other_messages(system: System) -> None:
    with pytest.raises(CommandRejected):
        campaigns(system).ask("hello", CONTEXT)
