"""What a newer program wrote is shown by no reader as something else: all say that this one is to be upgraded."""

from collections.abc import Callable

import pytest
from copies import Copy
from plant import done
from stored import ALICE, TENANT

from domainflow import Operations, Runtime
from domainflow.actors.campaign.events import CampaignArchived
from domainflow.actors.rules import encode
from domainflow.errors import Corrupt
from domainflow.export.rows import rows
from domainflow.verify import Kind, verify

READERS: dict[str, Callable[[Copy, Operations], object]] = {
    "view": lambda copy, operations: operations.campaign(copy.hand.ids.done).view(),
    "watch": lambda copy, operations: list(operations.campaign(copy.hand.ids.done).watch(timeout_s=5.0)),
    "feed": lambda _, operations: list(operations.subscribe("0.0.0", timeout_s=5.0)),
    "export": lambda copy, _: rows(copy.store, copy.hand.ids.done, tenant=TENANT, home=copy.home),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_every_reader_says_to_upgrade(copy: Copy, reader: Callable[[Copy, Operations], object]) -> None:
    copy.hand.append_bytes(done(copy.hand), "campaign.archived", encode(CampaignArchived()), type_version=2)
    with (
        Runtime.open(copy.store.dsn, home=copy.home, campaigns=False, work=False) as runtime,
        pytest.raises(Corrupt, match=r"newer version of this program \(campaign.archived 2, 1 is known\): upgrade"),
    ):
        reader(copy, runtime.as_principal(ALICE))


def test_so_does_the_verifier(copy: Copy) -> None:
    copy.hand.append_bytes(done(copy.hand), "campaign.archived", encode(CampaignArchived()), type_version=2)
    (fault,) = verify(copy.store)
    assert fault.kind is Kind.EVENT_UNREADABLE
    assert "upgrade this one" in fault.text
