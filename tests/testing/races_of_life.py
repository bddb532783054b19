"""More planted races, of those that need a restart, a timer, an end or a sleeper; each broken, and each mended."""

from collections.abc import Callable
from typing import Any

from races import (
    Adds,
    AsksThenTakes,
    Race,
    ReadsThenWrites,
    Register,
    Relay,
    TakesIfFree,
    acks_out_of_order,
    ask_cycle,
    check_then_act,
    full_mailbox,
    lost_update,
    overtaken,
    stale_snapshot,
    tell_all,
)

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.envelope import Envelope, Reply
from domainflow.actors.ref import Ref
from domainflow.actors.restart import Restart
from domainflow.actors.signals import Answer
from domainflow.errors import ActorStopped, AskTimeout
from domainflow.testing import CONTEXT, World

# --- double timer: the answer came, and what was to be done without it is done as well


class Courier(Behaviour[Any]):
    """Sends a parcel by another way if the first one did not confirm in time."""

    def __init__(self, depot: Ref[Any], register: Ref[Any]) -> None:
        self.depot, self.register = depot, register
        self.is_sent = False

    def receive(self, message: object, _: Envelope) -> object:
        self.cell.request(self.depot, message, CONTEXT, token="depot", timeout_s=100.0)
        self.cell.start_timer("late", 1.0, "late")
        return None

    def on_signal(self, _: object) -> None:
        self.cell.cancel_timer("late")
        self.is_sent = True
        self.register.tell(("add", 1), CONTEXT)


class CarefulCourier(Courier):
    def on_signal(self, _: object) -> None:
        if not self.is_sent:
            super().on_signal(_)


def double_timer(courier: type[Courier]) -> Callable[[World], None]:
    def story(world: World) -> None:
        register, depot = world.start("register", Register), world.start("depot", Register)
        sender = world.start("courier", lambda: courier(depot, register))
        sender.tell("parcel", CONTEXT)
        world.rest(200.0)
        with world.calm():  # it is about the parcel, not about time-outs of this
            assert register.ask("read", CONTEXT) == 1

    return story


# --- use after passivation: the address is that of an actor that is leaving


class Sleepy(Behaviour[Any]):
    """Goes when it has done something: by a stop that it sends itself, or at once, if it has nothing to do."""

    def __init__(self, heard: list[object], *, looks: bool) -> None:
        self.heard, self.looks = heard, looks
        self.had_work = False

    def receive(self, message: object, _: Envelope) -> object:
        self.heard.append(message)
        self.had_work = True
        return None

    def on_idle(self) -> None:
        if self.had_work and self.looks:
            self.cell.stop_if_idle()
        elif self.had_work:
            self.cell.stop()


def use_after_passivation(*, wakes: bool) -> Callable[[World], None]:
    def story(world: World) -> None:
        heard: list[object] = []

        def alive() -> Ref[Any]:
            return world.start("sleepy", lambda: Sleepy(heard, looks=wakes), restart=Restart.TRANSIENT)

        first = world.start("sleepy", lambda: Sleepy(heard, looks=False), restart=Restart.TRANSIENT)

        def call(number: int) -> None:
            ref = alive() if wakes else first
            try:
                ref.ask(number, CONTEXT)
            except (ActorStopped, AskTimeout):
                if wakes:
                    call(number)

        for number in (1, 2):
            world.thread(f"caller-{number}", lambda number=number: call(number))
        world.rest()
        assert set(heard) == {1, 2}, heard

    return story


# --- lost wake-up: told to sleep after the look, and before the work came


class Queue(Behaviour[Any]):
    def __init__(self, *, remembers: bool) -> None:
        self.remembers, self.items = remembers, list[object]()
        self.sleeper: Ref[Any] | None = None

    def receive(self, message: object, _: Envelope) -> object:
        match message:
            case ("put", item):
                self.items.append(item)
                self._wake()
            case "is there anything?":
                return bool(self.items)
            case ("I sleep", Ref() as who):
                self.sleeper = who
                if self.remembers and self.items:
                    self._wake()
            case "take":
                return self.items.pop(0) if self.items else None
        return None

    def _wake(self) -> None:
        if self.sleeper is not None:
            self.sleeper.tell("wake up", CONTEXT)
            self.sleeper = None


class Sleeper(Behaviour[Any]):
    def __init__(self, queue: Ref[Any], done: list[object]) -> None:
        self.queue, self.done = queue, done

    def receive(self, message: object, _: Envelope) -> object:
        self.cell.request(self.queue, "is there anything?", CONTEXT, token="look")
        return message

    def on_signal(self, signal: object) -> None:
        match signal:
            case Answer("look", True):
                self.cell.request(self.queue, "take", CONTEXT, token="take")
            case Answer("look", _):
                self.queue.tell(("I sleep", self.cell.ref), CONTEXT)
            case Answer("take", item):
                self.done.append(item)


def lost_wake_up(*, remembers: bool) -> Callable[[World], None]:
    def story(world: World) -> None:
        done: list[object] = []
        queue = world.start("queue", lambda: Queue(remembers=remembers))
        sleeper = world.start("sleeper", lambda: Sleeper(queue, done))
        sleeper.tell("look", CONTEXT)
        world.thread("customer", lambda: queue.tell(("put", "work"), CONTEXT))
        world.rest()
        assert done == ["work"], done

    return story


# --- an unfenced zombie: whoever was replaced still writes


class Ledger(Behaviour[Any]):
    def __init__(self, *, fences: bool) -> None:
        self.fences, self.epoch, self.writers = fences, 0, list[int]()

    def receive(self, message: object, _: Envelope) -> object:
        match message:
            case ("own", int(epoch)):
                self.epoch = max(self.epoch, epoch)
            case ("write", int(epoch)) if not self.fences or epoch >= self.epoch:
                assert self.writers in ([], [epoch]) or epoch >= self.writers[-1], f"{epoch} wrote after {self.writers}"
                self.writers.append(epoch)
        return None


def zombie(*, fences: bool) -> Callable[[World], None]:
    def story(world: World) -> None:
        ledger = world.start("ledger", lambda: Ledger(fences=fences))

        def owner(epoch: int) -> None:
            ledger.ask(("own", epoch), CONTEXT)
            ledger.ask(("write", epoch), CONTEXT)

        for epoch in (1, 2):
            world.thread(f"owner-{epoch}", lambda epoch=epoch: owner(epoch))
        world.rest()

    return story


# --- delivered twice, and not idempotent


class Account(Behaviour[Any]):
    def __init__(self, *, knows: bool) -> None:
        self.knows, self.seen, self.balance = knows, set[object](), 0

    def receive(self, message: object, _: Envelope) -> object:
        match message:
            case ("deposit", number) if not (self.knows and number in self.seen):
                self.seen.add(number)
                self.balance += 1
        return self.balance


def delivered_twice(*, knows: bool) -> Callable[[World], None]:
    def story(world: World) -> None:
        account = world.start("account", lambda: Account(knows=knows))
        post = world.start("post", lambda: Relay(account))
        for number in (1, 2, 3):
            post.tell(("deposit", number), CONTEXT)
        world.rest()
        assert account.ask("balance", CONTEXT) == 3

    return story


# --- a reply to a former incarnation: its successor never asked


class Asker(Behaviour[Any]):
    def __init__(self, other: Ref[Any], *, stamped: bool) -> None:
        self.other, self.stamped, self.open = other, stamped, 0

    def receive(self, message: object, _: Envelope) -> object:
        self.open += 1
        if self.stamped:
            self.cell.request(self.other, message, CONTEXT, token="asked")
        else:
            self.other.ask_reply(message, CONTEXT).add_done_callback(self._put_in)
        return None

    def _put_in(self, reply: Reply) -> None:
        self.cell.hear(Answer("asked", reply.value, reply.error))

    def on_signal(self, signal: object) -> None:
        if isinstance(signal, Answer):
            assert self.open, "an answer, and nothing was asked"
            self.open -= 1


def former_incarnation(*, stamped: bool) -> Callable[[World], None]:
    def story(world: World) -> None:
        other = world.start("other", Register)
        tell_all([world.start("asker", lambda: Asker(other, stamped=stamped))] * 2, "question")
        world.rest()

    return story


# --- a crash between two halves


class Halves(Behaviour[Any]):
    """Moves one unit: in two messages to itself, or in one."""

    def __init__(self, accounts: dict[str, int], *, at_once: bool) -> None:
        self.accounts, self.at_once = accounts, at_once

    def receive(self, message: object, _: Envelope) -> object:
        if message in {"move", "take"}:
            self.accounts["ann"] -= 1
        if message == "take":
            self.cell.ref.tell("give", CONTEXT)
        if message in {"move", "give"}:
            self.accounts["bob"] += 1
        return None


def half_done(*, at_once: bool) -> Callable[[World], None]:
    def story(world: World) -> None:
        accounts = {"ann": 1, "bob": 0}
        mover = world.start("mover", lambda: Halves(accounts, at_once=at_once))
        mover.tell("move" if at_once else "take", CONTEXT)
        world.rest()
        assert sum(accounts.values()) == 1, accounts

    return story


RACES = {
    "lost update": Race(lost_update(ReadsThenWrites), lost_update(Adds)),
    "check, then act": Race(check_then_act(AsksThenTakes), check_then_act(TakesIfFree)),
    "initialisation overtaken": Race(overtaken(waits=False), overtaken(waits=True)),
    "ask cycle": Race(ask_cycle(listens=False), ask_cycle(listens=True)),
    "stale snapshot": Race(stale_snapshot("buy"), stale_snapshot("buy at most")),
    "acknowledgements out of order": Race(acks_out_of_order(by_set=False), acks_out_of_order(by_set=True)),
    "full mailbox": Race(full_mailbox(again=False), full_mailbox(again=True), faults={"full": 0.2}),
    "double timer": Race(double_timer(Courier), double_timer(CarefulCourier), pressed=True),
    "use after passivation": Race(use_after_passivation(wakes=False), use_after_passivation(wakes=True)),
    "lost wake-up": Race(lost_wake_up(remembers=False), lost_wake_up(remembers=True)),
    "unfenced zombie": Race(zombie(fences=False), zombie(fences=True)),
    "delivered twice": Race(delivered_twice(knows=False), delivered_twice(knows=True), faults={"twice": 0.2}),
    "reply to a former incarnation": Race(
        former_incarnation(stamped=False), former_incarnation(stamped=True), faults={"crash": 0.3}
    ),
    "half done": Race(half_done(at_once=False), half_done(at_once=True), faults={"crash": 0.2}),
}
