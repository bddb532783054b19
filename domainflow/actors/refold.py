"""Snapshots compared with what they are of: the fold of their events. One that differs is said aloud and not used.

Starts are compared by chance, all else is the verifier's. Waits for Postgres: only for threads that may.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from domainflow.actors.rules import Rules, encode
from domainflow.errors import Corrupt, Unavailable
from domainflow.meters import METERS
from domainflow.security import gate
from domainflow.security.context import Principal, system
from domainflow.store.chain import follows
from domainflow.store.faults import Fault, Kind
from domainflow.store.port import Loaded, Recorded
from domainflow.store.postgres import Postgres

ONE_IN: Final = 64  # starts with a snapshot
MOST_EVENTS: Final = 10_000  # a fraction of a second, while an actor waits to start; beyond, it is the verifier's
PAGE: Final = 500  # events a transaction

_log = structlog.get_logger()


class Note(Protocol):
    """Records on the audit stream what no actor heard of."""

    def __call__(self, what: str, principal: Principal, command: str, rule: str, *, stream: str) -> None:
        """Wait until it is recorded. Raises Unavailable."""
        ...


def log_fault(fault: Fault) -> None:
    """Say what was found wrong."""
    _log.error("fault_found", kind=str(fault.kind), where=fault.where, text=fault.text)
    METERS.count("faults_found", fault.kind)


def difference(snapshot: bytes, state: Struct, version: int) -> str | None:
    """Return in words how a snapshot differs from the state that was folded; None: it does not."""
    try:
        picture = msgspec.msgpack.decode(snapshot, type=type(state))
    except (msgspec.MsgspecError, ValueError) as error:  # bad UTF-8 is a ValueError only
        return f"its snapshot cannot be read: {error}"
    names = [name for name in state.__struct_fields__ if getattr(picture, name) != getattr(state, name)]
    return f"its snapshot is not the fold of versions 1 to {version}: {', '.join(names)}" if names else None


class Refold:
    """Compares the snapshots of one runtime's actors."""

    def __init__(
        self,
        store: Postgres,
        rules: Mapping[str, Rules[Any, Any, Any]],
        *,
        chance: Callable[[], float],
        note: Note,
        report: Callable[[Fault], None] = log_fault,
    ) -> None:
        """Wire it.

        Args:
            store: whose snapshots.
            rules: by the first word of a stream; snapshots of other kinds are left to the verifier.
            chance: draws from [0, 1).
            note: records that a snapshot is replaced; raises Unavailable, and then it is not.
            report: is told of each fault that is found.
        """
        self._store = store
        self._rules = rules
        self._chance = chance
        self._note = note
        self._report = report

    def sampled(self, loaded: Loaded) -> Loaded:
        """Return what an actor starts from; one in ONE_IN was compared, and each whose snapshot cannot be read."""
        if not 0 < loaded.snapshot_version <= MOST_EVENTS or _kind(loaded) not in self._rules:
            return loaded
        return self.checked(loaded) if self._chance() * ONE_IN < 1 or not self._is_readable(loaded) else loaded

    def checked(self, loaded: Loaded) -> Loaded:
        """Return a stream with the right snapshot; another one is reported, recorded, and replaced in the store.

        What is stored stays where the chain does not hold, or where no record can be made. What cannot be folded is
        reported, and returned as it came. Raises StoreUnavailable.
        """
        if loaded.snapshot is None:
            return loaded
        try:
            state, holds = self._fold(loaded)
        except Corrupt as error:
            self._report(Fault(Kind.EVENT_UNREADABLE, loaded.stream, str(error)))
            return loaded
        text = difference(loaded.snapshot, state, loaded.snapshot_version)
        if text is None:
            return loaded
        self._report(Fault(Kind.SNAPSHOT_DIFFERS, loaded.stream, text))
        right = encode(state)
        if holds:
            self._replace(loaded, right)
        return replace(loaded, snapshot=right)

    def _is_readable(self, loaded: Loaded) -> bool:
        try:
            self._rules[_kind(loaded)].fold(replace(loaded, events=()))
        except Corrupt:
            return False
        return True

    def _fold(self, loaded: Loaded) -> tuple[Struct, bool]:
        """Return the state at the snapshot's version, and whether the chain holds up to the head."""
        rules = self._rules[_kind(loaded)]
        before = self._store.beginning(loaded.stream)
        state, holds = rules.initial, True
        for recorded in self._prefix(loaded, before[0]):
            state = rules.evolve(state, rules.decode_event(recorded))
            holds, before = holds and follows(recorded, *before), (recorded.version, recorded.hash)
        for recorded in loaded.events:
            holds, before = holds and follows(recorded, *before), (recorded.version, recorded.hash)
        return state, holds and before == (loaded.version, loaded.hash)

    def _prefix(self, loaded: Loaded, after: int) -> Iterator[Recorded]:
        while after < loaded.snapshot_version:
            limit = min(PAGE, loaded.snapshot_version - after)
            page = self._store.events(loaded.stream, after=after, limit=limit)
            yield from page
            after = page[-1].version if page else loaded.snapshot_version

    def _replace(self, loaded: Loaded, right: bytes) -> None:
        who = system(loaded.tenant)
        rule = gate.check(who, "campaigns:execute", tenant=loaded.tenant).rule
        try:
            self._note("mended", who, "snapshot.replace", rule, stream=loaded.stream)
            replaced = self._store.replace_snapshot(loaded, right)
        except Unavailable as error:
            _log.warning("snapshot_not_replaced", stream=loaded.stream, error=str(error)[:200])
        else:
            _log.warning("snapshot_replaced", stream=loaded.stream, version=loaded.snapshot_version, replaced=replaced)


def _kind(loaded: Loaded) -> str:
    return loaded.stream.partition("/")[0]
