"""Which transactions the running thread holds open: whoever would wait for an actor asks here first.

Held across such a wait, a connection can keep waiting the very actor that is waited for, and a writing one keeps every
reader of the feed waiting. Nothing here knows Postgres or an actor.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


class _Held(threading.local):
    kinds: tuple[str, ...] = ()


_held: Final = _Held()


@contextmanager
def holding(kind: str) -> Iterator[None]:
    """Have it known, on this thread and until the block ends, that it holds a transaction of this kind."""
    before = _held.kinds
    _held.kinds = (*before, kind)
    try:
        yield
    finally:
        _held.kinds = before


def refuse_to_wait(whom: str) -> None:
    """Raise RuntimeError if this thread holds a transaction: it must not wait for `whom`."""
    if _held.kinds:
        raise RuntimeError(f"this thread holds a transaction of kind {_held.kinds[-1]}: it must not wait for {whom}")
