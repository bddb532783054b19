"""A guard taken out, for the proof that the rounds would show it."""

from typing import Final

from domainflow.store import commit_sql
from domainflow.store.commit_sql import Statement

KEYS: Final = b"select tenant, principal, key, command_hash, key_answer from done where key_answer <> ''"


def _without_keys(statement: Statement) -> Statement:
    assert KEYS in statement.text
    return statement._replace(text=statement.text.replace(KEYS, KEYS + b" and false"))


PLAIN_WITHOUT_KEYS: Final = _without_keys(commit_sql.PLAIN)
FULL_WITHOUT_KEYS: Final = _without_keys(commit_sql.FULL)
