"""The host that is killed: opens a runtime, makes one campaign run or goes on with it, says when it has ended.

Run as a child (`child.Child("kill.host:run", …)`). The lab is not its own: it must outlive it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from child import Talk

from domainflow import CampaignSpec, Principal, Runtime, logs
from domainflow.errors import Unavailable
from domainflow.operations import CampaignHandle, Operations
from domainflow.settings import Settings
from domainflow.spec import DnsPersona, HttpPersona, PatternSource
from domainflow.vocabulary import CampaignStatus, PatternType

# Ten minutes: whoever waited for a lease to run out would be seen at once.
SETTINGS: Final = Settings(lease_s=600.0, most_active=1000)
PATIENCE_S: Final = 60.0  # with a database that is gone
LOOK_AGAIN_S: Final = 0.1
STILL: Final = {CampaignStatus.COMPLETED, CampaignStatus.FAILED, CampaignStatus.CANCELLED, CampaignStatus.PAUSED}

ResultT = TypeVar("ResultT")


def principal(tenant: str) -> Principal:
    """Who asks for the campaign of a tenant."""
    return Principal(id="alice", roles=("operator",), tenant=tenant)


def spec(names: int, batch_size: int) -> CampaignSpec:
    """The campaign: through all four phases of a lab with faults, with the time-outs of the main example.

    The lab answers within a tenth of them or after ten times as long, so that load decides nothing.
    """
    return CampaignSpec(
        name="kill rounds",
        source=PatternSource(
            pattern_type=PatternType.PREFIX,
            variable_length=5,
            character_set="abcdefghijklmnopqrstuvwxyz",
            constant="shop",
            tld="com",
            count=names,
        ),
        batch_size=batch_size,
        dns=DnsPersona(resolvers=("lab",), query_timeout_s=0.5, retries=1),
        http=HttpPersona(connect_ports="lab", trust="lab", allow_private=True, request_timeout_s=1.5, max_in_flight=16),
        keywords=("gadget", "wholesale", "bargain", "discount", "voucher"),
    )


def run(talk: Talk, *, home: str, tenant: str, names: int, batch_size: int) -> None:
    """Say "open" with the runtime's id, "campaign" with the campaign's, "ended" with its status; stay until told."""
    logs.configure("INFO")
    with Runtime.open(home=Path(home), settings=SETTINGS) as runtime:
        talk.say("open", runtime.id)
        operations = runtime.as_principal(principal(tenant))
        handle = patiently(lambda: started(operations, spec(names, batch_size)))
        talk.say("campaign", handle.id)
        while (status := patiently(lambda: handle.view().status)) not in STILL:
            time.sleep(LOOK_AGAIN_S)
        talk.say("ended", status)
        talk.hear()


def started(operations: Operations, wanted: CampaignSpec) -> CampaignHandle:
    """The one campaign of its tenant: the key makes sure of that, whenever the host that asked for it was killed."""
    handle = operations.create_campaign(wanted, idempotency_key="the one")
    if handle.view().status is CampaignStatus.PENDING:
        handle.start()
    return handle


def patiently(call: Callable[[], ResultT]) -> ResultT:
    """Call until the database is there. What is asked for is safe to ask for twice."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(LOOK_AGAIN_S)
