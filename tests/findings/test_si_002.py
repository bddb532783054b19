"""SI-002, central state: at whatever point of a commit or a phase a host is killed, the state is sound and goes on."""

from pathlib import Path
from typing import Final

import pytest
from chaos.points import POINTS
from child import eventually
from databases import Database

from domainflow import Runtime
from domainflow.vocabulary import CampaignStatus

from findings.si_002 import ALICE, BOXED, SETTINGS, SPEC, Life, Story  # isort: skip  # a folder beside this one's

MANY_S: Final = 600.0
# The first two configure a campaign, the next two begin it, and two at least account its phases.
HITS: Final = {"before the commit": 4, "after the commit": 5, "commit in flight": 6}
ONCE: Final = tuple(Life(point, HITS.get(point, 1)) for point in POINTS if point != BOXED)
EACH: Final = tuple(Life(point, hits) for point in HITS for hits in range(1, 7))
WITHOUT_TRANSACTION: Final = "domainflow.store.commit:transaction=findings.unguarded_transaction:without_transaction"


@pytest.mark.parametrize(
    "lives",
    [
        pytest.param(ONCE, id="once", marks=pytest.mark.timeout(MANY_S)),
        pytest.param(ONCE + EACH, id="each", marks=[pytest.mark.chaos, pytest.mark.timeout(MANY_S)]),
    ],
)
def test_a_host_killed_at_any_named_point_leaves_what_verifies_and_what_the_next_one_brings_to_its_end(
    database: Database, home: Path, lives: tuple[Life, ...]
) -> None:
    story = Story(database, home)
    assert story.tell(lives) == []
    assert len(story.acked) >= len(lives) // 2, "hardly anything was acknowledged that could have been lost"


def test_a_sender_killed_over_a_boxed_command_leaves_nothing_of_it(database: Database, home: Path) -> None:
    with Runtime.open(database.dsn, home=home, settings=SETTINGS, work=False) as runtime:
        campaign = runtime.as_principal(ALICE).create_campaign(SPEC)
        campaign.start()
        eventually(lambda: campaign.view().status is CampaignStatus.RUNNING, "it is executed here")
        story = Story(database, home)
        assert story.command(campaign.id) == []
        assert story.acked == []
        assert campaign.view().status is CampaignStatus.RUNNING
        assert campaign.cancel().status == CampaignStatus.CANCELLED


def test_it_is_the_one_transaction_of_a_group_that_leaves_nothing_half_done(database: Database, home: Path) -> None:
    faults = Story(database, home, WITHOUT_TRANSACTION).tell([Life("group half written")])
    assert any("campaign_row_missing" in fault for fault in faults)
