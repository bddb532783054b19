"""Processes that share one database, run as children (`child.Child("multi.members:…")`), and what tests ask it."""

from pathlib import Path
from typing import Final, LiteralString, Protocol

import psycopg
from child import Talk

from domainflow import CampaignSpec, Principal, Runtime, logs
from domainflow.actors.campaign.messages import PauseCampaign
from domainflow.errors import DomainFlowError
from domainflow.security.context import Context
from domainflow.settings import Settings
from domainflow.spec import DnsPersona, PatternSource
from domainflow.vocabulary import PatternType, Phase

ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")
NAMES_EACH: Final = 1000
ALL_PHASES: Final = tuple(Phase)
# Nothing answers at this port, and the rate makes a campaign last for as long as a test may want it.
NOBODY: Final = DnsPersona(resolvers=("127.0.0.1:9",), query_timeout_s=0.05, retries=0, rate_limit_qps=400)

HISTORY: Final[LiteralString] = "select version, type from domainflow.event where stream = %s order by version"
OWNER: Final[LiteralString] = "select owner::text, epoch from domainflow.head where stream = %s"


class Database(Protocol):
    """A database of its own, as conftest makes it."""

    @property
    def dsn(self) -> str:
        """As the application."""

    @property
    def admin_dsn(self) -> str:
        """As the owner of everything."""


def spec(names: int, *, only: Phase) -> CampaignSpec:
    """A campaign of one phase, on a pattern that all of them share."""
    return CampaignSpec(
        name="shared",
        source=PatternSource(
            pattern_type=PatternType.SUFFIX,
            variable_length=5,
            character_set="abcdefghij0123456789",
            constant="shared",
            tld="net",
            count=names,
        ),
        batch_size=20,
        skip=tuple(phase for phase in ALL_PHASES if phase is not only),
        dns=NOBODY,
    )


# --- children


def host(talk: Talk, *, dsn: str, home: str, lease_s: float) -> None:
    """Execute one long campaign until told to leave: say its id, and of the runtime."""
    logs.configure("INFO")
    with Runtime.open(dsn, home=Path(home), settings=Settings(lease_s=lease_s)) as runtime:
        handle = runtime.as_principal(ALICE).create_campaign(spec(100_000, only=Phase.DNS_VALIDATION))
        handle.start()
        talk.say("runtime", runtime.id)
        talk.say("campaign", handle.id)
        talk.hear()


def sleeper(talk: Talk, *, dsn: str, home: str, lease_s: float) -> None:
    """Hold a paused campaign; as often as told, pause it once more as the owner, past all that would find another one.

    Says what the actor answers: the name of an error, or "done".
    """
    logs.configure("INFO")
    with Runtime.open(dsn, home=Path(home), settings=Settings(lease_s=lease_s)) as runtime:
        handle = runtime.as_principal(ALICE).create_campaign(spec(100_000, only=Phase.DNS_VALIDATION))
        handle.start()
        handle.pause()
        handle.wait()
        actor = runtime._parts.find_campaign(handle.id)  # noqa: SLF001 - a zombie asks nobody who owns what
        assert actor is not None
        talk.say("campaign", handle.id)
        talk.say("runtime", runtime.id)
        while talk.hear():
            try:
                actor.ask(PauseCampaign(holder="system"), Context(principal=ALICE, correlation_id="z"), timeout_s=10.0)
            except DomainFlowError as error:
                talk.say("answer", type(error).__name__)
            else:
                talk.say("answer", "done")


def creator(talk: Talk, *, dsn: str, home: str, campaigns: int) -> None:
    """Create campaigns as fast as it can once told to."""
    settings = Settings(most_active=100, most_created_a_day=1000)
    with Runtime.open(dsn, home=Path(home), settings=settings, campaigns=False, work=False) as runtime:
        operations = runtime.as_principal(ALICE)
        wanted = spec(NAMES_EACH, only=Phase.DOMAIN_GENERATION)
        talk.say("ready")
        talk.hear()
        for _ in range(campaigns):
            talk.say("created", operations.create_campaign(wanted).id)
        talk.say("finished")
        talk.hear()


# --- the database, asked by its own SQL


def history(database: Database, campaign: str) -> list[tuple[int, str]]:
    """Return (version, type) of every event of a campaign, in order."""
    with psycopg.connect(database.admin_dsn) as connection:
        rows = connection.execute(HISTORY, (f"campaign/{campaign}",)).fetchall()
    return [(version, type_) for version, type_ in rows]


def owner(database: Database, campaign: str) -> tuple[str | None, int]:
    """Return who owns a campaign, and under which epoch."""
    with psycopg.connect(database.admin_dsn) as connection:
        row = connection.execute(OWNER, (f"campaign/{campaign}",)).fetchone()
    assert row is not None
    return row[0], row[1]


def is_gapless(events: list[tuple[int, str]]) -> bool:
    """Whether versions are 1, 2, 3 …"""
    return [version for version, _ in events] == list(range(1, len(events) + 1))
