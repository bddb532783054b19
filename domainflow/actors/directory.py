"""Who lives where: path to ref, and who is whose child. One a runtime; nothing in it is global to the process.

A path is the names from below the root down, joined by slashes: `campaigns/6f…`. The root is `root`.
"""

import threading
from typing import Final

from domainflow.actors.ref import Ref
from domainflow.errors import Conflict

ROOT: Final = "root"


class Directory:
    """All actors that have not ended. Every operation but `tree` takes constant time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._emptied = threading.Condition(self._lock)
        self._refs: dict[str, Ref[object]] = {}
        self._children: dict[str, dict[str, None]] = {}  # parent's path -> children's paths, in start order

    def register(self, ref: Ref[object]) -> None:
        """Make an actor findable.

        Raises:
            Conflict: an actor of this path has not ended yet; nothing was changed.
        """
        with self._lock:
            if ref.path in self._refs:
                raise Conflict(f"an actor {ref.path} has not ended yet")
            self._refs[ref.path] = ref
            if ref.path != ROOT:
                self._children.setdefault(parent_of(ref.path), {})[ref.path] = None

    def unregister(self, ref: Ref[object]) -> None:
        """Forget an actor. Does nothing if it is not this one that is registered."""
        with self._lock:
            if self._refs.get(ref.path) is not ref:
                return
            del self._refs[ref.path]
            siblings = self._children.get(parent_of(ref.path), {})
            siblings.pop(ref.path, None)
            if not siblings:
                self._children.pop(parent_of(ref.path), None)
            if not self._refs:
                self._emptied.notify_all()

    def await_empty(self, timeout_s: float) -> bool:
        """Wait until every actor has ended; false when some had not within `timeout_s`."""
        with self._lock:
            return self._emptied.wait_for(lambda: not self._refs, timeout_s)

    def find(self, path: str) -> Ref[object] | None:
        """The actor of this path, or None."""
        return self._refs.get(path)

    def children(self, path: str) -> tuple[Ref[object], ...]:
        """The children of an actor in start order."""
        with self._lock:
            return tuple(self._refs[child] for child in self._children.get(path, {}))

    def all(self) -> tuple[Ref[object], ...]:
        """Every actor, in the order of registration."""
        with self._lock:
            return tuple(self._refs.values())

    def tree(self, path: str = ROOT) -> tuple[Ref[object], ...]:
        """An actor and all below it, parents before children, siblings in start order."""
        found: list[Ref[object]] = []
        ahead = [path]
        with self._lock:
            while ahead:
                current = ahead.pop()
                if current in self._refs:
                    found.append(self._refs[current])
                ahead += reversed(self._children.get(current, {}))
        return tuple(found)

    def __len__(self) -> int:
        return len(self._refs)


def parent_of(path: str) -> str:
    """The path of the parent."""
    return path.rpartition("/")[0] or ROOT


def child_path(parent: str, name: str) -> str:
    """The path of a child."""
    return name if parent == ROOT else f"{parent}/{name}"
