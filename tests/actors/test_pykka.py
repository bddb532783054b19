"""What this package relies on in pykka, one canary a hook: when one dies, look at `pykka_side`, `behaviour`, `life`."""

import inspect
import queue
import threading

import pykka
import pytest
from kernel import CONTEXT, SOON_S, Puppet, count, world
from pykka import messages
from pykka._actor import ActorInbox
from pykka._envelope import Envelope as PykkaEnvelope
from pykka._future import _Unset
from pykka._threading import ThreadingFutureResult

from domainflow.actors.behaviour import BehaviourCell
from domainflow.actors.cell import Cell
from domainflow.actors.envelope import Reply
from domainflow.actors.environment import Environment
from domainflow.actors.life import LivingCell
from domainflow.actors.mailbox import Mailbox
from domainflow.actors.restart import Exit
from domainflow.actors.signals import Stop
from domainflow.errors import AskTimeout


class Stock(pykka.Actor):
    """What an implementor of a new kind of actor has to bring."""

    _create_actor_inbox = staticmethod(Mailbox)
    _create_future = staticmethod(Reply)

    def _start_actor_loop(self) -> None:
        """Nothing runs it."""


def test_an_implementor_brings_inbox_future_and_loop_and_nothing_else() -> None:
    assert pykka.Actor.__abstractmethods__ == {"_create_actor_inbox", "_create_future", "_start_actor_loop"}


def test_the_constructor_that_cells_do_not_call_sets_four_attributes() -> None:
    # Cells set the first three themselves; the fourth is made by `actor_ref` when somebody wants it.
    assert set(vars(Stock())) == {"actor_urn", "actor_inbox", "actor_stopped", "_actor_ref"}


def test_of_what_an_actor_has_cells_replace_only_what_is_meant_to_be_replaced() -> None:
    # A method of this name that a new release brings would be replaced without anybody knowing.
    ours = {name for cls in (BehaviourCell, LivingCell, Cell) for name in vars(cls)}
    common = {name for name in ours & vars(pykka.Actor).keys() if not name.startswith("__")}
    assert common == {*pykka.Actor.__abstractmethods__, "actor_ref", "stop", "_abc_impl"}


def test_an_inbox_is_what_has_put_get_and_empty() -> None:
    assert {name for name in vars(ActorInbox) if not name.startswith("_")} == {"put", "get", "empty"}


def test_a_reference_keeps_five_things_of_its_actor_and_the_actor_itself_weakly() -> None:
    cell = Cell(Environment(), "a", Puppet, report=lambda _: None)
    kept = vars(cell.actor_ref)
    assert kept.keys() == {"_actor_weakref", "actor_class", "actor_urn", "actor_inbox", "actor_stopped"}
    assert kept["_actor_weakref"]() is cell


def test_a_cell_is_a_pykka_actor_with_what_a_reference_of_pykka_reads() -> None:
    cell = Cell(Environment(), "a", Puppet, report=lambda _: None)
    assert isinstance(cell, pykka.Actor)
    assert cell.actor_ref.actor_urn == "a"
    assert cell.actor_ref.is_alive()
    assert isinstance(cell.actor_inbox, Mailbox)
    assert BehaviourCell._create_future().__class__ is Reply  # noqa: SLF001  # pykka's hook


def test_a_reference_of_pykka_can_stop_a_cell_and_sees_that_it_has() -> None:
    with world() as here:
        cell = here.start()
        assert cell.actor_ref.stop(timeout=SOON_S) is True
        assert here.report().exit == "normal"


def test_a_message_by_a_reference_of_pykka_is_refused_for_it_has_no_context() -> None:
    with world() as here:
        cell = here.start()
        with pytest.raises(TypeError, match="needs a context"):
            cell.actor_ref.ask("hello", block=True, timeout=SOON_S)
        assert cell.ref.ask(count, CONTEXT) == 1


def test_a_cell_that_has_ended_is_dead_to_a_reference_of_pykka() -> None:
    with world() as here:
        cell = here.start()
        cell.order(Stop(Exit.SHUTDOWN))
        here.report()
        assert not cell.actor_ref.is_alive()
        with pytest.raises(pykka.ActorDeadError):
            cell.actor_ref.tell("hello")
        asked = cell.actor_ref.ask("hello", block=False)
        assert isinstance(asked, Reply)
        assert isinstance(asked.error, pykka.ActorDeadError)
        assert cell.actor_ref.stop(timeout=SOON_S) is False


def test_what_pykka_sends_to_stop_is_no_message_of_a_host() -> None:
    stock = Stock()
    stock.actor_ref.stop(block=False)
    envelope = stock.actor_inbox.get()
    assert isinstance(envelope, PykkaEnvelope)
    assert isinstance(envelope.message, messages._ActorStop)  # noqa: SLF001  # what answer_pykka looks for
    assert isinstance(envelope.reply_to, Reply)


def test_a_proxy_of_pykka_reaches_nothing_inside_a_cell() -> None:
    with world() as here:
        cell = here.start()
        proxy = cell.actor_ref.proxy()
        with pytest.raises(TypeError, match="needs a context"):
            proxy.kept.get(timeout=SOON_S)
        with pytest.raises(TypeError, match="needs a context"):
            proxy.kept = 1
        assert cell.kept is None


def test_no_cell_is_in_the_registry_that_is_global_to_the_process() -> None:
    with world() as here:
        here.start()
        assert pykka.ActorRegistry.get_all() == []


def test_the_envelope_of_pykka_has_message_and_reply_to() -> None:
    assert set(PykkaEnvelope.__slots__) == {"message", "reply_to"}


def test_a_future_of_pykka_is_a_condition_and_a_result_and_is_set_once() -> None:
    future = pykka.ThreadingFuture[object]()
    assert isinstance(future._condition, threading.Condition)  # noqa: SLF001  # what Reply builds on
    assert future._result is None  # noqa: SLF001  # likewise
    future.set("value")
    settled = vars(future)["_result"]
    assert (settled.value, settled.exc_info) == ("value", None)
    with pytest.raises(queue.Full):
        future.set("again")


def test_the_constructor_that_replies_do_not_call_sets_four_attributes() -> None:
    assert set(vars(pykka.ThreadingFuture())) == {"_get_hook", "_get_hook_result", "_condition", "_result"}
    assert type(vars(pykka.ThreadingFuture())["_get_hook_result"]) is _Unset
    assert ThreadingFutureResult._fields == ("value", "exc_info")


def test_what_pykka_makes_of_a_reply_asks_its_hook_once_and_waits_as_long_as_it_is_told() -> None:
    asked: list[object] = []
    reply = Reply()
    doubled = reply.map(lambda value: asked.append(value) or [value, value])  # type: ignore[func-returns-value]
    assert isinstance(doubled, Reply)
    with pytest.raises(AskTimeout):
        doubled.get(timeout=0)
    reply.set("value")
    assert [doubled.get(timeout=0), doubled.get(0)] == [["value", "value"]] * 2
    assert asked == ["value"]
    assert pykka.get_all([reply, doubled], timeout=0) == ["value", ["value", "value"]]
    with pytest.raises(queue.Full):
        reply.set_get_hook(lambda _: "another")


def test_a_future_is_awaited_and_iterated_by_one_method() -> None:
    assert pykka.Future.__iter__ is pykka.Future.__await__
    assert Reply.__iter__ is Reply.__await__


def test_the_condition_of_a_future_can_be_taken_twice_by_one_thread() -> None:
    future = pykka.ThreadingFuture[object]()
    with future._condition:  # noqa: SLF001  # Reply holds it while it calls pykka's set
        future.set("value")


def test_a_future_takes_an_error_and_raises_it() -> None:
    future = pykka.ThreadingFuture[object]()
    future.set_exception((ValueError, ValueError("bug"), None))
    with pytest.raises(ValueError, match="bug"):
        future.get(timeout=0)
    with pytest.raises(pykka.Timeout):
        pykka.ThreadingFuture[object]().get(timeout=0)


def test_a_future_for_stop_is_made_from_the_class_of_the_reply() -> None:
    assert "ask_future.__class__()" in inspect.getsource(pykka.ActorRef.stop)


def test_an_end_flag_is_an_event_as_far_as_pykka_asks() -> None:
    cell = Cell(Environment(), "a", Puppet, report=lambda _: None)
    assert isinstance(cell.actor_stopped, threading.Event)
    assert not cell.actor_stopped.is_set()
    cell.actor_stopped.set()
    assert cell.actor_stopped.is_set()


def test_awaiting_a_reply_is_refused_for_it_would_block_the_event_loop() -> None:
    with pytest.raises(RuntimeError, match="block the event loop"):
        Reply().__await__()
