"""kill -9 at random instants, restart, until done: nothing lost, nothing twice, nothing left behind.

`make test` runs five kills of each kind, `make chaos` forty. The seed is printed; KILL_SEED repeats it.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from child import Child, eventually

from rig import (  # isort: skip  # beside this file
    ATTEMPTS,
    CLAIM_AGAIN_S,
    CLAIMED,
    END_S,
    GONE_S,
    OPEN_S,
    WORTH_CLAIMING,
    Rig,
    Size,
    Story,
    is_dead,
    kill,
    live,
    rig,
    workers_of,
)

FEW: Final = Size(kills=5, names=5_000, batch_size=250, life_s=(0.3, 2.0))
MANY: Final = Size(kills=40, names=20_000, batch_size=250, life_s=(0.5, 3.0))
KILLED_WHILE_OPENING: Final = 5  # every fifth host does not live to work
SIZES: Final = [
    pytest.param(FEW, id="few", marks=pytest.mark.timeout(180)),
    pytest.param(MANY, id="many", marks=[pytest.mark.chaos, pytest.mark.alone, pytest.mark.timeout(1500)]),
]


@pytest.fixture(scope="module", params=SIZES)
def made(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The rig, once for all three kinds of kills."""
    folder = Path(tempfile.mkdtemp(prefix="domainflow-kill-", dir="/var/tmp"))
    folder.chmod(0o755)  # the server's account must pass
    try:
        with rig(folder, request.param) as ready:
            yield ready
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_campaign_survives_kills_of_its_host(made: Rig) -> None:
    story = Story(made, "hosts")
    waits_s: list[float] = []
    while story.wants_kills():
        with made.host(story.tenant) as host:
            if _lives_to_be_killed(made, story, host, waits_s):
                left = host.kill9()
                story.killed()
                eventually(lambda: is_dead(left), f"of {left} none is left", within_s=GONE_S)  # noqa: B023 - at once
            else:
                host.finish()
                story.check()
    with made.host(story.tenant) as host:
        assert live(host, END_S), host.last_errors()
        host.finish()
    story.check()
    print(f"{story.kills} kills, {story.campaigns} campaigns; s to claim again {waits_s}")  # noqa: T201
    assert max(waits_s) <= CLAIM_AGAIN_S


def test_a_campaign_survives_kills_of_its_workers(made: Rig) -> None:
    story = Story(made, "workers")
    while story.wants_kills():
        with made.host(story.tenant) as host:
            host.wait_line("open", within_s=OPEN_S)
            while not live(host, story.life_s()):
                victims = workers_of(host)
                if victims:
                    kill(made.chance.choice(victims))
                    story.killed()
            host.finish()
        story.check()


def test_a_host_and_its_campaign_survive_kills_of_the_postmaster(made: Rig) -> None:
    story = Story(made, "postmaster")
    while story.wants_kills():
        with made.host(story.tenant) as host:
            host.wait_line("open", within_s=OPEN_S)
            while not live(host, story.life_s()):
                victim = made.postmaster()
                if victim is not None:
                    kill(victim)
                    story.killed()
            host.finish()
        story.check()


def _lives_to_be_killed(made: Rig, story: Story, host: Child, waits_s: list[float]) -> bool:
    """Let a host live for its time: to some instant of its start, or from its first claim on; False: it has ended."""
    if story.kills % KILLED_WHILE_OPENING == KILLED_WHILE_OPENING - 1:
        return not live(host, made.chance.uniform(0.0, made.size.life_s[1]))
    runtime = host.wait_line("open", within_s=OPEN_S)
    began_s = time.monotonic()
    with made.database() as connection:
        if connection.execute(WORTH_CLAIMING, (story.tenant,)).fetchone() == (True,):
            while connection.execute(CLAIMED, (runtime,)).fetchone() == (False,):
                assert time.monotonic() < began_s + OPEN_S, f"nothing is claimed again:\n{host.last_errors()}"
                time.sleep(0.005)
            waits_s.append(round(time.monotonic() - began_s, 3))
        # Just now, when what the last host had in hand has been put back and is in hand again.
        assert connection.execute(ATTEMPTS).fetchone() == (0, 0), "a lost host counts against an item"
    return not live(host, made.life_s())
