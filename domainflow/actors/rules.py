"""What an event-sourced actor is made of besides the shell: its pure core, its words, its permissions.

Values only; the shell runs them.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from domainflow.actors.codec import Codec, EventT
from domainflow.actors.effects import Effect
from domainflow.errors import Corrupt
from domainflow.security.context import Context
from domainflow.store.port import CampaignRow, Loaded, Recorded

StateT = TypeVar("StateT", bound=Struct)
CommandT = TypeVar("CommandT", bound=Struct)


class Strategy(StrEnum):
    """What becomes of a command on a shared stream that another runtime moved first."""

    REJECT = "reject"  # whoever asked hears of it
    REBASE = "rebase"  # it is decided again on the newer state
    MERGE = "merge"  # its events are put behind the others', if each commutes with each of them; else as REBASE


class Occasion(Struct, frozen=True, gc=False):
    """On whose behalf and when something is born."""

    context: Context
    now_us: int  # database clock


class Birth(Struct, frozen=True, gc=False):
    """Another stream that comes to be in the same commit."""

    stream: str
    event: Struct
    status: str
    row: CampaignRow


@dataclass(frozen=True, kw_only=True)
class Rules(Generic[StateT, CommandT, EventT]):
    """One kind of event-sourced actor."""

    name: str
    owned: bool  # one live actor in the whole fleet, fenced by an epoch; else shared, by compare-and-set
    fold_version: int
    initial: StateT
    events: Codec[EventT]  # of the union
    commands: type[CommandT]  # the union
    decide: Callable[[StateT, CommandT], tuple[EventT, ...]]
    evolve: Callable[[StateT, EventT], StateT]
    react: Callable[[StateT, EventT], tuple[Effect, ...]]
    resume: Callable[[StateT], tuple[Effect, ...]]
    permission: Callable[[CommandT], str | None]  # None: nobody may
    status: Callable[[StateT], str | None] = lambda _: None
    owner: Callable[[StateT], str | None] = lambda _: None
    births: Callable[[CommandT, tuple[EventT, ...], "Occasion"], tuple[Birth, ...]] = lambda *_: ()
    passive: Callable[[StateT], bool] = lambda _: False  # whether an idle actor may end; the next command starts it
    strategies: Mapping[type[object], Strategy] = field(default_factory=dict)  # of commands; others are rebased
    commute: Callable[[EventT, EventT], bool] = lambda *_: False  # whether a state is the same after both in any order
    asked: Callable[[CommandT], Struct] = lambda command: command  # without what its runtime has added
    campaign: Callable[[str], str | None] = lambda _: None  # stream -> uuid of the campaign whose work it commands

    def decode_event(self, recorded: Recorded) -> EventT:
        """Return an event as today's core knows it. Raises Corrupt."""
        return self.events.decode(recorded)

    def fold(self, loaded: Loaded) -> StateT:
        """Return the state of a stream as it was loaded. Raises Corrupt."""
        state = self.initial if loaded.snapshot is None else self._picture(loaded.stream, loaded.snapshot)
        for recorded in loaded.events:
            state = self.evolve(state, self.decode_event(recorded))
        return state

    def _picture(self, stream: str, snapshot: bytes) -> StateT:
        try:
            return msgspec.msgpack.decode(snapshot, type=type(self.initial))
        except (msgspec.MsgspecError, ValueError) as error:  # bad UTF-8 is a ValueError only
            raise Corrupt(f"the snapshot of {stream} cannot be read: {error}") from error


class AuditContext(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The audit record that every event carries: who, on whose behalf, why it was allowed."""

    principal: str
    roles: tuple[str, ...]
    correlation: str
    command: str  # tag of the command
    decision: str  # the rule that allowed or denied it
    causation: str = ""

    @classmethod
    def of(cls, context: Context, command: Struct, decision: str) -> "AuditContext":
        """Return the record of a command that came with this context."""
        return cls(
            principal=context.principal.id,
            roles=context.principal.roles,
            correlation=context.correlation_id,
            causation=context.causation_id,
            command=tag_of(command),
            decision=decision,
        )


class Ack(Struct, frozen=True, tag="ack", gc=False):
    """It is durable: the stream's version and status after it."""

    version: int
    status: str | None = None


class Refusal(Struct, frozen=True, tag="refusal", gc=False):
    """It was refused; the code is that of the error class."""

    code: str
    message: str


def encode(value: object) -> bytes:
    """Return the stored form of an event, a state, an answer."""
    return msgspec.msgpack.encode(value)


def decode_answer(body: bytes) -> Ack | Refusal:
    """Return an answer that was stored."""
    return msgspec.msgpack.decode(body, type=Ack | Refusal)


def hash_command(stream: str, command: Struct) -> bytes:
    """Return what tells one command from another under the same idempotency key: what is asked, and of whom."""
    return hashlib.sha256(msgspec.msgpack.encode((stream, command))).digest()


def tag_of(message: Struct) -> str:
    """Return a message's permanent tag."""
    return _tag(type(message))


@cache  # of a few classes; asking one makes its whole configuration anew
def _tag(kind: type[Struct]) -> str:
    return str(kind.__struct_config__.tag)
