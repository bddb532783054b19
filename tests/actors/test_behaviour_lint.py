"""Each rule of `domainflow.lint` finds what it forbids, by file, line and words, and leaves its good twin alone."""

import shutil
from pathlib import Path

import pytest

import domainflow
from domainflow.lint import check, main, read

OUR_TREE = Path(domainflow.__file__).parent
EXAMPLES = OUR_TREE.parent / "examples"

IN_A_HANDLER = {
    "a lock": ("threading.Lock()", "Clerk uses threading.Lock: "),
    "a thread": ("Thread(target=self.work)", "Clerk uses threading.Thread: "),
    "an executor": ("futures.ThreadPoolExecutor(2)", "Clerk uses concurrent.futures.ThreadPoolExecutor: "),
    "a queue": ("queue.Queue().get()", "Clerk uses queue.Queue: "),
    "a sleep": ("time.sleep(1)", "Clerk waits by time.sleep: "),
    "a sleep by another name": ("nap(1)", "Clerk waits by time.sleep: "),
    "a sleep of a module by another name": ("clock.sleep(1)", "Clerk waits by time.sleep: "),
    "a socket": ("socket.create_connection(('h', 1))", "Clerk waits by socket.create_connection: "),
    "a file": ("open('f')", "Clerk waits by open: "),
    "a file by its path": ("self.path.read_text()", "Clerk waits by .read_text(): "),
    "a process": ("subprocess.run(['ls'])", "Clerk waits by subprocess.run: "),
    "a request over HTTP": ("requests.get('http://h')", "Clerk waits by requests.get: "),
    "a page": ("urllib.request.urlopen('http://h')", "Clerk waits by urllib.request.urlopen: "),
    "a database": ("psycopg.connect('')", "Clerk waits by psycopg.connect: "),
    "an event loop": ("asyncio.run(self.go())", "Clerk waits by asyncio.run: "),
    "a proxy": ("self.other.proxy()", "Clerk makes a proxy, "),
    "an ask that waits": ("self.other.ask(1, envelope.context)", "Clerk asks and waits: "),
    "a request without a time-out": (
        "self.cell.request(self.other, 1, c, token=1, timeout_s=None)",
        "Clerk asks without",
    ),
    "a request with an endless time-out": (
        "self.cell.request(o, 1, c, token=1, timeout_s=float('inf'))",
        "Clerk asks without",
    ),
    "an answer that is waited for": ("self.other.ask_reply(1, c).get(5)", "Clerk waits for an answer: "),
    "an answer that was kept": ("self.kept.get(timeout_s=5)", "Clerk waits for an answer: "),
    "its own answer": ("envelope.reply.get(1)", "Clerk waits for an answer: "),
    "an answer without a time-out": ("self.kept.get()", "Clerk waits for an answer without a time-out"),
    "a change of what all share": ("SEEN.append(1)", "Clerk changes the module's SEEN: "),
    "an entry in what all share": ("TABLE['a'] = 1", "Clerk changes the module's TABLE: "),
}

FINE_IN_A_HANDLER = (
    "self.cell.start_timer('k', 1.0, 'tick')",
    "self.cell.request(self.other, 1, envelope.context, token=1)",
    "self.cell.request(self.other, 1, envelope.context, token=1, timeout_s=2.0)",
    "self.other.tell(1, envelope.context)",
    "self.seen.append(TABLE.get('a'))",
    "self.seen[0] = TABLE['a']",
    "self.other.ask_reply(1, envelope.context).add_done_callback(print)",
    "time.monotonic()",
    "','.join(SEEN)",
)

HANDLER = """\
import asyncio, queue, socket, subprocess, threading, time, urllib.request
import psycopg, requests, time as clock
from concurrent import futures
from threading import Thread
from time import sleep as nap
from domainflow.actors.behaviour import Behaviour
SEEN = []
TABLE = {{'a': 1}}

def rest():
    time.sleep(1)

def beside():  # nobody's handler
    open('f'), threading.Lock(), SEEN.append(1), time.sleep(1)

class Base(Behaviour[int]):
    {declared}

class Clerk(Base):
    def __init__(self, other):
        self.kept = other.ask_reply(1)

    def receive(self, message, envelope):
        {line}
"""


def found(folder: Path, source: str, name: str = "clerk.py") -> list[str]:
    file = folder / name
    file.write_text(source)
    return [str(finding).removeprefix(f"{folder}/") for finding in check(read([folder]))]


@pytest.mark.parametrize(("line", "words"), IN_A_HANDLER.values(), ids=IN_A_HANDLER)
def test_what_no_handler_may_do_is_found_with_its_line(tmp_path: Path, line: str, words: str) -> None:
    (only,) = found(tmp_path, HANDLER.format(line=line, declared="pass"))
    assert only.startswith(f"clerk.py:24: {words}")


def test_a_function_of_its_file_that_a_handler_calls_waits_for_nobody_either(tmp_path: Path) -> None:
    (only,) = found(tmp_path, HANDLER.format(line="rest()", declared="pass"))
    assert only.startswith("clerk.py:11: Clerk waits by time.sleep: ")
    assert found(tmp_path, HANDLER.format(line="rest()", declared="blocks = True")) == []


@pytest.mark.parametrize("line", FINE_IN_A_HANDLER)
def test_what_a_handler_may_do_is_left_alone(tmp_path: Path, line: str) -> None:
    assert found(tmp_path, HANDLER.format(line=line, declared="pass")) == []


@pytest.mark.parametrize("what", ["a sleep", "a socket", "a file", "a file by its path", "a database"])
def test_one_that_says_it_blocks_may_wait(tmp_path: Path, what: str) -> None:
    line, _ = IN_A_HANDLER[what]
    assert found(tmp_path, HANDLER.format(line=line, declared="blocks: ClassVar[bool] = True")) == []
    assert len(found(tmp_path, HANDLER.format(line=line, declared="blocks: ClassVar[bool] = False"))) == 1


@pytest.mark.parametrize("what", ["a lock", "a thread", "an executor", "a proxy", "an ask that waits"])
def test_that_it_blocks_allows_nothing_else(tmp_path: Path, what: str) -> None:
    line, _ = IN_A_HANDLER[what]
    assert len(found(tmp_path, HANDLER.format(line=line, declared="blocks = True"))) == 1


@pytest.mark.parametrize("what", ["a lock", "a thread", "an executor"])
def test_one_that_says_it_uses_threads_may(tmp_path: Path, what: str) -> None:
    line, _ = IN_A_HANDLER[what]
    assert found(tmp_path, HANDLER.format(line=line, declared="uses_threads = True")) == []


def test_what_a_behaviour_is_handed_is_known_by_its_annotation(tmp_path: Path) -> None:
    source = """\
        from concurrent.futures import Executor
        from domainflow.actors.behaviour import Behaviour
        from domainflow.store.postgres import Postgres
        class Clerk(Behaviour[int]):
            def __init__(self, store: Postgres, readers: Executor) -> None: ...
        """.replace("\n        ", "\n").strip()
    threads, store = sorted(found(tmp_path, source))
    assert "Clerk uses concurrent.futures.Executor" in threads
    assert "Clerk waits by domainflow.store.postgres.Postgres" in store


def test_a_behaviour_is_known_by_what_it_derives_from_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("class Base(behaviour.Behaviour[int]):\n    blocks = True\n")
    assert found(tmp_path, "class Clerk(Base):\n    def receive(self): x.ask(1)\n") == [
        "clerk.py:2: Clerk asks and waits: send a request, the answer is heard as a signal"
    ]
    assert found(tmp_path, "import time\nclass Clerk(Base):\n    def receive(self): time.sleep(1)\n") == []


def test_code_outside_actors_may_do_all_of_it_but_wait_without_an_end(tmp_path: Path) -> None:
    allowed = "\n".join(
        f"def f{n}():\n    {line}" for n, line in enumerate(("r = x.ask_reply(1)", "r.get(5)", "x.ask(1)"))
    )
    assert found(tmp_path, allowed) == []
    (only,) = found(tmp_path, "r = x.ask_reply(1)\nr.get()\n")
    assert only == "clerk.py:2: code outside actors waits for an answer without a time-out"


IN_A_CORE = {
    "a lock": ("import threading", "2: core.py uses threading: "),
    "a sleep": ("from time import sleep", "2: core.py waits by time.sleep: a core only computes"),
    "a file": ("def f():\n    return open('f')", "3: core.py waits by open: a core only computes"),
    "a list that all share": ("SEEN = []", "2: core.py keeps SEEN where all actors share it: "),
    "a table that is no constant": ("SEEN = defaultdict(int)", "2: core.py keeps SEEN where all actors share it: "),
    "a constant that is changed": ("A: Final = set()\ndef f():\n    A.add(1)", "4: core.py changes the module's A: "),
    "a global": ("def f():\n    global seen", "3: core.py changes the module's seen: "),
    "words that are not frozen": ("class Go(Struct): ...", "2: the message Go is not frozen: "),
    "words thawed again": ("class Go(Word, frozen=False): ...", "2: the message Go is not frozen: "),
    "a dataclass that is not frozen": ("@dataclass\nclass Go: ...", "3: the message Go is not frozen: "),
    "a list": ("class Go(Word):\n    to: list[int]", "3: the message Go has a field of list, "),
    "a dict within a tuple": (
        "class Go(Word):\n    to: tuple[dict[str, int], ...]",
        "3: the message Go has a field of dict, ",
    ),
    "bytes or nothing": ("class Go(Word):\n    to: bytearray | None", "3: the message Go has a field of bytearray, "),
    "a set by an alias": ("Names = set[str]\nclass Go(Word):\n    to: Names", "4: the message Go has a field of set, "),
    "a set in quotes": ("class Go(Word):\n    to: 'set[str]'", "3: the message Go has a field of set, "),
    "a list in a named tuple": ("class Go(NamedTuple):\n    to: list[int]", "3: the message Go has a field of list, "),
}

FINE_IN_A_CORE = (
    "TABLE: Final = {'a': 1}\ndef f():\n    return TABLE['a']",
    "NAMES = frozenset({1})\ndef f():\n    seen = []\n    seen.append(1)\n    return seen",
    "class Go(Struct, frozen=True):\n    to: tuple[int, ...]\n    KIND: ClassVar[dict[str, int]] = {}",
    "class Go(Word):\n    to: Annotated[str, Meta(pattern='^list[')]\n    kind: Literal['list', 'set']",
    "class Go(Word):\n    settled: Callable[[list[int]], None]",
    "class Go(NamedTuple):\n    to: int",
    "@dataclass(frozen=True)\nclass Go:\n    to: int",
    "class Pattern(Word):\n    open: tuple[str, ...] = ()",
)
WORDS = "class Word(Struct, frozen=True): ...\n"


@pytest.mark.parametrize(("source", "words"), IN_A_CORE.values(), ids=IN_A_CORE)
def test_what_no_core_may_do_is_found_with_its_line(tmp_path: Path, source: str, words: str) -> None:
    (only,) = found(tmp_path, WORDS + source, "core.py")
    assert only.startswith(f"core.py:{words}")


@pytest.mark.parametrize("source", FINE_IN_A_CORE)
def test_what_a_core_may_do_is_left_alone(tmp_path: Path, source: str) -> None:
    assert found(tmp_path, WORDS + source, "core.py") == []


def test_messages_beside_a_behaviour_are_looked_at_and_those_of_other_code_are_not(tmp_path: Path) -> None:
    mutable = "class Go(Struct, frozen=True):\n    to: list[int]\n"
    assert found(tmp_path, mutable) == []
    assert len(found(tmp_path, mutable + "class Clerk(Behaviour[Go]): ...\n")) == 1


def test_our_own_actors_and_the_examples_break_no_rule() -> None:
    source = read([OUR_TREE, EXAMPLES])
    assert check(source) == []
    assert {"CommitLane", "EventSourced", "Supervisor"} <= {cls.name for _, cls in source.behaviours}


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        ("SEEN = {}\n", "core.py keeps SEEN"),
        ("import time\ntime.sleep(1)\n", "core.py waits by time.sleep"),
    ],
)
def test_a_line_planted_in_a_copy_of_a_real_core_is_found(tmp_path: Path, planted: str, words: str) -> None:
    core = tmp_path / "core.py"
    shutil.copy(OUR_TREE / "actors" / "campaign" / "core.py", core)
    assert check(read([tmp_path])) == []
    before = core.read_text()
    core.write_text(before + planted)
    (only,) = check(read([tmp_path]))
    assert only.line == (before + planted).count("\n")
    assert only.words.startswith(words)


def test_a_real_behaviour_that_waits_is_found_when_it_no_longer_says_so(tmp_path: Path) -> None:
    leader = (OUR_TREE / "actors" / "leader.py").read_text()
    assert found(tmp_path, leader) == []
    assert found(tmp_path, leader.replace("blocks: ClassVar[bool] = True", ""))


def test_the_command_says_what_it_found_and_how_much_it_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "core.py"
    file.write_text("SEEN = []\n")
    assert main([str(tmp_path)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{file}:1: core.py keeps SEEN")
    assert last == "0 behaviours, 1 modules of cores, 1 rules broken"
    file.write_text("SEEN = ()\n")
    assert main([str(file)]) == 0
    file.rename(tmp_path / "other.py")
    assert main([str(tmp_path)]) == 2
