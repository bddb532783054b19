"""What this package relies on in pykka, one canary a hook: when one dies, look at `pykka_side`, `behaviour`, `life`."""

import inspect
import queue
import threading

import pykka
import pytest
from kernel import CONTEXT, SOON_S, Puppet, count, world
from pykka._envelope import Envelope as PykkaEnvelope

from domainflow.actors.behaviour import BehaviourCell
from domainflow.actors.cell import Cell
from domainflow.actors.envelope import Reply
from domainflow.actors.environment import Environment
from domainflow.actors.mailbox import Mailbox


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
