from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
import structlog
from kernel import CONTEXT, SOON_S, Defers, Gate, Puppet, World, count, failing, world

from domainflow.actors.envelope import DEFERRED, Deferred, Envelope, Reply
from domainflow.actors.ref import Ref
from domainflow.actors.signals import Answer
from domainflow.errors import (
    ActorStopped,
    AskCycle,
    AskTimeout,
    CommandRejected,
    MailboxFull,
)


@pytest.fixture
def here() -> Iterator[World]:
    with world() as made:
        yield made


def test_an_ask_is_answered_with_what_the_behaviour_returned(here: World) -> None:
    ref = here.start().ref
    assert [ref.ask(count, CONTEXT) for _ in range(3)] == [1, 2, 3]


def test_messages_of_one_sender_are_handled_in_the_order_they_were_sent(here: World) -> None:
    ref = here.start().ref
    for number in range(1000):
        ref.tell(lambda me, _, number=number: me.done.append(number), CONTEXT)
    assert ref.ask(lambda me, _: list(me.done), CONTEXT) == list(range(1000))


def test_a_deferred_ask_is_answered_later_through_its_envelope(here: World) -> None:
    ref = here.start().ref

    def defer(me: Puppet, envelope: Envelope) -> Deferred:
        me.done.append(envelope.reply)
        return DEFERRED

    reply = ref.ask_reply(defer, CONTEXT)
    ref.tell(lambda me, _: me.done[0].set("later"), CONTEXT)
    assert reply.get(SOON_S) == "later"


def test_a_full_mailbox_is_told_to_the_sender(here: World) -> None:
    ref = here.start(capacity=2).ref
    gate = Gate()
    ref.tell(gate, CONTEXT)
    assert gate.inside.wait(SOON_S)
    ref.tell(count, CONTEXT)
    ref.tell(count, CONTEXT)
    with pytest.raises(MailboxFull):
        ref.tell(count, CONTEXT)
    with pytest.raises(MailboxFull):
        ref.ask(count, CONTEXT)
    gate.out.set()


def test_an_ask_that_timed_out_before_it_was_begun_is_not_handled_any_more(here: World) -> None:
    ref = here.start().ref
    gate = Gate()
    ref.tell(gate, CONTEXT)
    assert gate.inside.wait(SOON_S)
    with pytest.raises(AskTimeout, match=r"within 0\.01 s"):
        ref.ask(count, CONTEXT, timeout_s=0.01)
    gate.out.set()
    assert ref.ask(lambda me, _: me.done, CONTEXT) == []
    assert here.environment.dead_letters.counts() == {"expired": 1}


def test_an_ask_carries_its_deadline(here: World) -> None:
    ref = here.start().ref
    deadline_s = ref.ask(lambda _, envelope: envelope.context.deadline_s, CONTEXT, timeout_s=60)
    assert isinstance(deadline_s, float)
    assert 0 < deadline_s - here.environment.clock.monotonic_s() <= 60


def test_a_reply_is_settled_once_and_later_ones_are_counted() -> None:
    reply = Reply()
    assert reply.settle("first", None)
    assert not reply.settle("second", None)
    reply.fail(ActorStopped("third"))
    assert reply.get(0) == "first"
    assert reply.late == 2
    assert reply.error is None


def test_a_reply_calls_back_when_it_is_settled_and_at_once_when_it_is_already() -> None:
    reply, heard = Reply(), []
    reply.add_done_callback(lambda settled: heard.append(settled.value))
    reply.add_done_callback(failing(ValueError("a mistake of the host")))
    reply.set("answer")
    reply.add_done_callback(lambda settled: heard.append(settled.value))
    assert heard == ["answer", "answer"]


def test_a_request_is_answered_by_a_signal(here: World) -> None:
    asker, other = here.start(path="asker"), here.start(path="other")

    def request(me: Puppet, _: Envelope) -> object:
        me.cell.request(other.ref, count, CONTEXT, token="count")
        me.cell.request(other.ref, failing(CommandRejected("no")), CONTEXT, token="refused")
        return me.heard

    heard: Any = asker.ref.ask(request, CONTEXT)
    assert heard.get(timeout=SOON_S) == Answer("count", 1, None)
    refused = heard.get(timeout=SOON_S)
    assert refused.token == "refused"
    assert isinstance(refused.error, CommandRejected)


def test_a_request_without_an_answer_is_answered_by_its_timeout(here: World) -> None:
    asker, other = here.start(path="asker"), here.start(Defers, path="other")

    def request(me: Puppet, _: Envelope) -> object:
        me.cell.request(other.ref, "defer", CONTEXT, token="token", timeout_s=0.01)
        return me.heard

    heard: Any = asker.ref.ask(request, CONTEXT)
    assert isinstance(heard.get(timeout=SOON_S).error, AskTimeout)


def test_waiting_inside_an_actor_is_refused(here: World) -> None:
    asker, other = here.start(path="asker"), here.start(path="other")

    def wait(_: Puppet, __: Envelope) -> str:
        refusals = []
        for attempt in (partial(other.ref.ask, count, CONTEXT), partial(Reply().get, 1)):
            try:
                attempt()
            except RuntimeError as error:
                refusals.append(str(error))
        return " | ".join(refusals)

    assert str(asker.ref.ask(wait, CONTEXT)).count("asker must not wait") == 2


def test_a_cycle_of_asks_is_refused_with_its_path(here: World) -> None:
    refs: dict[str, Ref[Any]] = {path: here.start(path=path).ref for path in ("a", "b", "c")}

    cycle = refs["a"].ask_reply(lambda me, envelope: _relay(me, envelope, refs, ["b", "c", "a"]), CONTEXT)
    with pytest.raises(AskCycle, match="a -> b -> c -> a"):
        cycle.get(SOON_S)
    self_ask = refs["a"].ask_reply(lambda me, envelope: _relay(me, envelope, refs, ["a"]), CONTEXT)
    with pytest.raises(AskCycle, match="a -> a"):
        self_ask.get(SOON_S)


def _relay(_: Puppet, envelope: Envelope, refs: dict[str, Ref[Any]], path: list[str]) -> Deferred:
    """Ask the next one on the path, and answer with what it answers."""
    answer = refs[path[0]].ask_reply(lambda you, asked: _relay(you, asked, refs, path[1:]), envelope.context)
    reply = envelope.reply
    assert reply is not None

    def pass_on(settled: Reply) -> None:
        reply.settle(settled.value, settled.error)

    answer.add_done_callback(pass_on)
    return DEFERRED


def test_a_tell_ends_the_chain_for_nobody_waits_for_it(here: World) -> None:
    ref = here.start().ref
    ref.tell(
        lambda me, envelope: me.done.append(envelope.context.chain), msgspec.structs.replace(CONTEXT, chain=("x", "y"))
    )
    assert ref.ask(lambda me, _: me.done, CONTEXT) == [()]


def test_log_lines_of_a_message_carry_its_actor_and_correlation_id_and_no_later_line_does(here: World) -> None:
    ref = here.start().ref
    bound = ref.ask(lambda _, __: structlog.contextvars.get_contextvars(), CONTEXT)
    assert bound == {"actor": "a", "correlation_id": "story"}
    assert structlog.contextvars.get_contextvars() == {}
