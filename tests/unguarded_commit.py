"""The statements of the commit with a guard taken out, for the proof that it is this guard that a test bears out."""

from domainflow.store import commit_sql
from domainflow.store.commit_sql import Statement


def without(statement: Statement, guard: str, instead: str = "") -> Statement:
    """The statement with `instead` of a guard, which must be in it."""
    assert guard.encode() in statement.text, guard
    return statement._replace(text=statement.text.replace(guard.encode(), instead.encode()))


def both_without(guard: str, instead: str = "") -> tuple[Statement, Statement]:
    """PLAIN and FULL without it."""
    return without(commit_sql.PLAIN, guard, instead), without(commit_sql.FULL, guard, instead)


def in_place_of(statements: str) -> tuple[str, str]:
    """The patches that put a module's `PLAIN` and `FULL` in the place of the commit's, for `Child`: "module"."""
    return tuple(f"domainflow.store.commit:{name}={statements}:{name}" for name in ("PLAIN", "FULL"))  # type: ignore[return-value]  # it has two
