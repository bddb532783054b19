"""Code with locks, told in every order of its statements: a copy of a module that stops before each of them.

For the few modules that run on several threads at once. A statement is one step here; what several threads do within
one is not told. Locks, events and queues of the copy are the story's.
"""

import ast
import inspect
import threading
from collections import deque
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from domainflow.testing import points
from domainflow.testing.scheduler import Scheduler

_BETWEEN: Final = "_between_"


class _Stops(ast.NodeTransformer):
    """Puts a stop before each statement of each function."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.body = self._stopped(node.body)
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list) and isinstance(node, ast.If | ast.While | ast.For | ast.With | ast.Try):
                setattr(node, name, self._stopped(statements))
        return node

    @staticmethod
    def _stopped(statements: list[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for statement in statements:
            call = ast.Call(ast.Name(_BETWEEN, ast.Load()), [ast.Constant(statement.lineno)], [])
            made += [ast.copy_location(ast.Expr(call), statement), statement]
        return made


class StoryLock:
    """As `threading.Lock`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._held = False

    def acquire(self) -> bool:
        while self._held:
            self._scheduler.until(lambda: not self._held)
        self._held = True
        return True

    def release(self) -> None:
        self._held = False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class StoryQueue:
    """As `queue.SimpleQueue`, of which every call is one step."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._items: deque[object] = deque()

    def put(self, item: object) -> None:
        self._items.append(item)

    def get(self) -> object:
        while not self._items:
            self._scheduler.until(lambda: bool(self._items))
        return self._items.popleft()


def instrumented(module: ModuleType, scheduler: Scheduler, *, instead: tuple[tuple[str, str], ...] = ()) -> Any:  # noqa: ANN401 - a module has any names
    """A copy of a module, for one story.

    Args:
        module: whose source is copied.
        scheduler: of the story.
        instead: (text, other text): mutations of the source.

    Raises:
        ValueError: a text that is not there, or not once.
    """
    path = Path(inspect.getfile(module))
    source = path.read_text()
    for text, other in instead:
        if source.count(text) != 1:
            raise ValueError(f"{text!r} stands {source.count(text)} times in {path.name}")
        source = source.replace(text, other)
    tree = ast.fix_missing_locations(_Stops().visit(ast.parse(source)))
    copy = ModuleType(f"{module.__name__}_told")
    exec(compile(tree, str(path), "exec"), copy.__dict__)  # noqa: S102 - our own source
    copy.__dict__[_BETWEEN] = lambda line: _stop(scheduler, f"{path.name}:{line}")
    copy.__dict__["threading"] = SimpleNamespace(**vars(threading) | {"Lock": lambda: StoryLock(scheduler)})
    return copy


def _stop(scheduler: Scheduler, place: str) -> None:
    who = scheduler.who
    scheduler.pause(points.place(who, place, scheduler.nth(f"{who}={place}")))
