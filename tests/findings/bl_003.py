"""BL-003: a campaign's host, the law that is looked at from outside, and histories drawn by chance.

What is looked at is looked at by SQL alone: of the package, nothing decodes, folds or counts here.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, LiteralString, Protocol, Self

import msgspec
import psycopg
from child import Child, Talk, eventually
from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow

from domainflow import CampaignSpec, Principal, Runtime, logs
from domainflow.operations import CampaignHandle
from domainflow.settings import Settings
from domainflow.spec import DnsPersona, PatternSource
from domainflow.vocabulary import CampaignStatus, PatternType, Phase

ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")
SETTINGS: Final = Settings(lease_s=600.0, workers=1, most_active=100)
LIFE_S: Final = (0.1, 0.8)  # between two interventions
END_S: Final = 60.0
NAMES: Final = 1_600
BETWEEN_LOOKS_S: Final = 0.002  # others need the machine too
PHASES: Final = ("domain_generation", "dns_validation", "http_keyword_validation", "analysis")
# Nobody answers there, and the rate makes the campaign last for some seconds.
SPEC: Final = CampaignSpec(
    name="consistent",
    source=PatternSource(
        pattern_type=PatternType.PREFIX,
        variable_length=5,
        character_set="abcdefghij",
        constant="shop",
        tld="com",
        count=NAMES,
    ),
    batch_size=20,
    skip=(Phase.HTTP_KEYWORD_VALIDATION, Phase.ANALYSIS),
    dns=DnsPersona(resolvers=("127.0.0.1:9",), query_timeout_s=0.05, retries=0, rate_limit_qps=400),
)

ACCOUNTED: Final[LiteralString] = """
select version, body from domainflow.event
 where stream = 'campaign/' || %s and type = 'campaign.batches_accounted' and version > %s order by version
"""
RESULTS: Final[LiteralString] = "select phase, run, batch, counts from domainflow.batch where campaign = %s"
DONE: Final[LiteralString] = "select phase, run, batch from domainflow.work_item where campaign = %s and state = 2"

Batch = tuple[int, int, int]  # phase, run, number
Name = tuple[int, int, str]  # phase, run, outcome


class Database(Protocol):
    """A database of its own, as conftest makes it."""

    @property
    def dsn(self) -> str:
        """As the application."""

    @property
    def admin_dsn(self) -> str:
        """As the owner of everything."""


def host(talk: Talk, *, dsn: str, home: str) -> None:
    """Execute whatever is there until told to leave, or killed."""
    logs.configure("WARNING")
    with Runtime.open(dsn, home=Path(home), settings=SETTINGS):
        talk.say("open")
        talk.hear()


class Seen:
    """What one look showed."""

    def __init__(self, results: dict[Batch, Counter[Name]], counters: Counter[Name], done: set[Batch]) -> None:
        self.done = done
        self.results = sum(results.values(), Counter[Name]())
        self.counters = counters
        self.waiting = sum((results.get(batch, Counter()) for batch in done), Counter[Name]())

    @property
    def fault(self) -> str:
        """Why the law does not hold; empty: it does. results = counters + done and not accounted yet."""
        if self.results == self.counters + self.waiting:
            return ""
        return f"results {self.results} are not counters {self.counters} and waiting {self.waiting}"


class Law:
    """Looks at one campaign all the time, each time as of one instant, until it is closed."""

    def __init__(self, database: Database, campaign: str) -> None:
        self._dsn = database.admin_dsn
        self._campaign = campaign
        self._closed = threading.Event()
        self._version = 0
        self._counters: Counter[Name] = Counter()
        self._lock = threading.Lock()
        self._connection = psycopg.connect(self._dsn)
        self._connection.isolation_level = IsolationLevel.REPEATABLE_READ
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.looks = 0
        self.waiting = 0  # looks that saw something done and not accounted
        self.faults: list[str] = []
        self.errors: list[BaseException] = []

    def look(self) -> Seen:
        """Return what is true at one instant."""
        with self._lock, self._connection.transaction():
            seen = self._seen(self._connection)
        self.looks += 1
        self.waiting += bool(seen.done)
        if seen.fault:
            self.faults.append(seen.fault)
        return seen

    def _seen(self, connection: Connection[TupleRow]) -> Seen:
        results = {
            (phase, run, batch): _named(phase, run, msgspec.msgpack.decode(counts, type=dict[str, int]).items())
            for phase, run, batch, counts in connection.execute(RESULTS, (self._campaign,)).fetchall()
        }
        done = {(phase, run, batch) for phase, run, batch in connection.execute(DONE, (self._campaign,)).fetchall()}
        for version, body in connection.execute(ACCOUNTED, (self._campaign, self._version)).fetchall():
            event = msgspec.msgpack.decode(body)
            self._counters += _named(PHASES.index(event["phase"]), event["run"], event["counts"])
            self._version = version
        return Seen(results, self._counters.copy(), done)

    def _watch(self) -> None:
        try:
            while not self._closed.wait(BETWEEN_LOOKS_S):
                self.look()
        except BaseException as error:  # noqa: BLE001 - raised where the law is left
            self.errors.append(error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Look no more."""
        self._closed.set()
        self._thread.join(END_S)
        self._connection.close()
        if error is None:
            assert self.errors == []


def _named(phase: int, run: int, counts: object) -> Counter[Name]:
    return Counter({(phase, run, outcome): number for outcome, number in counts})  # type: ignore[attr-defined]  # pairs


class Story:
    """One campaign, and what is done to it and its host."""

    def __init__(self, database: Database, home: Path, chance: random.Random, *, patch: tuple[str, ...] = ()) -> None:
        self._database = database
        self._home = home
        self._chance = chance
        self._patch = patch
        self.told: list[str] = []

    def tell(self, steps: int) -> Law:
        """Let so many things happen to a campaign, then let it end; stop at the first fault."""
        with Runtime.open(
            self._database.dsn, home=self._home, settings=SETTINGS, campaigns=False, work=False
        ) as runtime:
            handle = runtime.as_principal(ALICE).create_campaign(SPEC)
            handle.start()
            with Law(self._database, handle.id) as law:
                while steps > 0 and not law.faults and not self._is_over(handle):
                    steps -= self._live(handle, law)
                if not law.faults:
                    with self._host():
                        eventually(lambda: bool(law.faults) or self._is_over(handle), "it ends", within_s=END_S)
                if not law.faults:
                    self._must_be_equal(law, "end")
            return law

    def _live(self, handle: CampaignHandle, law: Law) -> int:
        """One host's life: it is paused and resumed, then killed; return how much happened."""
        happened = 1
        with self._host() as host:
            self._pass(law)
            if self._chance.random() < 0.5:
                happened += self._pause(handle, law)
                self._pass(law)
            self.told.append("kill")
            host.kill9()
        if self._chance.random() < 0.5 and not law.faults:
            happened += self._pause(handle, law)  # while nobody executes it
        return happened

    def _pause(self, handle: CampaignHandle, law: Law) -> int:
        if self._is_over(handle) or law.faults:
            return 0
        self.told.append("pause")
        handle.pause(timeout_s=END_S)
        # With the guard out nothing may ever be out of hand: then the law has its fault, and the pause no end.
        eventually(
            lambda: bool(law.faults) or handle.view().status is not CampaignStatus.PAUSING, "it rests", within_s=END_S
        )
        if not law.faults and handle.view().status is CampaignStatus.PAUSED:
            self._must_be_equal(law, "pause")
            handle.resume(timeout_s=END_S)
        return 1

    def _pass(self, law: Law) -> None:
        """Let some time go by, as seen by the law."""
        enough = threading.Event()
        timer = threading.Timer(self._chance.uniform(*LIFE_S), enough.set)
        timer.start()
        while not enough.wait(0.01) and not law.faults:
            pass
        timer.cancel()

    def _must_be_equal(self, law: Law, when: str) -> None:
        seen = law.look()
        if seen.done or seen.results != seen.counters:
            law.faults.append(f"at a {when}, {seen.results} is found and {seen.counters} counted")
        self.told.append(f"equal at {when}")

    @contextmanager
    def _host(self) -> Iterator[Child]:
        with Child("findings.bl_003:host", patch=self._patch, dsn=self._database.dsn, home=str(self._home)) as child:
            child.wait_line("open")
            yield child

    @staticmethod
    def _is_over(handle: CampaignHandle) -> bool:
        return handle.view().status in {CampaignStatus.COMPLETED, CampaignStatus.FAILED, CampaignStatus.CANCELLED}
