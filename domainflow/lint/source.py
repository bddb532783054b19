"""What the names in files stand for: imports, classes and what they derive from. What is wrong with it, `rules` say."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

CORES: Final = frozenset({"core.py", "messages.py", "events.py", "evolution.py"})
BEHAVIOURS: Final = frozenset({"Behaviour", "EventSourced", "Supervising", "Supervisor", "DynamicSupervisor"})


class Module:
    """One file."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        self.path = path
        self.tree = tree
        self.is_core = path.name in CORES
        self.classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        self.functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self.values = dict(assigned(tree.body))
        self.replies = frozenset(_replies(tree))
        self._imported = dict(_imported(tree))

    def dotted(self, node: ast.expr) -> str:
        """What an expression names, from its import down; "": nothing that is imported or built in."""
        match node:
            case ast.Name(id=name) if name in self._imported:
                return self._imported[name]
            case ast.Name(id="open" | "input" as name) if name not in self.functions:
                return name
            case ast.Attribute(value=value, attr=attr) if base := self.dotted(value):
                return f"{base}.{attr}"
            case _:
                return ""

    def called(self, cls: ast.ClassDef) -> set[ast.FunctionDef]:
        """The functions of this file that a class names, or that these name."""
        found = set[ast.FunctionDef]()
        ahead: list[ast.AST] = [cls]
        while ahead:
            names = {node.id for node in ast.walk(ahead.pop()) if isinstance(node, ast.Name)}
            new = {function for name, function in self.functions.items() if name in names} - found
            found |= new
            ahead += new
        return found


class Source:
    """All files that are read together. A class is known by its name, first in its own file."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = modules
        self._homes = {name: module for module in modules for name in module.classes}
        self.behaviours = [
            (module, cls)
            for module in modules
            for cls in module.classes.values()
            if self.derives(module, cls, BEHAVIOURS)
        ]

    def derives(self, module: Module, cls: ast.ClassDef, roots: Iterable[str]) -> bool:
        """Whether a class derives from one of these names."""
        return any(name in roots for name, found in self._lineage(module, cls) if found is not cls)

    def says(self, module: Module, cls: ast.ClassDef, what: str) -> bool:
        """Whether a class sets this attribute to True: by itself, or else by the nearest that it derives from."""
        for _, found in self._lineage(module, cls):
            value = dict(assigned(found.body)).get(what) if found is not None else None
            if isinstance(value, ast.Constant):
                return value.value is True
        return False

    def is_frozen(self, module: Module, cls: ast.ClassDef) -> bool:
        """Whether a Struct is frozen, by its own word or by inheritance."""
        for _, found in self._lineage(module, cls):
            for keyword in found.keywords if found is not None else ():
                if keyword.arg == "frozen" and isinstance(keyword.value, ast.Constant):
                    return keyword.value.value is True
        return False

    def _lineage(self, module: Module, cls: ast.ClassDef) -> Iterator[tuple[str, ast.ClassDef | None]]:
        """A class and all that it derives from, the nearest first; None: it stands in none of the files."""
        yield cls.name, cls
        ahead = [(module, last_name(base)) for base in cls.bases]
        seen: set[tuple[Path, str]] = set()
        while ahead:
            near, name = ahead.pop(0)
            home = near if name in near.classes and near.classes[name] is not cls else self._homes.get(name)
            found = None if home is None else home.classes[name]
            yield name, found
            if home is not None and found is not None and (home.path, name) not in seen:
                seen.add((home.path, name))
                ahead += [(home, last_name(base)) for base in found.bases]


def last_name(node: ast.AST | None) -> str:
    """The last name of what an expression names: C of `a.b.C`, of `C[int]` and of `C(1)`; "" of anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return last_name(value)
        case ast.Call(func=func):
            return last_name(func)
        case _:
            return ""


def assigned(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Each name that these statements assign, with its value."""
    for node in body:
        match node:
            case ast.Assign(targets=targets, value=value):
                yield from ((target.id, value) for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case _:
                pass


def makes_reply(node: ast.AST | None) -> bool:
    """Whether an expression is the slot of an answer that may still be to come."""
    return isinstance(node, ast.Call) and last_name(node) in {"ask_reply", "Reply"}


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
            case ast.ImportFrom(module=module, names=names):
                for alias in names:
                    yield alias.asname or alias.name, f"{module}.{alias.name}"
            case _:
                pass


def _replies(tree: ast.Module) -> Iterator[str]:
    """What is assigned such a slot, or annotated as one, as it is written."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value) if makes_reply(value):
                yield from map(ast.unparse, targets)
            case ast.AnnAssign(target=target, annotation=ast.Name(id="Reply")):
                yield ast.unparse(target)
            case ast.arg(arg=name, annotation=ast.Name(id="Reply")):
                yield name
            case _:
                pass
