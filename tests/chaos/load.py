"""The runtime under load, run as a child (`child.Child("chaos.load:run", …)`): it serves clients on threads of its own.

All but one configure campaigns that have not begun, which both runtimes share; one has campaigns do real work.
"""

import random
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

from chaos import points
from chaos.client import CAMPAIGN, Client
from chaos.ledger import Ledger
from child import Talk
from kill.host import spec as work_spec
from msgspec.structs import replace

from domainflow import CampaignSpec, Principal, Runtime, logs
from domainflow.errors import Unavailable
from domainflow.operations import Operations
from domainflow.settings import Settings
from domainflow.vocabulary import CampaignStatus

LEASE_S: Final = 2.0  # the least there is
SETTINGS: Final = Settings(
    lease_s=LEASE_S, workers=2, most_running=8, most_active=100_000, most_created_a_day=1_000_000
)
ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")
CONFIGURING: Final = 3  # threads
NAMES: Final = 120
BATCH: Final = 20
LOOK_AGAIN_S: Final = 0.1
ENDED: Final = {CampaignStatus.COMPLETED, CampaignStatus.FAILED, CampaignStatus.CANCELLED}


def spec(mark: str) -> CampaignSpec:
    """A campaign of real work, told apart by its name."""
    return replace(work_spec(NAMES, BATCH), name=mark)


def run(  # noqa: PLR0913 - what a child is told
    talk: Talk, *, dsn: str, home: str, ledger: str, name: str, idle: str
) -> None:
    """Serve until told.

    Says "open" with the runtime's id. Hears "die N POINT", "rest", which it answers with "resting" once nothing is
    in doubt, and the end. `name`: of the client and its life; `idle`: the streams to be configured.
    """
    logs.configure("INFO")
    rest = threading.Event()
    with Runtime.open(dsn, home=Path(home), settings=SETTINGS) as runtime, Ledger(Path(ledger)) as log:
        talk.say("open", runtime.id)
        operations = runtime.as_principal(ALICE)
        clients = [Client(operations, log, f"{name}-{number}", spec=spec) for number in range(CONFIGURING + 2)]
        with ThreadPoolExecutor(CONFIGURING + 2) as threads:
            threads.submit(_obey, talk, rest)
            try:
                clients[-1].come_back(Path(ledger))
                serving = [threads.submit(_configure, each, idle.split(","), rest) for each in clients[:CONFIGURING]]
                serving.append(threads.submit(_have_work_done, clients[CONFIGURING], operations, rest))
                wait(serving, return_when=FIRST_EXCEPTION)
            finally:
                rest.set()
            for each in serving:
                each.result()
            talk.say("resting")


def _obey(talk: Talk, rest: threading.Event) -> None:
    """Hear what the test wants until it has ended."""
    while line := talk.hear():
        word, *how = line.split(" ", 2)
        if word == "die":
            points.arm(how[1], int(how[0]))
        else:
            rest.set()
    rest.set()


def _configure(client: Client, streams: list[str], rest: threading.Event) -> None:
    chance = random.Random()  # noqa: S311 - no secret
    while not rest.is_set():
        client.configure(chance.choice(streams))


def _have_work_done(client: Client, operations: Operations, rest: threading.Event) -> None:
    """One campaign after the other, each held for a moment on its way."""
    while not rest.is_set():
        stream = client.create()
        if stream is None or not client.start(stream):
            continue
        if paused := client.pause(stream):
            client.resume(stream, paused)
        while not rest.is_set() and not _has_ended(operations, stream):
            time.sleep(LOOK_AGAIN_S)


def _has_ended(operations: Operations, stream: str) -> bool:
    try:
        return operations.campaign(stream.removeprefix(CAMPAIGN)).view().status in ENDED
    except Unavailable:
        return False
