"""Parts of the store with their guard taken out, for the proof that it is this guard that a test bears out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.store import transaction as guarded
from domainflow.store.transaction import Kind


@contextmanager
def without_rollback(
    connection: Connection[TupleRow],
    kind: Kind,
    **how: Any,  # noqa: ANN401 - as the guarded one takes it
) -> Iterator[Connection[TupleRow]]:
    """A transaction that commits what it has done when an error leaves it."""
    failed: BaseException | None = None
    with guarded.transaction(connection, kind, **how):
        try:
            yield connection
        except Exception as error:  # noqa: BLE001 - the guard that is taken out
            failed = error
    if failed is not None:
        raise failed


@contextmanager
def without_transaction(
    connection: Connection[TupleRow],
    _: Kind,
    *,
    tenants: Sequence[str] = (),
) -> Iterator[Connection[TupleRow]]:
    """No transaction: each statement stands as soon as it is done."""
    connection.execute("select set_config('domainflow.tenants', %s, false)", (",".join(tenants),))
    yield connection
