"""Small programs of actors, each with one well-known race, and each once more without it. Stories for `find`.

Source of the kinds: Torres Lopez et al., "A study of concurrency bugs and advanced development support for actor-based
programs" (2018); Bagherzadeh et al., "Actor concurrency bugs" (OOPSLA 2020).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from domainflow.actors.behaviour import Behaviour
from domainflow.actors.envelope import Envelope
from domainflow.actors.ref import Ref
from domainflow.actors.signals import Answer
from domainflow.errors import MailboxFull
from domainflow.testing import CONTEXT, Search, World


class Race(NamedTuple):
    """One race: with it, and without it."""

    broken: Callable[[World], None]
    fixed: Callable[[World], None]
    faults: Mapping[str, float] = {}
    pressed: bool = False

    def search(self, schedules: int) -> Search:
        return Search(schedules=schedules, faults=self.faults, pressed=self.pressed)


def tell_all(refs: list[Ref[Any]], message: object) -> None:
    for ref in refs:
        ref.tell(message, CONTEXT)


# --- lost update: read, then write what was made of it


class Register(Behaviour[Any]):
    def __init__(self) -> None:
        self.value = 0

    def receive(self, message: object, _: Envelope) -> object:
        match message:
            case ("add", int(number)):
                self.value += number
            case int(number):
                self.value = number
        return self.value


class ReadsThenWrites(Behaviour[Any]):
    def __init__(self, register: Ref[Any]) -> None:
        self.register = register

    def receive(self, message: object, _: Envelope) -> object:
        self.cell.request(self.register, "read", CONTEXT, token=message)
        return None

    def on_signal(self, signal: object) -> None:
        if isinstance(signal, Answer) and isinstance(signal.value, int):
            self.register.tell(signal.value + 1, CONTEXT)


class Adds(ReadsThenWrites):
    def receive(self, _message: object, _: Envelope) -> object:
        self.register.tell(("add", 1), CONTEXT)
        return None


def lost_update(adder: type[ReadsThenWrites]) -> Callable[[World], None]:
    def story(world: World) -> None:
        register = world.start("register", Register)
        tell_all([world.start(name, lambda: adder(register)) for name in ("ann", "bob")], "add")
        world.rest()
        assert register.ask("read", CONTEXT) == 2

    return story


# --- check, then act on what may not be true any more


class Seat(Behaviour[Any]):
    def __init__(self) -> None:
        self.holders: list[object] = []

    def receive(self, message: object, _: Envelope) -> object:
        match message:
            case "is it free?":
                return not self.holders
            case ("take it", who):
                self.holders.append(who)
            case ("take it if it is free", who):
                self.holders = self.holders or [who]
        return len(self.holders)


class AsksThenTakes(Behaviour[Any]):
    def __init__(self, seat: Ref[Any]) -> None:
        self.seat = seat

    def receive(self, message: object, _: Envelope) -> object:
        self.cell.request(self.seat, "is it free?", CONTEXT, token=message)
        return None

    def on_signal(self, signal: object) -> None:
        if isinstance(signal, Answer) and signal.value is True:
            self.seat.tell(("take it", self.cell.path), CONTEXT)


class TakesIfFree(AsksThenTakes):
    def receive(self, _message: object, _: Envelope) -> object:
        self.seat.tell(("take it if it is free", self.cell.path), CONTEXT)
        return None


def check_then_act(guest: type[AsksThenTakes]) -> Callable[[World], None]:
    def story(world: World) -> None:
        seat = world.start("seat", Seat)
        tell_all([world.start(name, lambda: guest(seat)) for name in ("ann", "bob")], "sit down")
        world.rest()
        assert seat.ask("who sits there?", CONTEXT) == 1

    return story


# --- initialisation overtaken: what a third one was told comes first


class Printer(Behaviour[Any]):
    def __init__(self, *, waits: bool) -> None:
        self.waits = waits
        self.paper = ""

    def on_start(self) -> None:
        if self.waits:
            self.early: list[object] = []

    def receive(self, message: object, _: Envelope) -> object:
        match message:
            case ("paper", str(kind)):
                self.paper = kind
                if self.waits:
                    tell_all([self.cell.ref] * len(self.early), "print")
            case "print" if self.waits and not self.paper:
                self.early.append(message)
            case "print":
                assert self.paper, "it prints without paper"
        return None


class Relay(Behaviour[Any]):
    """Passes on what it gets."""

    def __init__(self, to: Ref[Any]) -> None:
        self.to = to

    def receive(self, message: object, _: Envelope) -> object:
        self.to.tell(message, CONTEXT)
        return None


def overtaken(*, waits: bool) -> Callable[[World], None]:
    def story(world: World) -> None:
        printer = world.start("printer", lambda: Printer(waits=waits))
        store, clerk = world.start("store", lambda: Relay(printer)), world.start("clerk", lambda: Relay(printer))
        store.tell(("paper", "A4"), CONTEXT)
        clerk.tell("print", CONTEXT)
        world.rest()

    return story


# --- ask cycle: each waits for the other and hears nobody meanwhile


class Philosopher(Behaviour[Any]):
    def __init__(self, *, listens: bool) -> None:
        self.listens = listens
        self.other: Ref[Any] | None = None
        self.answered = False

    def receive(self, message: object, _: Envelope) -> object:
        match message:
            case Ref():
                self.other = message
            case "ask the other" if self.other is not None:
                if not self.listens:
                    self.cell.suspend_user()
                self.cell.request(self.other, "what do you think?", CONTEXT, token="opinion")
        return "nothing"

    def on_signal(self, signal: object) -> None:
        if isinstance(signal, Answer):
            if not self.listens:
                self.cell.resume_user()
            assert signal.error is None, signal.error


def ask_cycle(*, listens: bool) -> Callable[[World], None]:
    def story(world: World) -> None:
        ann, bob = (world.start(name, lambda: Philosopher(listens=listens)) for name in ("ann", "bob"))
        with world.calm():
            ann.ask(bob, CONTEXT)
            bob.ask(ann, CONTEXT)
        tell_all([ann, bob], "ask the other")
        world.rest()

    return story


# --- a stale snapshot: decided on what it was told earlier


class Shop(Behaviour[Any]):
    def __init__(self, watcher: Ref[Any]) -> None:
        self.watcher, self.price, self.sold_at = watcher, 1, 0

    def receive(self, message: object, _: Envelope) -> object:
        match message:
            case ("price", int(price)):
                self.price = price
                self.watcher.tell(("price", price), CONTEXT)
            case ("buy", int(at)):
                assert at == self.price, f"bought at {at} what costs {self.price}"
            case ("buy at most", int(at)):
                self.sold_at = self.price if self.price <= at else 0
        return None


class Buyer(Behaviour[Any]):
    """Knows the price that it heard last."""

    def __init__(self, word: str) -> None:
        self.word, self.price = word, 1

    def receive(self, message: object, _: Envelope) -> object:
        match message:
            case ("price", int(price)):
                self.price = price
            case ("go", Ref() as shop):
                shop.tell((self.word, self.price), CONTEXT)
        return None


def stale_snapshot(word: str) -> Callable[[World], None]:
    def story(world: World) -> None:
        buyer = world.start("buyer", lambda: Buyer(word))
        shop = world.start("shop", lambda: Shop(buyer))
        world.thread("owner", lambda: shop.tell(("price", 2), CONTEXT))
        buyer.tell(("go", shop), CONTEXT)
        world.rest()

    return story


# --- acknowledgements out of order: the last one says nothing of those before


class Tracker(Behaviour[Any]):
    def __init__(self, *, by_set: bool) -> None:
        self.by_set, self.acknowledged, self.cursor = by_set, set[int](), 0

    def receive(self, message: object, _: Envelope) -> object:
        if isinstance(message, int):
            self.acknowledged.add(message)
            self.cursor = message if not self.by_set else next(n for n in range(4) if n + 1 not in self.acknowledged)
            missing = set(range(1, self.cursor + 1)) - self.acknowledged
            assert not missing, f"the cursor is at {self.cursor}, and {missing} was not done"
        return None


def acks_out_of_order(*, by_set: bool) -> Callable[[World], None]:
    def story(world: World) -> None:
        tracker = world.start("tracker", lambda: Tracker(by_set=by_set))
        workers = [world.start(f"worker-{number}", lambda: Relay(tracker)) for number in (1, 2, 3)]
        for number, worker in enumerate(workers, 1):
            worker.tell(number, CONTEXT)
        world.rest()

    return story


# --- a mailbox that was full


class Drip(Behaviour[Any]):
    """Passes drops on, and tries again where told so."""

    def __init__(self, to: Ref[Any], *, again: bool) -> None:
        self.to, self.again = to, again

    def receive(self, message: object, _: Envelope) -> object:
        self.drip(message)
        return None

    def on_signal(self, signal: object) -> None:
        self.drip(signal)

    def drip(self, drop: object) -> None:
        try:
            self.to.tell(drop, CONTEXT)
        except MailboxFull:
            if self.again:
                self.cell.start_timer(object(), 0.1, drop)


def full_mailbox(*, again: bool) -> Callable[[World], None]:
    def story(world: World) -> None:
        register = world.start("register", Register)
        drip = world.start("drip", lambda: Drip(register, again=again))
        tell_all([drip] * 3, ("add", 1))
        world.rest()
        assert register.ask("read", CONTEXT) == 3

    return story
