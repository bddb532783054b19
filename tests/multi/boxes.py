"""Both ends of the command box, run as children (`child.Child("multi.boxes:…")`), and what became of their commands.

Who commands writes down each key before it is sent and what it was answered: the test holds that against the database.
"""

import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final, LiteralString

import msgspec
import psycopg
from child import SOON_S, Child, Talk
from multi.members import ALICE, NOBODY, Database

from domainflow import Runtime, logs
from domainflow.actors.campaign.events import PhaseConfig
from domainflow.actors.rules import Ack, AuditContext, decode_answer
from domainflow.errors import DomainFlowError, Rejected
from domainflow.security.context import Context
from domainflow.settings import Settings
from domainflow.vocabulary import Phase

LEASE_S: Final = 600.0  # it is the session lock that tells of a death
COMMAND_S: Final = 10.0
UNDONE: Final = "nothing was done"
THREADS: Final = 3
PHASE: Final = Phase.DNS_VALIDATION
CONFIG: Final = PhaseConfig(dns=NOBODY)

KEYS: Final[LiteralString] = "select key, answer from domainflow.idempotency where key like 'c%-%-%'"
BOX: Final[LiteralString] = "select context, answer from domainflow.command"
RECORDS: Final[LiteralString] = "select context, xid::text from domainflow.event"
COUNTS: Final[LiteralString] = "select count(answered_at), count(*) from domainflow.command"


# --- children


def owner(talk: Talk, *, dsn: str, home: str) -> None:
    """Own whatever has no owner."""
    logs.configure("INFO")
    with Runtime.open(dsn, home=Path(home), settings=Settings(lease_s=LEASE_S), work=False):
        talk.say("ready")
        talk.hear()


def commander(talk: Talk, *, dsn: str, home: str, name: str, campaigns: str) -> None:
    """Configure a phase that does not begin, from several threads, until told to stop."""
    logs.configure("INFO")
    stop, line = threading.Event(), threading.Lock()
    with Runtime.open(dsn, home=Path(home), settings=Settings(lease_s=LEASE_S), campaigns=False, work=False) as runtime:

        def say(word: str, text: str) -> None:
            with line:
                talk.say(word, text)

        def command(thread: int) -> None:
            ids, number = campaigns.split(","), 0
            while not stop.is_set():
                handle = runtime.as_principal(ALICE).campaign(ids[(thread + number) % len(ids)])
                key = f"{name}-{thread}-{number}"
                say("sent", key)
                try:
                    ack = handle.configure_phase(PHASE, CONFIG, timeout_s=COMMAND_S, idempotency_key=key)
                except Rejected as refused:
                    say("refused", f"{key} {refused}")
                except DomainFlowError as error:
                    say("undone" if str(error).endswith(UNDONE) else "doubt", f"{key} {error}")
                else:
                    say("acked", f"{key} {ack.version}")
                number += 1

        threads = [threading.Thread(target=command, args=(n,)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        talk.hear()
        stop.set()
        for thread in threads:
            thread.join()
    talk.say("stopped")


# --- what became of it


def answered(database: Database) -> tuple[int, int]:
    """Return how many commands of the box are answered, and how many there are."""
    with psycopg.connect(database.admin_dsn) as connection:
        row = connection.execute(COUNTS).fetchone()
    assert row is not None
    return row[0], row[1]


class Accounts:
    """What the commanders have said: of each key, what it was answered."""

    def __init__(self) -> None:
        self.sent: set[str] = set()
        self.acked: dict[str, int] = {}
        self.undone: set[str] = set()
        self.heard: Counter[str] = Counter()

    def hear_out(self, child: Child) -> None:
        """Take in all that a child has said that has ended, or was killed."""
        with suppress(AssertionError):  # there is no more
            while (spoken := child.hear(SOON_S)) is not None:
                self._take(spoken.word, *spoken.text.partition(" "))

    def _take(self, word: str, key: str, _: str, rest: str) -> None:
        self.heard[word] += 1
        match word:
            case "sent":
                self.sent.add(key)
            case "acked":
                self.acked[key] = int(rest)
            case "undone":
                self.undone.add(key)
            case _:
                pass


class Books:
    """What the database knows of their commands, by SQL alone."""

    def __init__(self, database: Database) -> None:
        with psycopg.connect(database.admin_dsn) as connection:
            self.keys = {key: decode_answer(body) for key, body in connection.execute(KEYS)}
            self.boxed = [
                (msgspec.msgpack.decode(context, type=Context).idempotency_key, answer and decode_answer(answer))
                for context, answer in connection.execute(BOX)
            ]
            records = [
                (msgspec.msgpack.decode(context, type=AuditContext), xid)
                for context, xid in connection.execute(RECORDS)
            ]
        self.transactions = Counter(
            correlation
            for correlation, _ in {(who.correlation, xid) for who, xid in records if who.principal == ALICE.id}
        )

    @property
    def done(self) -> dict[str, int]:
        """The keys of commands that were done, and the version that each reached."""
        return {key: answer.version for key, answer in self.keys.items() if isinstance(answer, Ack)}

    @property
    def done_by_box(self) -> dict[str, int]:
        """Those of them that came by the box."""
        return {key: answer.version for key, answer in self.boxed if isinstance(answer, Ack)}
