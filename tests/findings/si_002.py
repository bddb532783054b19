"""SI-002: hosts that kill themselves at named points of a commit and of a phase, and what is stored after each life.

A life first brings to its end what the one before has left, then makes a campaign of its own and dies over it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, LiteralString, NamedTuple

import psycopg
import pytest
from chaos import points
from child import Child, Talk
from databases import Database
from msgspec import structs
from stage import nothing_to_revive

from domainflow import CampaignSpec, Principal, Runtime, logs
from domainflow.actors.campaign.events import PhaseConfig
from domainflow.operations import CampaignHandle
from domainflow.settings import Settings
from domainflow.spec import DnsPersona, PatternSource
from domainflow.store.postgres import Postgres
from domainflow.verify import verify
from domainflow.vocabulary import CampaignStatus, PatternType, Phase

ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")
SETTINGS: Final = Settings(lease_s=600.0, workers=1, sweep_s=0.05, tick_s=0.02, most_active=100)
END_S: Final = 60.0
BOXED: Final = "command boxed"
DNS: Final = DnsPersona(resolvers=("127.0.0.1:9",), query_timeout_s=0.05, retries=0)
# Two phases, one of four batches; nobody answers there.
SPEC: Final = CampaignSpec(
    name="central",
    source=PatternSource(
        pattern_type=PatternType.PREFIX,
        variable_length=4,
        character_set="abcdefghij",
        constant="shop",
        tld="com",
        count=40,
    ),
    batch_size=10,
    skip=(Phase.HTTP_KEYWORD_VALIDATION, Phase.ANALYSIS),
    dns=DNS,
)
CONFIGURED_S: Final = (0.06, 0.07)  # so that there are six commits at least: batches done at once are accounted at once
LEFT: Final[LiteralString] = """
select stream from domainflow.head where stream like 'campaign/%' and status <> 'completed'
"""
THERE: Final[LiteralString] = "select stream || '@' || version from domainflow.event"


class Life(NamedTuple):
    """Where one ends."""

    point: str
    hits: int = 1


def host(talk: Talk, *, dsn: str, home: str, point: str, hits: int) -> None:
    """Say "recovered", then die at the n-th hit of a point ("": stay until told); say "acked" to what was answered."""
    logs.configure("WARNING")
    with Runtime.open(dsn, home=Path(home), settings=SETTINGS) as runtime:
        operations = runtime.as_principal(ALICE)
        for summary in operations.campaigns():
            finish(operations.campaign(summary.id))
        talk.say("recovered")
        if point:
            points.arm(point, hits)
            campaign = operations.create_campaign(SPEC)
            talk.say("acked", f"{campaign.stream}@1")
            for seconds in CONFIGURED_S:
                config = PhaseConfig(dns=structs.replace(DNS, query_timeout_s=seconds))
                talk.say("acked", f"{campaign.stream}@{campaign.configure_phase(Phase.DNS_VALIDATION, config).version}")
            talk.say("acked", f"{campaign.stream}@{campaign.start().version}")
            talk.say("ended", campaign.wait(END_S).status)
        talk.hear()


def commander(talk: Talk, *, dsn: str, home: str, campaign: str) -> None:
    """Die over a command for a campaign that another runtime executes."""
    logs.configure("WARNING")
    with Runtime.open(dsn, home=Path(home), settings=SETTINGS, campaigns=False, work=False) as runtime:
        handle = runtime.as_principal(ALICE).campaign(campaign)
        points.arm(BOXED, 1)
        talk.say("acked", handle.pause().version)


def finish(campaign: CampaignHandle) -> None:
    """Bring it to its end."""
    if campaign.view().status is CampaignStatus.PENDING:
        campaign.start()
    assert campaign.wait(END_S).status is CampaignStatus.COMPLETED


class Story:
    """Lives on one database, one after the other."""

    def __init__(self, database: Database, home: Path, *patch: str) -> None:
        self._database = database
        self._home = home
        self._patch = (*points.PATCHES, *patch)
        self.acked: list[str] = []

    def tell(self, lives: Iterable[Life]) -> list[str]:
        """Return what is wrong with what is stored after any of them, and after the last one was brought to its end."""
        faults: list[str] = []
        for life in lives:
            with self._host(life) as child:
                child.wait_line("recovered", within_s=END_S)
                self._hear(child)
            faults += (f"{life}: {fault}" for fault in self._faults())
        with self._host(Life("")) as child:
            child.wait_line("recovered", within_s=END_S)
            child.finish(within_s=END_S)
        return [*faults, *self._faults(), *(f"not completed: {row}" for row in self._ask(LEFT))]

    def command(self, campaign: str) -> list[str]:
        """Return what is wrong after somebody has died over a command for a campaign that is executed here."""
        where = {"dsn": self._database.dsn, "home": str(self._home), "campaign": campaign}
        with Child("findings.si_002:commander", patch=self._patch, **where) as child:
            self._hear(child)
        return self._faults()

    def _hear(self, child: Child) -> None:
        """Note what it is answered until it has killed itself."""
        with pytest.raises(AssertionError, match="the child has ended with -9"):
            self._note(child)

    def _note(self, child: Child) -> None:
        while (spoken := child.hear(END_S)) is not None:
            assert spoken.word == "acked", f"the point was not hit: {spoken}"
            self.acked.append(spoken.text)

    def _faults(self) -> list[str]:
        store = Postgres(lambda: self._database.dsn, revive=nothing_to_revive, connections=1)
        try:
            found = [fault.line for fault in verify(store)]
        finally:
            store.close()
        lost = set(self.acked) - set(self._ask(THERE))
        return [*found, *(f"acknowledged, and lost: {what}" for what in sorted(lost))]

    def _ask(self, query: LiteralString) -> list[str]:
        with psycopg.connect(self._database.admin_dsn, autocommit=True) as connection:
            return [row[0] for row in connection.execute(query).fetchall()]

    @contextmanager
    def _host(self, life: Life) -> Iterator[Child]:
        where = {"dsn": self._database.dsn, "home": str(self._home), "point": life.point, "hits": life.hits}
        with Child("findings.si_002:host", patch=self._patch, **where) as child:
            yield child
