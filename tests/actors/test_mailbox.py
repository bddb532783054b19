import queue
import threading

import pytest
from kernel import CONTEXT

from domainflow.actors.envelope import Envelope
from domainflow.actors.mailbox import Mailbox, TurnSeized
from domainflow.errors import ActorStopped, MailboxFull


def message(text: str = "m") -> Envelope:
    return Envelope(text, CONTEXT)


def taken(mailbox: Mailbox) -> list[object]:
    turn = mailbox.begin()
    assert turn is not None
    items = []
    while (item := mailbox.take(turn)) is not None:
        items.append(item)
        mailbox.leave(turn)
    mailbox.rest(turn)
    return items


def test_signals_come_before_messages_and_each_lane_keeps_its_order() -> None:
    mailbox = Mailbox()
    first, second = message(), message()
    mailbox.put_user(first)
    mailbox.put_system("one")
    mailbox.put_user(second)
    mailbox.put_system("two")
    assert taken(mailbox) == ["one", "two", first, second]


def test_a_full_mailbox_refuses_messages_to_their_sender_but_takes_every_signal() -> None:
    mailbox = Mailbox(capacity=2)
    assert mailbox.put_user(message())
    assert mailbox.put_user(message())
    with pytest.raises(MailboxFull, match="2 messages are waiting"):
        mailbox.put_user(message())
    assert all(mailbox.put_system(number) for number in range(100))
    assert mailbox.waiting() == 2


def test_a_suspended_mailbox_gives_signals_only_until_it_was_resumed_as_often_as_suspended() -> None:
    mailbox = Mailbox()
    mailbox.suspend()
    mailbox.suspend()
    envelope = message()
    mailbox.put_user(envelope)
    mailbox.put_system("signal")
    assert taken(mailbox) == ["signal"]
    mailbox.resume()
    assert taken(mailbox) == []
    mailbox.resume()
    mailbox.resume()  # one too many means nothing
    assert taken(mailbox) == [envelope]


def test_it_wakes_its_actor_once_for_many_messages_and_again_after_the_turn() -> None:
    woken: list[int] = []
    mailbox = Mailbox()
    mailbox.bind(lambda: woken.append(1), 10)
    mailbox.put_user(message())
    mailbox.put_user(message())
    mailbox.put_system("signal")
    assert len(woken) == 1
    taken(mailbox)
    mailbox.put_user(message())
    assert len(woken) == 2


def test_a_message_to_a_suspended_mailbox_wakes_nobody_but_resuming_does() -> None:
    woken: list[int] = []
    mailbox = Mailbox()
    mailbox.bind(lambda: woken.append(1), 10)
    mailbox.suspend()
    mailbox.put_user(message())
    assert woken == []
    mailbox.resume()
    assert woken == [1]


def test_what_arrives_during_a_turn_makes_its_end_ask_for_another() -> None:
    mailbox = Mailbox()
    mailbox.bind(lambda: None, 10)
    turn = mailbox.begin()
    assert turn is not None
    assert mailbox.take(turn) is None
    mailbox.put_user(message())  # after the turn looked, before it ended: the lost wake-up
    assert mailbox.rest(turn)


def test_only_one_turn_runs_at_a_time() -> None:
    mailbox = Mailbox()
    turn = mailbox.begin()
    assert turn is not None
    assert mailbox.begin() is None
    mailbox.rest(turn)
    assert mailbox.begin() is not None


def test_a_closed_mailbox_gives_back_what_waited_and_takes_nothing_more() -> None:
    mailbox = Mailbox()
    envelope = message()
    mailbox.put_user(envelope)
    mailbox.put_system("signal")
    assert mailbox.close() == ([envelope], ["signal"])
    assert not mailbox.put_user(message())
    assert not mailbox.put_system("late")
    assert mailbox.close() == ([], [])


def test_it_closes_if_empty_only_when_nothing_waits_in_either_lane() -> None:
    mailbox = Mailbox()
    mailbox.put_system("signal")
    assert not mailbox.close_if_empty()
    taken(mailbox)
    mailbox.put_user(message())
    assert not mailbox.close_if_empty()
    taken(mailbox)
    assert mailbox.close_if_empty()
    assert mailbox.closed
    assert not mailbox.close_if_empty()


def test_every_put_that_races_a_close_is_either_given_back_or_refused() -> None:
    for _ in range(200):
        mailbox = Mailbox()
        accepted: list[bool] = []
        begin = threading.Barrier(2)

        def put(mailbox: Mailbox = mailbox, accepted: list[bool] = accepted, begin: threading.Barrier = begin) -> None:
            begin.wait()
            accepted += [mailbox.put_user(message()) for _ in range(20)]

        sender = threading.Thread(target=put)
        sender.start()
        begin.wait()
        given_back, _ = mailbox.close()
        sender.join()
        assert len(given_back) == sum(accepted)


def test_a_stuck_turn_can_be_seized_and_then_touches_nothing() -> None:
    mailbox = Mailbox()
    stuck = message("stuck")
    mailbox.put_user(stuck)
    mailbox.put_user(message("next"))
    old = mailbox.begin()
    assert old is not None
    mailbox.take(old)
    seized = mailbox.seize()
    assert seized is not None
    assert (seized.stuck, seized.envelope) == (True, stuck)
    own = (mailbox.suspend, mailbox.resume, mailbox.close_if_empty)
    for touch in (mailbox.leave, mailbox.take, mailbox.enter, *own):
        with pytest.raises(TurnSeized):
            touch(old)
    assert not mailbox.rest(old)  # no effect: the new turn still runs
    assert mailbox.begin() is None
    assert mailbox.rest(seized.turn)


def test_a_turn_that_is_not_inside_the_behaviour_cannot_be_seized() -> None:
    mailbox = Mailbox()
    turn = mailbox.begin()
    assert turn is not None
    assert mailbox.seize() is None
    mailbox.enter(turn)
    assert mailbox.seize() is not None


def test_it_speaks_the_inbox_protocol_of_pykka() -> None:
    mailbox = Mailbox()
    assert mailbox.empty()
    envelope = message()
    mailbox.put(envelope)
    mailbox.put("signal")
    assert not mailbox.empty()
    assert [mailbox.get(), mailbox.get()] == ["signal", envelope]
    with pytest.raises(queue.Empty):
        mailbox.get()
    mailbox.close()
    with pytest.raises(ActorStopped):
        mailbox.put(envelope)
