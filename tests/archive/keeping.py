"""What the tests of archives share: a campaign that has ended, a second process that archives, and points to die at."""

import os
import signal
from pathlib import Path
from typing import Final

import psycopg
from child import Talk
from databases import Database

from domainflow import CampaignHandle, CampaignSpec, Operations, Principal, Runtime, Settings
from domainflow.spec import PatternSource
from domainflow.store.projections import Rows
from domainflow.verify import verify
from domainflow.vocabulary import PatternType

ALICE: Final = Principal(id="alice", roles=("admin",), tenant="acme")
MANY: Final = Settings(most_active=1000, most_created_a_day=1000)
SPEC: Final = CampaignSpec(
    name="two names",
    source=PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=3, character_set="abcdef", constant="x", tld="com", count=2
    ),
)
ENDED_AT: Final = 7  # the version of a campaign that `ended` made; its seal is the next one
SEAL: Final = ENDED_AT + 1

_slices: list[str] = []


def ended(ops: Operations) -> CampaignHandle:
    """Create a campaign and have it end without a worker."""
    campaign = ops.create_campaign(SPEC)
    campaign.start()
    campaign.pause()
    campaign.resume()
    assert campaign.cancel().version == ENDED_AT
    return campaign


def versions(database: Database, campaign: CampaignHandle) -> list[int]:
    """The events of a campaign that are in the database."""
    with psycopg.connect(database.admin_dsn) as admin:
        rows = admin.execute("select version from domainflow.event where stream = %s order by 1", (campaign.stream,))
        return [row[0] for row in rows]


def faults(runtime: Runtime) -> list[str]:
    """What the verifier finds, archives and all."""
    return [fault.line for fault in verify(runtime.store, archive=runtime.home / "archive")]


def archive(_talk: Talk, *, dsn: str, home: str) -> None:
    """Archive whatever has ended."""
    with Runtime.open(dsn, home=Path(home), settings=MANY, campaigns=False, work=False) as runtime:
        runtime.as_principal(ALICE).archive(0)


def die(*_: object) -> None:
    """For any step: the process is killed before it."""
    os.kill(os.getpid(), signal.SIGKILL)


def delete_one_and_die(connection: Rows, stream: str) -> int:
    """For `archives.delete_slice`: the process is killed between two slices."""
    if _slices:
        die()
    _slices.append(stream)
    row = connection.execute("select domainflow.delete_archived(%s, 1)", (stream,)).fetchone()
    assert row == (1,)
    return 1
