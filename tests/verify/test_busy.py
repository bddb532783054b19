"""A runtime goes on while the verifier reads, span by span: nothing is true of one span and false of the next."""

import pytest
from copies import Copy
from durable import in_thread
from msgspec.structs import replace
from stored import ALICE, SEED, SPEC

from domainflow import Operations, Runtime, Settings
from domainflow.lab.process import Lab
from domainflow.store import verify_sql
from domainflow.verify import verify
from domainflow.vocabulary import CampaignStatus

LIVES = 12
DONE_S = 60.0


@pytest.mark.parametrize("streams", [2000, 1], ids=["one span", "a span a stream"])
def test_a_busy_runtime_raises_no_false_alarm(copy: Copy, monkeypatch: pytest.MonkeyPatch, streams: int) -> None:
    monkeypatch.setattr(verify_sql, "STREAMS_A_SPAN", streams)
    settings = Settings(workers=1, most_active=20, tick_s=0.01)
    rounds = 0
    with (
        Lab.start(copy.home, SEED, faults=False),
        Runtime.open(copy.store.dsn, home=copy.home, settings=settings) as runtime,
    ):
        operations = runtime.as_principal(ALICE)
        lives = in_thread(lambda: [live(operations, number) for number in range(LIVES)])
        while not lives.done():
            assert [fault.line for fault in verify(copy.store)] == []
            rounds += 1
        assert lives.result() == [CampaignStatus.COMPLETED, None, CampaignStatus.CANCELLED] * (LIVES // 3)
    assert rounds  # how many is the machine's


def live(operations: Operations, number: int) -> CampaignStatus | None:
    """Live a campaign's life: to its good end, deleted in the middle, or cancelled after a pause."""
    source = replace(SPEC.source, variable_length=6, count=60)
    campaign = operations.campaign(operations.create_campaign(replace(SPEC, name=f"life {number}", source=source)).id)
    campaign.start()
    if number % 3 == 0:
        return campaign.wait(DONE_S).status
    campaign.pause()
    campaign.wait(DONE_S)
    campaign.cancel()
    if number % 3 == 1:
        campaign.delete()
        return None
    return campaign.view().status
