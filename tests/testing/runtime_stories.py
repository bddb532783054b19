"""Stories of the runtime itself: clients that command campaigns, workers, and whatever befalls in between."""

from collections.abc import Callable
from functools import partial
from typing import Final

from house import House

from domainflow.actors.campaign.messages import (
    ArchiveCampaign,
    CampaignCommand,
    CancelCampaign,
    PauseCampaign,
    ResumeCampaign,
    RetryCampaign,
    SkipPhase,
    StartCampaign,
)
from domainflow.errors import Unavailable
from domainflow.testing import Search, World
from domainflow.vocabulary import Phase

COMMANDS: Final[tuple[CampaignCommand, ...]] = (
    PauseCampaign(),
    ResumeCampaign(),
    PauseCampaign(holder="step"),
    ResumeCampaign(holder="step"),
    CancelCampaign(),
    RetryCampaign(),
    ArchiveCampaign(),
    SkipPhase(phase=Phase.HTTP_KEYWORD_VALIDATION),
)
KINDS: Final = ["lost-before", "lost-after", "late", "again", "crash", "crash-after", "crash-before", "away", "full"]
EVERYTHING: Final = dict.fromkeys(KINDS, 0.03)


def clients(made: Callable[[World], House], world: World) -> None:
    """Two clients with a campaign each, which they command at random, and sometimes each other's; one worker."""
    world.expect_failures(Unavailable)  # of whoever could not get its word to a lane, or heard nothing of it
    house = made(world)
    world.thread("ann", partial(_client, house, "c1", "c2"))
    world.thread("bob", partial(_client, house, "c2", "c1"))
    world.thread("worker", partial(_worker, house))
    world.join()
    world.rest(5.0)
    house.check()
    for id_ in ("c1", "c2"):
        assert f"create {id_}" in house.acked, house.refused


def _client(house: House, own: str, other: str) -> None:
    who, chance = house.world.scheduler.who, house.world.random
    house.create(own, chance.choice([5, 20]))
    house.command(f"{who} starts", own, StartCampaign())
    for number in range(chance.randrange(4)):
        which = other if f"create {other}" in house.acked and chance.random() < 1 / 3 else own
        house.command(f"{who} {number}", which, chance.choice(COMMANDS))


def _worker(house: House) -> None:
    for _ in range(4):
        house.work()
        house.world.sleep(1.0)


def search(schedules: int, seed: int = 0) -> Search:
    return Search(schedules=schedules, seed=seed, faults=EVERYTHING, most_faults=3)
