"""The parameters of the commit, by their names in `commit_sql`: a column of all items, or of all their events, each."""

from collections.abc import Sequence

from domainflow.store.arrays import Array, bigints, byteas, integers, smallints, texts, times
from domainflow.store.port import Item


def is_plain(item: Item) -> bool:
    """Whether the item only records events: `PLAIN` says all of it."""
    return not (item.opens or item.accounts or item.ledger or item.box or item.about)


def columns(items: Sequence[Item], *, plain: bool) -> dict[str, Array]:
    """Return the arrays that `PLAIN`, or `FULL`, takes.

    Raises UnicodeError or struct.error for a value that has no form in which it could be sent.
    """
    common = {**_heads(items), **_keys(items), **_events(items)}
    return common if plain else {**common, **_others(items), **_work(items)}


def _heads(items: Sequence[Item]) -> dict[str, Array]:
    return {
        "stream": texts([item.stream for item in items]),
        "tenant": texts([item.tenant for item in items]),
        "expected": bigints([item.expected for item in items]),
        "previous": byteas([item.previous for item in items]),
        "version": bigints([item.version for item in items]),
        "hash": byteas([item.hash for item in items]),
        "epoch": bigints([item.epoch for item in items]),
        "status": texts([item.status for item in items]),
        "fold_version": smallints([item.fold_version for item in items]),
        "snapshot": byteas([item.snapshot for item in items]),
    }


def _keys(items: Sequence[Item]) -> dict[str, Array]:
    keys = [item.key for item in items]
    return {
        "principal": texts([None if key is None else key.principal for key in keys]),
        "key": texts([None if key is None else key.key for key in keys]),
        "command_hash": byteas([None if key is None else key.command_hash for key in keys]),
        "key_answer": byteas([None if key is None else key.answer for key in keys]),
    }


def _events(items: Sequence[Item]) -> dict[str, Array]:
    events = [event for item in items for event in item.events]
    return {
        "e_item": bigints([n for n, item in enumerate(items, 1) for _ in item.events]),
        "e_version": bigints([event.version for event in events]),
        "e_recorded_at": times([event.recorded_at_us for event in events]),
        "e_type": texts([event.type for event in events]),
        "e_type_version": smallints([event.type_version for event in events]),
        "e_context": byteas([event.context for event in events]),
        "e_body": byteas([event.body for event in events]),
        "e_hash": byteas([event.hash for event in events]),
    }


def _others(items: Sequence[Item]) -> dict[str, Array]:
    return {
        "campaign": texts([item.campaign for item in items]),
        "ledger": texts([item.ledger.value if item.ledger else None for item in items]),
        "box": texts([item.box.command if item.box else None for item in items]),
        "box_answer": byteas([item.box.answer if item.box else None for item in items]),
        "about": texts([item.about.stream if item.about else None for item in items]),
        "about_epoch": bigints([item.about.epoch if item.about else None for item in items]),
    }


def _work(items: Sequence[Item]) -> dict[str, Array]:
    opens = [(n, each) for n, item in enumerate(items, 1) for each in item.opens]
    return {
        "a_item": bigints([n for n, item in enumerate(items, 1) for _ in item.accounts]),
        "a_id": bigints([id_ for item in items for id_ in item.accounts]),
        "o_item": bigints([n for n, _ in opens]),
        "o_phase": smallints([each.phase for _, each in opens]),
        "o_run": smallints([each.run for _, each in opens]),
        "o_batch": integers([each.batch for _, each in opens]),
        "o_start": bigints([each.start for _, each in opens]),
        "o_stop": bigints([each.stop for _, each in opens]),
        "o_state": smallints([3 if each.parked else 0 for _, each in opens]),
    }
