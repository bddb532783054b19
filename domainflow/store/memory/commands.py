"""The command box; the twin of `store.commands`."""

from collections.abc import Collection
from typing import Final

from msgspec.structs import replace

from domainflow.errors import StoreRefused
from domainflow.store.commands import Boxed
from domainflow.store.memory.tables import InBox, MemoryStore

KEPT_US: Final = 24 * 3_600_000_000
MOST: Final = 500


def put(store: MemoryStore, command: Boxed, *, deadline_s: float) -> None:
    """Put a command into the box; it expires after `deadline_s` by the store's clock."""
    with store.lock:
        if command.id in store.tables.commands:
            raise StoreRefused(f"command {command.id} is in the box already")
        now_us = store.now_us()
        deadline_us = now_us + round(deadline_s * 1_000_000)
        store.tables.commands[command.id] = InBox(command=command, created_at_us=now_us, deadline_us=deadline_us)


def pending(store: MemoryStore, runtime: str, *, busy: Collection[str] = ()) -> list[Boxed]:
    """Return the oldest unanswered command of each stream that `runtime` owns, but of `busy` ones; up to 500."""
    with store.lock:
        owners, now_us = store.tables.owners, store.now_us()
        waiting = [each for each in store.tables.commands.values() if not each.answered]
        mine = [each for each in waiting if owners.get(stream := each.command.stream) == runtime and stream not in busy]
        oldest: dict[str, InBox] = {}
        for each in sorted(mine, key=lambda each: (each.created_at_us, each.command.id)):
            oldest.setdefault(each.command.stream, each)
        first = list(oldest.values())[:MOST]
        return [replace(each.command, left_s=(each.deadline_us - now_us) / 1e6) for each in first]


def answer(store: MemoryStore, command: str) -> bytes | None:
    """Return the answer of a command; None: not yet."""
    found = store.tables.commands.get(command)
    return found.answer if found else None


def withdraw(store: MemoryStore, command: str, answer_: bytes) -> bool:
    """Answer a command without doing it; False: it was answered before."""
    with store.lock:
        found = store.tables.commands.get(command)
        if found is None or found.answered:
            return False
        store.tables.commands[command] = replace(found, answer=answer_, answered=True)
        return True


def prune(store: MemoryStore) -> bool:
    """Delete commands and idempotency records older than 24 hours, here all at once; False: there are no more."""
    with store.lock:
        oldest = store.now_us() - KEPT_US
        tables = store.tables
        tables.commands = {id_: each for id_, each in tables.commands.items() if each.created_at_us >= oldest}
        tables.keys = {key: each for key, each in tables.keys.items() if each.created_at_us >= oldest}
        return False
