"""Every strategy, restart type, kind of end, place and moment: what a live tree does is what OTP's text says.

Each row names the rule that it pins. What is expected comes from `otp`, which knows nothing of ours.
"""

from collections.abc import Callable
from itertools import product
from math import inf
from typing import Final, NamedTuple

import pytest
from kernel import CONTEXT, Puppet, failing
from one_thread import Stage
from otp import Otp, Told
from structlog.testing import capture_logs
from tree import find

from domainflow.actors.children import ChildSpec
from domainflow.actors.envelope import DEFERRED, Deferred
from domainflow.actors.restart import Budget, Exit, Policy, Restart, Strategy
from domainflow.actors.signals import Stop
from domainflow.actors.system import System

ERRORS: Final = {"exception": ValueError, "system_exit": SystemExit}
HOWS: Final = ("normal", *ERRORS, "told", "stuck")
RULES: Final = {
    "one_for_one": "S1 one_for_one: nobody but the one that ended",
    "one_for_all": "S2 one_for_all: all others stopped in reverse order, all started in order",
    "rest_for_one": "S3 rest_for_one: those started after it stopped in reverse order, it and they started in order",
    "transient": "R1 transient: not restarted after a normal end",
    "temporary": "R2 temporary: never restarted",
    "sibling": "R3 temporary: ended because of a sibling, gone for good",
    "killed": "K1 shutdown: told, awaited, then killed; the others go on",
    "brutal": "K2 brutal_kill: not told and not awaited",
    "start": "F1 a first start that fails: the started are stopped in reverse order, the parent hears why, no retry",
    "restart": "F2 a restart that fails: counted, and the one that failed to start is tried again",
    "interrupted": "D1 told to stop while a child starts: unlike OTP it does not wait for that start",
    "stop": "C1 stopped from the last to the first, whatever they raise",
    "ended": "C2 one that ended before it was told to is not waited for",
}


class Row(NamedTuple):
    strategy: Strategy
    restart: Restart
    how: str
    subject: str
    during: str  # start: of all; restart: its second start; run; stop: of all

    @property
    def rule(self) -> str:
        match self.during:
            case "stop":
                name = {"normal": "ended", "stuck": "killed", "brutal": "brutal"}.get(self.how, "stop")
            case "run":
                name = self._rule_of_run()
            case _:
                name = "interrupted" if self.how in {"told", "stuck"} else self.during
        return RULES[name]

    def _rule_of_run(self) -> str:
        by_itself = self.how not in {"told", "stuck"}
        if by_itself and self.restart is Restart.TEMPORARY:
            return "temporary"
        if self.how == "normal" and self.restart is Restart.TRANSIENT:
            return "transient"
        if by_itself or self.strategy is Strategy.ONE_FOR_ONE or (self.strategy, self.subject) == ("rest_for_one", "a"):
            return str(self.strategy)
        if self.how == "stuck":
            return "killed"
        return "sibling" if self.restart is Restart.TEMPORARY else str(self.strategy)

    @property
    def sibling(self) -> str:
        """Whose failure has the subject told to stop, where the strategy says so."""
        return "c" if self.subject == "a" else "a"


ROWS: Final = [
    *(Row(*row) for row in product(Strategy, Restart, HOWS, "abc", ("start", "run", "stop"))),
    *(Row(*row) for row in product(Strategy, (Restart.PERMANENT, Restart.TRANSIENT), HOWS, "abc", ("restart",))),
    *(Row(*row) for row in product(Strategy, Restart, ("brutal",), "abc", ("stop",))),
]


class Live:
    """A row played by a supervisor and three children on the real kernel."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.happened: list[str] = []
        self.stage = Stage(self.happened.append)
        self.system = System(self.stage)
        self.starts = 0  # of the subject

    def play(self) -> list[str]:
        policy = Policy(strategy=self.row.strategy, budget=Budget(3, inf))
        try:
            self.system.start([self.spec(name) for name in "abc"], policy, timeout_s=0)
        except BaseException as error:  # noqa: BLE001  # what the parent hears is a part of the row
            self.happened.append(f"the parent hears {type(error).__name__}")
            return self.happened
        getattr(self, self.row.during)()
        self.stage.settle()
        self.system.stop(0)
        return self.happened

    def spec(self, name: str) -> ChildSpec:
        if name != self.row.subject:
            return ChildSpec(name=name, factory=lambda: Player(self, name), shutdown_s=inf)
        shutdown_s = {"stuck": 1.0, "brutal": 0.0}.get(self.row.how, inf)
        return ChildSpec(name=name, factory=lambda: Player(self, name), shutdown_s=shutdown_s, restart=self.row.restart)

    def run(self) -> None:
        subject, sibling = find(self.system, self.row.subject), find(self.system, self.row.sibling)
        match self.row.how:
            case "normal":
                subject.tell(lambda me, _: me.cell.stop(), CONTEXT)
            case "told":
                sibling.tell(failing(ValueError()), CONTEXT)
            case "stuck":
                subject.tell(
                    lambda me, _: me.while_stuck(lambda: sibling.tell(failing(ValueError()), CONTEXT)), CONTEXT
                )
            case how:
                subject.tell(failing(ERRORS[how]()), CONTEXT)

    def restart(self) -> None:
        find(self.system, self.row.subject).tell(failing(ValueError()), CONTEXT)

    def stop(self) -> None:
        subject = find(self.system, self.row.subject)
        if self.row.how == "stuck":
            subject.tell(lambda me, _: me.while_stuck(self.order_stop), CONTEXT)
            return
        with self.stage.thread.held():
            if self.row.how == "normal":
                subject.tell(lambda me, _: me.cell.stop(), CONTEXT)
            self.order_stop()

    def order_stop(self) -> None:
        self.system.root.signal(Stop(Exit.SHUTDOWN))

    def start_of_subject(self, player: "Player") -> Deferred | None:
        """Whatever its start shall come to in this row."""
        self.starts += 1
        if self.starts != {"start": 1, "restart": 2}.get(self.row.during):
            self.happened.append(f"+{player.name}")
            return None
        match self.row.how:
            case "told":
                self.order_stop()
            case "stuck":
                player.while_stuck(self.order_stop)
            case "normal":
                player.quietly = True
                self.happened.append(f"!{player.name}")
                player.cell.stop()
            case how:
                self.happened.append(f"!{player.name}")
                raise ERRORS[how]
        return DEFERRED


class Player(Puppet):
    def __init__(self, live: Live, name: str) -> None:
        super().__init__()
        self.live, self.name, self.quietly = live, name, False

    def on_start(self) -> Deferred | None:
        if self.name == self.live.row.subject:
            return self.live.start_of_subject(self)
        self.live.happened.append(f"+{self.name}")
        return None

    def while_stuck(self, act: Callable[[], None]) -> None:
        """Be in this turn while the others go on."""
        act()
        self.live.stage.settle()

    def on_stop(self) -> None:
        if not self.quietly:
            self.live.happened.append(f"-{self.name}")
        if self.live.row.during == "stop" and self.name == self.live.row.subject and self.live.row.how in ERRORS:
            raise ERRORS[self.live.row.how]


HEARS: Final = {"normal": "ActorStopped", "exception": "ValueError", "system_exit": "SystemExit"}


def by_otp(row: Row) -> list[str]:
    otp = Otp(row.strategy, {name: row.restart if name == row.subject else "permanent" for name in "abc"})
    otp.stuck, otp.brutal = (row.subject if row.how == kind else "" for kind in ("stuck", "brutal"))
    try:
        return play(otp, row)
    except Told:
        otp.terminate(otp.restart_type)
        return [*otp.log, "the parent hears Unavailable"] if row.during == "start" else otp.log


def play(otp: Otp, row: Row) -> list[str]:
    prepared = [row.subject] if row.how in HEARS else []
    interrupted = row.subject if row.how in {"told", "stuck"} else ""
    if row.during == "start":
        otp.failing, otp.interrupted = prepared, interrupted
        otp.init()
        return [*otp.log, f"the parent hears {HEARS[row.how]}"]
    otp.init()
    if row.during == "restart":
        otp.failing, otp.interrupted = prepared, interrupted
        otp.exits(row.subject, abnormally=True)
    elif row.during == "run" and row.how in HEARS:
        otp.exits(row.subject, abnormally=row.how != "normal")
    elif row.during == "run":
        otp.exits(row.sibling, abnormally=True)
        otp.stuck = ""  # it came back, or another has its place
    elif row.how == "normal":
        otp.running.remove(row.subject)
        otp.log.append(f"-{row.subject}")
    otp.terminate(otp.restart_type)
    return otp.log


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.rule} | {' '.join(row[:-1])} during {row.during}")
def test_a_live_supervisor_does_what_otp_s_text_says(row: Row) -> None:
    with capture_logs():  # a traceback costs twenty times what its row does
        happened = Live(row).play()
    assert happened == by_otp(row)


def test_every_rule_has_rows() -> None:
    assert {row.rule for row in ROWS} == {*RULES.values()}
    assert len(ROWS) >= 150
