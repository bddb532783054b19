"""Stories of the runtime itself: clients that command campaigns, workers, and whatever befalls in between."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from house import CLAIMS, House, on_memory

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
from domainflow.errors import Fenced, Unavailable
from domainflow.store.memory import leases
from domainflow.store.memory.tables import MemoryStore
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
KINDS: Final = (
    *("lost-before", "lost-after", "late", "again", "away", "crash-before"),
    *("crash", "crash-after", "crash-signal", "full"),
)
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


def takeover(world: World) -> None:
    """A runtime is taken for dead while its clients go on; another one takes its campaign over, and has clients too."""
    world.expect_failures(Unavailable, Fenced)
    memory = MemoryStore()
    former, successor = on_memory(world, memory), on_memory(world, memory, "r2")
    with world.calm():
        former.create("c1", 20)
        former.command("former starts", "c1", StartCampaign())

    def take() -> None:
        leases.end_session(memory, "r1")
        successor.own("c1")
        world.sleep(1.0)  # whatever the former owner has on its way arrives
        for number in range(2):
            successor.command(f"successor {number}", "c1", world.random.choice(COMMANDS))

    world.thread("former", partial(_as_long_as_it_owns, former, "c1"))
    world.thread("successor", take)
    world.join()
    successor.check()
    claimed = [version for stream, version, by in CLAIMS[memory] if stream == "campaign/c1" and by == "r2"]
    behind = [each for each in successor.written() if each[0] == "campaign/c1" and each[1] > min(claimed)]
    assert not [key for _, _, key, _ in behind if key.startswith("former")], f"claimed at {claimed}: {behind}"


def _as_long_as_it_owns(house: House, id_: str) -> None:
    house.tries = 2
    with suppress(AssertionError):  # nobody answers it any more
        for number in range(3):
            house.command(f"former {number}", id_, house.world.random.choice(COMMANDS))


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
