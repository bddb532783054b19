"""The rules: what is refused in behaviours, in cores and in the messages of both. How files are read stands beside."""

import ast
from pathlib import Path
from typing import Final, NamedTuple

from domainflow.lint.source import Module, Source, assigned, last_name, makes_reply

THREADS: Final = frozenset({"threading", "_thread", "multiprocessing", "concurrent.futures", "queue"})
WAITING: Final = frozenset(
    (
        *("time.sleep", "open", "input", "io.open", "os.system", "os.popen", "os.fsync", "shutil", "subprocess"),
        *("socket", "ssl", "select", "selectors", "asyncio", "http.client", "urllib.request", "urllib3", "requests"),
        *("httpx", "aiohttp", "pycurl", "sqlite3", "psycopg", "psycopg2", "psycopg_pool", "asyncpg"),
        *("domainflow.store.commit_connection", "domainflow.store.hints", "domainflow.store.open_transactions"),
        *("domainflow.store.pool", "domainflow.store.postgres", "domainflow.store.presence"),
        "domainflow.store.transaction",
    )
)
FILE_METHODS: Final = frozenset({"open", "read_text", "read_bytes", "write_text", "write_bytes"})
MUTABLE: Final = frozenset(
    (
        *("list", "dict", "set", "bytearray", "List", "Dict", "Set", "defaultdict", "DefaultDict", "deque", "Deque"),
        *("Counter", "OrderedDict", "ChainMap", "MutableMapping", "MutableSequence", "MutableSet"),
    )
)
CHANGES: Final = frozenset(
    (
        *("append", "appendleft", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove"),
        *("reverse", "setdefault", "sort", "update"),
    )
)


class Finding(NamedTuple):
    """One thing that no actor may do, and where it stands."""

    path: Path
    line: int
    words: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words}"


class Place(NamedTuple):
    """Where the rules hold: in a behaviour or a core, with what it says of itself."""

    name: str
    instead: str  # of waiting
    blocks: bool = False
    uses_threads: bool = False


OUTSIDE: Final = Place("code outside actors", "")
IN_CORES: Final = "a core only computes"
IN_BEHAVIOURS: Final = "start a timer or send a request; or say `blocks = True` and be pinned"


class Rules(ast.NodeVisitor):
    """One walk through one file."""

    def __init__(self, source: Source, module: Module) -> None:
        self.found: set[Finding] = set()
        self._source = source
        self._module = module
        self._places = _places(source, module)
        self._place = Place(module.path.name, IN_CORES) if module.is_core else None
        self._has_messages = module.is_core or bool(self._places)

    # --- the walk

    def visit(self, node: ast.AST) -> None:
        """Visit it, and all below it, under the rules of its own place, if it is one."""
        before = self._place
        self._place = self._places.get(node, before)
        super().visit(node)
        self._place = before

    def visit_Module(self, node: ast.Module) -> None:
        if self._module.is_core:
            for statement in node.body:
                self._look_at_module_level(statement)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):  # a field may well be called `open`
            self._look_at_name(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not self._look_at_name(node):
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._look_at_dotted(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._look_at_dotted(node, f"{node.module}.{alias.name}")

    def visit_Global(self, node: ast.Global) -> None:
        self._note(node, f"changes the module's {', '.join(node.names)}: what changes belongs to one actor alone")

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._look_at_change(node.value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            self._look_at_method(node, node.func)
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if self._has_messages and self._source.derives(self._module, node, {"Struct", "NamedTuple"}):
            self._look_at_message(node)
        elif self._module.is_core and any(last_name(each) == "dataclass" for each in node.decorator_list):
            self._look_at_dataclass(node)
        self.generic_visit(node)

    # --- threads, and what waits

    def _look_at_name(self, node: ast.expr) -> bool:
        dotted = self._module.dotted(node)
        return bool(dotted) and self._look_at_dotted(node, dotted)

    def _look_at_dotted(self, node: ast.AST, dotted: str) -> bool:
        place = self._place
        if place is None:
            return False
        if not place.uses_threads and _is_below(dotted, THREADS):
            self._note(node, f"uses {dotted}: an actor has no locks and no threads, nothing is shared that needs them")
            return True
        if not place.blocks and _is_below(dotted, WAITING):
            self._note_waiting(place, node, dotted)
            return True
        return False

    def _look_at_method(self, call: ast.Call, method: ast.Attribute) -> None:
        limits = {each.arg: each.value for each in call.keywords if each.arg in {"timeout_s", "timeout"}}
        endless = any(map(_is_endless, limits.values()))
        match method.attr:
            case "get" if self._is_reply(method.value) and (endless or not (call.args or limits)):
                self._note(call, "waits for an answer without a time-out", anywhere=True)
            case "ask" | "request" if endless:
                self._note(call, "asks without a time-out", anywhere=True)
            case "get" if self._is_reply(method.value):
                self._note(call, "waits for an answer: send a request, the answer is heard as a signal")
            case "ask":
                self._note(call, "asks and waits: send a request, the answer is heard as a signal")
            case "proxy":
                self._note(call, "makes a proxy, each attribute of which is an ask that waits: send messages")
            case name if name in FILE_METHODS and not self._module.dotted(method):
                if self._place is not None and not self._place.blocks:
                    self._note_waiting(self._place, call, f".{name}()")
            case name if name in CHANGES:
                self._look_at_change(method.value)
            case _:
                pass

    def _is_reply(self, node: ast.expr) -> bool:
        return makes_reply(node) or last_name(node) == "reply" or ast.unparse(node) in self._module.replies

    # --- what is shared

    def _look_at_change(self, node: ast.expr) -> None:
        if isinstance(node, ast.Name) and _is_mutable(self._module.values.get(node.id)):
            self._note(node, f"changes the module's {node.id}: what changes belongs to one actor alone")

    def _look_at_module_level(self, node: ast.stmt) -> None:
        is_final = isinstance(node, ast.AnnAssign) and "Final" in ast.unparse(node.annotation)
        for name, value in assigned([node]):
            if _is_mutable(value) and not is_final and name != "__all__":
                self._note(node, f"keeps {name} where all actors share it: in the state, or `Final` and never changed")

    def _look_at_message(self, cls: ast.ClassDef) -> None:
        is_tuple = self._source.derives(self._module, cls, {"NamedTuple"})
        if not is_tuple and not self._source.is_frozen(self._module, cls):
            self._note_message(cls, cls, "is not frozen: two actors would hold one thing that changes")
        for field in cls.body:
            if isinstance(field, ast.AnnAssign) and (kind := self._mutable_in(field.annotation)):
                self._note_message(cls, field, f"has a field of {kind}, which its receiver could change: take a tuple")

    def _look_at_dataclass(self, cls: ast.ClassDef) -> None:
        given = [keyword.arg for each in cls.decorator_list for keyword in getattr(each, "keywords", ())]
        if "frozen" not in given:
            self._note_message(cls, cls, "is not frozen: two actors would hold one thing that changes")

    def _mutable_in(self, node: ast.AST, seen: frozenset[str] = frozenset()) -> str:
        """The first mutable type in an annotation, by way of the module's aliases too."""
        match node:
            case ast.Subscript(value=value) if last_name(value) in {"ClassVar", "Callable", "Literal", "type"}:
                return ""
            case ast.Subscript(value=value, slice=ast.Tuple(elts=[first, *_])) if last_name(value) == "Annotated":
                return self._mutable_in(first, seen)
            case ast.Constant(value=str(text)):
                return self._mutable_in(ast.parse(text, mode="eval"), seen)
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in MUTABLE:
                return name
            case ast.Name(id=name) if name in self._module.values and name not in seen:
                return self._mutable_in(self._module.values[name], seen | {name})
            case _:
                below = ast.iter_child_nodes(node)
                return next((kind for each in below if (kind := self._mutable_in(each, seen))), "")

    # --- the words

    def _note(self, node: ast.AST, words: str, *, anywhere: bool = False) -> None:
        place = self._place or (OUTSIDE if anywhere else None)
        if place is not None:
            self.found.add(Finding(self._module.path, getattr(node, "lineno", 0), f"{place.name} {words}"))

    def _note_waiting(self, place: Place, node: ast.AST, what: str) -> None:
        self._note(node, f"waits by {what}: {place.instead}")

    def _note_message(self, cls: ast.ClassDef, node: ast.stmt, words: str) -> None:
        self.found.add(Finding(self._module.path, node.lineno, f"the message {cls.name} {words}"))


def _places(source: Source, module: Module) -> dict[ast.AST, Place]:
    """The behaviours of a file, and the functions beside them that they call: those wait for nobody either."""
    places: dict[ast.AST, Place] = {}
    for home, cls in source.behaviours:
        if home is module:
            blocks, uses_threads = source.says(home, cls, "blocks"), source.says(home, cls, "uses_threads")
            place = Place(cls.name, IN_BEHAVIOURS, blocks, uses_threads)
            places[cls] = place
            # Of a function that two call, the stricter one's rules hold.
            places |= {each: place for each in module.called(cls) if each not in places or not place.blocks}
    return places


def _is_below(dotted: str, roots: frozenset[str]) -> bool:
    return any(dotted == root or dotted.startswith(f"{root}.") for root in roots)


def _is_endless(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=None) | ast.Attribute(attr="inf"):
            return True
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value="inf")]):
            return True
        case _:
            return False


def _is_mutable(value: ast.expr | None) -> bool:
    literal = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    return isinstance(value, literal) or (isinstance(value, ast.Call) and last_name(value) in MUTABLE)
