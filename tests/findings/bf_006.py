"""BF-006: two processes that command campaigns, one that hears of everything, and a way to read on that loses some."""

import statistics
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, LiteralString, NamedTuple

import psycopg
from child import Child, Talk, eventually

from domainflow import CampaignSpec, Operations, Principal, Runtime
from domainflow.errors import AskTimeout
from domainflow.settings import Settings
from domainflow.spec import PatternSource
from domainflow.store.feed import PAGE
from domainflow.store.hints import Hints
from domainflow.vocabulary import PatternType

ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")
SETTINGS: Final = Settings(most_active=1000, most_created_a_day=1000)
# All of one source, whose stream is shared: each creation of one process conflicts with those of the other.
SPEC: Final = CampaignSpec(
    name="heard of",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=4, character_set="abcdef", constant="x", tld="com", count=1
    ),
)
CAMPAIGNS: Final = 30  # of each process
THREADS: Final = 4
QUIET_S: Final = 1.0  # of the load, after which it has been heard
LOOK_S: Final = 0.1  # one look at what shows
SOON_S: Final = 60.0
# One start waits in the middle of its commit, its place in the feed taken, until it may go on.
LATE: Final = """
create function public.wait_for_leave() returns trigger language plpgsql set lock_timeout = 0 as $$
begin
  perform pg_advisory_xact_lock(6);
  return null;
end $$;
create trigger late after insert on domainflow.event for each row
  when (new.stream = 'campaign/{id}' and new.version = 2) execute function public.wait_for_leave();
"""
HELD_BACK: Final[LiteralString] = """
select exists (select from domainflow.event where xid >= pg_snapshot_xmin(pg_current_snapshot()))
"""
WAITING: Final[LiteralString] = (
    "select count(*) from pg_locks where locktype = 'advisory' and objid = 6 and not granted"
)

Place = tuple[str, int]  # campaign and version


class Heard(NamedTuple):
    """What was answered, what was heard, and how long after the answer."""

    answered: set[Place]
    heard: list[Place]
    delays_s: list[float]  # of what the other process did

    @property
    def lost(self) -> set[Place]:
        """Answered and never heard of."""
        return self.answered - set(self.heard)

    @property
    def inverted(self) -> list[Place]:
        """Heard twice, or not right behind the version before."""
        last: dict[str, int] = defaultdict(int)
        found = []
        for id_, version in self.heard:
            if version != last[id_] + 1:
                found.append((id_, version))
            last[id_] = version
        return found

    @property
    def figures(self) -> str:
        """How long it took; negative where it was heard of before the answer was."""
        late_ms = sorted(delay_s * 1e3 for delay_s in self.delays_s)
        return f"p50 {statistics.median(late_ms):.1f} ms, p99 {late_ms[int(len(late_ms) * 0.99)]:.1f} ms"


def other(talk: Talk, *, dsn: str, home: str) -> None:
    """The other process: at "load" create and start campaigns, at "start ID" that one; say what was answered, when."""
    with Runtime.open(dsn, home=Path(home), settings=SETTINGS, campaigns=False, work=False) as runtime:
        operations = runtime.as_principal(ALICE)
        talk.say("ready")
        while line := talk.hear():
            word, _, id_ = line.partition(" ")
            if word == "start":
                version = operations.campaign(id_).start(timeout_s=SOON_S).version
                talk.say("answered", f"{id_} {version} {time.monotonic()}")
                continue
            for place in load(operations):
                talk.say("answered", f"{place[0]} {place[1]} {place[2]}")
            talk.say("done")


def load(operations: Operations) -> list[tuple[str, int, float]]:
    """Create and start campaigns, several at once; return what was answered, and when."""

    def live(_: int) -> list[tuple[str, int, float]]:
        campaign = operations.create_campaign(SPEC)
        created_s = time.monotonic()
        return [
            (campaign.id, 1, created_s),
            (campaign.id, campaign.start(timeout_s=SOON_S).version, time.monotonic()),
        ]

    with ThreadPoolExecutor(THREADS) as threads:
        return [answer for answers in threads.map(live, range(CAMPAIGNS)) for answer in answers]


class Story:
    """Both processes under load, then one that commits late."""

    def __init__(self, dsn: str, admin_dsn: str, home: Path, *, patch: tuple[str, ...] = ()) -> None:
        self._dsn, self._admin_dsn, self._home, self._patch = dsn, admin_dsn, home, patch
        self._answered: set[Place] = set()
        self._heard: list[Place] = []
        self._at_s: dict[Place, float] = {}
        self._bookmark = "0.0.0"

    def tell(self) -> Heard:
        """Let it all happen."""
        where = {"dsn": self._dsn, "home": str(self._home)}
        with (
            Runtime.open(self._dsn, home=self._home, settings=SETTINGS, campaigns=False, work=False) as runtime,
            Child("findings.bf_006:other", patch=self._patch, **where) as child,
        ):
            child.wait_line("ready")
            operations = runtime.as_principal(ALICE)
            delays_s = self._under_load(operations, child)
            self._late(operations, child)
            child.finish()
        return Heard(self._answered, self._heard, delays_s)

    def _under_load(self, operations: Operations, child: Child) -> list[float]:
        hearing = threading.Thread(target=self._hear, args=(operations, QUIET_S))
        hearing.start()
        child.tell("load")
        self._answered |= {(id_, version) for id_, version, _ in load(operations)}
        theirs: dict[Place, float] = {}
        while (spoken := child.hear(SOON_S)) is not None and spoken.word != "done":
            id_, version, at_s = spoken.text.split()
            theirs[id_, int(version)] = float(at_s)
            # What was answered there is seen here.
            assert operations.campaign(id_).view(at_least=int(version), timeout_s=SOON_S).version >= int(version)
        self._answered |= theirs.keys()
        hearing.join()
        return [self._at_s[place] - at_s for place, at_s in theirs.items() if place in self._at_s]

    def _late(self, operations: Operations, child: Child) -> None:
        """A commit that takes its place first and comes to stand last, with another one in between."""
        late, quick = operations.create_campaign(SPEC), operations.create_campaign(SPEC)
        self._hear(operations)
        with psycopg.connect(self._admin_dsn, autocommit=True) as admin:
            admin.execute(LATE.format(id=late.id))  # type: ignore[call-overload]  # an id of ours
            admin.execute("select pg_advisory_lock(6)")
            child.tell(f"start {late.id}")
            eventually(lambda: admin.execute(WAITING).fetchone() == (1,), "it waits within its commit")
            quick.start()
            self._hear(operations)
            admin.execute("select pg_advisory_unlock(6)")
            child.wait_line("answered")
            self._answered |= {(late.id, 1), (late.id, 2), (quick.id, 1), (quick.id, 2)}
            eventually(lambda: admin.execute(HELD_BACK).fetchone() == (False,), "nothing is held back")
        self._hear(operations)

    def _hear(self, operations: Operations, quiet_s: float = LOOK_S) -> None:
        """Hear what comes, from the bookmark on, until it is quiet."""
        subscription = operations.subscribe(self._bookmark, timeout_s=quiet_s)
        try:
            for change in subscription:
                place = (change.campaign, change.version)
                self._heard.append(place)
                self._at_s[place] = time.monotonic()
        except AskTimeout:
            self._bookmark = subscription.bookmark


# --- guards taken out


def silent(self: Hints, payloads: object) -> None:
    """Say nothing to anybody."""


def by_sequence() -> str:
    """The page of the feed as it is often read: by the number that an event took, up to whatever shows."""
    page: str = PAGE
    for guarded, unguarded in (
        ("(era, xid, seq) > (%(era)s::int, %(xid)s::xid8, %(seq)s::bigint)", "seq > %(seq)s::bigint"),
        ("and (era, xid) < ((select era from horizon), (select xmin from horizon))", ""),
        ("order by event.era, event.xid, event.seq limit", "order by event.seq limit"),
        ("order by page.era desc, page.at desc, page.seq desc", "order by page.seq desc"),
        ("order by p.era, p.at, p.seq", "order by p.seq"),
    ):
        assert page.count(guarded) == 1, guarded
        page = page.replace(guarded, unguarded)
    return page
