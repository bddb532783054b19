"""What a supervisor does when a child has ended: one pure decision, by OTP's rules and names.

No clock, no chance, no actor: the supervisor carries out what is decided here.

Source: Erlang/OTP `supervisor` (stdlib), "Supervision Principles". Beyond OTP: a delay that grows with the restarts.
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from domainflow.backoff import BASE_S, CAP_S, delay_s
from domainflow.errors import RestartsExhausted


class Strategy(StrEnum):
    """Who is restarted with a child that failed."""

    ONE_FOR_ONE = "one_for_one"  # nobody
    ONE_FOR_ALL = "one_for_all"  # all
    REST_FOR_ONE = "rest_for_one"  # those started after it


class Restart(StrEnum):
    """When a child is restarted."""

    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # only after a failure
    TEMPORARY = "temporary"  # never, and it is forgotten when it has ended


class Exit(StrEnum):
    """How a child ended."""

    NORMAL = "normal"  # by itself
    SHUTDOWN = "shutdown"  # told to, or its supervisor gave up in order
    FAILED = "failed"  # by an exception, in its start too


class AutoShutdown(StrEnum):
    """Whether a supervisor ends, in order, when significant children have ended by themselves and don't come back."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"  # one of them
    ALL_SIGNIFICANT = "all_significant"  # the last of them


class Budget(Struct, frozen=True):
    """More than `max_restarts` restarts within any `period_s` are too many."""

    max_restarts: int = 3
    period_s: float = 30.0


class Policy(Struct, frozen=True, kw_only=True):
    """How one supervisor treats its children."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    budget: Budget = Budget()
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    base_s: float = BASE_S  # delay before the first restart; doubles with each one within the period
    cap_s: float = CAP_S


class Sibling(Struct, frozen=True):
    """A child as the decision sees it."""

    name: str
    restart: Restart
    significant: bool = False
    gone: bool = False  # it ended by itself, and was not to come back


class Ended(Struct, frozen=True, kw_only=True):
    """What happened, and what had happened before."""

    name: str
    exit: Exit
    at_s: float  # monotonic
    restarts_at_s: tuple[float, ...] = ()  # earlier restarts, ascending
    jitter: float = 0.0  # drawn from [0, 1)


class Plan(Struct, frozen=True, kw_only=True):
    """What to do, in this order: stop, forget, wait, start. `escalate`: stop all instead, and fail.

    `shut_down`: stop all instead, and end.
    """

    stop: tuple[str, ...] = ()  # right to left; those that are not running are skipped
    forget: tuple[str, ...] = ()  # temporary children: they do not come back
    delay_s: float = 0.0
    start: tuple[str, ...] = ()  # left to right
    escalate: bool = False
    shut_down: bool = False
    restarts_at_s: tuple[float, ...] = ()  # to be handed in next time


def decide(policy: Policy, siblings: Sequence[Sibling], ended: Ended) -> Plan:
    """What follows from one child's end.

    Args:
        policy: the supervisor's.
        siblings: all its children in start order, the ended one among them.
        ended: which child, how and when. A start that failed is `Exit.FAILED`: it counts like any failure, or a
            child that cannot start would be retried for ever and nobody above would hear of it.

    Raises:
        ValueError: the ended child is not among the siblings.
    """
    place = _place(siblings, ended.name)
    child = siblings[place]
    if not _comes_back(child.restart, ended.exit):
        return Plan(
            forget=(child.name,) if child.restart is Restart.TEMPORARY else (),
            shut_down=_shuts_down(policy.auto_shutdown, siblings, place),
            restarts_at_s=ended.restarts_at_s,
        )
    # Counted before the attempt, as OTP does.
    spent = (*(at for at in ended.restarts_at_s if at >= ended.at_s - policy.budget.period_s), ended.at_s)
    if len(spent) > policy.budget.max_restarts:
        return Plan(stop=_names(siblings)[::-1], escalate=True, restarts_at_s=spent)
    affected = _affected(policy.strategy, siblings, place)
    return Plan(
        stop=tuple(name for name in _names(affected)[::-1] if name != child.name),
        forget=_names([sibling for sibling in affected if sibling.restart is Restart.TEMPORARY]),
        delay_s=delay_s(len(spent), ended.jitter, base_s=policy.base_s, cap_s=policy.cap_s),
        start=_names([sibling for sibling in affected if sibling.restart is not Restart.TEMPORARY]),
        restarts_at_s=spent,
    )


def exit_by(error: BaseException) -> Exit:
    """How a child ended that ran and then failed with this.

    A supervisor that gave up has stopped all below it and ended in order: OTP's `shutdown`. So one that is transient
    is not restarted; what shall survive the giving up of its children is permanent.
    """
    return Exit.SHUTDOWN if isinstance(error, RestartsExhausted) else Exit.FAILED


def _place(siblings: Sequence[Sibling], name: str) -> int:
    for place, sibling in enumerate(siblings):
        if sibling.name == name:
            return place
    raise ValueError(f"{name} is not among the children")


def _comes_back(restart: Restart, how: Exit) -> bool:
    return restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and how is Exit.FAILED)


def _shuts_down(when: AutoShutdown, siblings: Sequence[Sibling], place: int) -> bool:
    others = (*siblings[:place], *siblings[place + 1 :])
    match when:
        case AutoShutdown.NEVER:
            return False
        case AutoShutdown.ANY_SIGNIFICANT:
            return siblings[place].significant
        case AutoShutdown.ALL_SIGNIFICANT:
            return siblings[place].significant and not any(each.significant and not each.gone for each in others)


def _affected(strategy: Strategy, siblings: Sequence[Sibling], place: int) -> Sequence[Sibling]:
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return siblings[place : place + 1]
        case Strategy.ONE_FOR_ALL:
            return siblings
        case Strategy.REST_FOR_ONE:
            return siblings[place:]


def _names(siblings: Sequence[Sibling]) -> tuple[str, ...]:
    return tuple(sibling.name for sibling in siblings)
