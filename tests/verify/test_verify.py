"""The verifier finds nothing in what real runtimes wrote, and each planted fault once, by its name."""

from typing import Final

import pytest
from copies import Copy
from plant import Plant, running
from plants import PLANTS
from stored import ALICE, DNS, HTTP, SEED, Hand

from domainflow import Runtime, Settings
from domainflow.actors.campaign.actor import RULES
from domainflow.actors.campaign.events import (
    BatchesAccounted,
    CampaignBegun,
    CampaignCreated,
    CampaignQueued,
    PhaseCompleted,
    PhaseStarted,
)
from domainflow.lab.process import Lab
from domainflow.spec import Names, ScoringProfile
from domainflow.store import verify_sql
from domainflow.verify import KINDS, Fault, Kind, verify
from domainflow.verify.tally import Tally
from domainflow.vocabulary import CampaignStatus, Mode, Phase

CREATED: Final = CampaignCreated(
    name="a campaign",
    description="",
    principal="alice",
    mode=Mode.FULL_SEQUENCE,
    source=Names(sha256="0" * 64, names=20),
    base=0,
    count=20,
    created_at_us=0,
    batch_size=10,
    retries=0,
    window=32,
    skip=(Phase.DOMAIN_GENERATION,),
    dns=DNS,
    http=HTTP,
    keywords=(),
    scoring=ScoringProfile(),
)
BEGUN: Final = (CampaignQueued(), CampaignBegun())


def test_what_runtimes_wrote_has_no_fault(copy: Copy) -> None:
    told: list[tuple[str, int, int]] = []
    assert list(verify(copy.store, progress=lambda *step: told.append(step))) == []
    (streams,) = copy.hand.connection.execute("select count(*) from domainflow.head").fetchone() or (0,)
    assert told == [
        *(("streams", number, streams) for number in range(1, streams + 1)),
        *(("across streams", number, 5) for number in range(1, 6)),
        ("sources", 1, 2),
        ("sources", 2, 2),
    ]


@pytest.mark.parametrize("plant", PLANTS, ids=[f"{p.kind}{p.label and ': ' + p.label}" for p in PLANTS])
def test_a_planted_fault_is_found_and_named_and_nothing_else_is(
    copy: Copy, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = plant.where(copy.hand)
    plant.plant(copy.hand)
    found = list(verify(copy.store))
    assert [fault.kind for fault in found] == [plant.kind], [fault.line for fault in found]
    assert found[0].where.startswith(where)
    assert "\n" not in found[0].line
    assert found[0].text
    monkeypatch.setattr(verify_sql, "STREAMS_A_SPAN", 1)
    assert list(verify(copy.store)) == found


def test_every_kind_of_fault_has_a_planted_one() -> None:
    assert set(KINDS) - {plant.kind for plant in PLANTS} == {
        Kind.PHASE_INCOMPLETE,  # the next two tests
        *(Kind.ARCHIVE_DIFFERS, Kind.ARCHIVE_MISSING),  # test_archived.py
    }


def test_a_phase_completed_before_its_batches_is_named() -> None:
    tally, state = Tally("campaign/x"), RULES.initial
    for event in (CREATED, *BEGUN, PhaseStarted(phase=Phase.DNS_VALIDATION, run=1, width=10, batches=2, total=20)):
        assert list(tally.judge(state, event)) == []
        state = RULES.evolve(state, event)
    (fault,) = tally.judge(state, PhaseCompleted(phase=Phase.DNS_VALIDATION))
    assert fault.kind is Kind.PHASE_INCOMPLETE
    assert fault.line == (
        "phase_incomplete campaign/x dns_validation run 1: it was completed with 0 of 2 batches accounted"
    )


def test_a_phase_completed_with_too_few_names_is_named() -> None:
    tally, state = Tally("campaign/x"), RULES.initial
    counted = BatchesAccounted(
        phase=Phase.DNS_VALIDATION, run=1, batches=(1, 0), items=(1, 2), counts=(("NXDOMAIN", 19),)
    )
    started = PhaseStarted(phase=Phase.DNS_VALIDATION, run=1, width=10, batches=2, total=20)
    for event in (CREATED, *BEGUN, started, counted):
        assert list(tally.judge(state, event)) == []
        state = RULES.evolve(state, event)
    (fault,) = tally.judge(state, PhaseCompleted(phase=Phase.DNS_VALIDATION))
    assert fault == Fault(
        Kind.PHASE_INCOMPLETE, "campaign/x dns_validation run 1", "it was completed with 19 of 20 names"
    )


def test_a_fault_is_one_line_whatever_the_stored_text_holds() -> None:
    fault = Fault(Kind.CAMPAIGN_ROW_DIFFERS, "campaign/x", "its name is \n\r two\tlines")
    assert fault.line == "campaign_row_differs campaign/x: its name is two lines"


def test_what_commits_while_the_verifier_is_under_way_is_not_seen(copy: Copy) -> None:
    copy.hand.do("update domainflow.head set status = 'failed' where stream = %s", running(copy.hand))
    faults = verify(copy.store)
    assert next(faults).kind is Kind.STATUS_DIFFERS  # its events are folded, its ledger and results come next
    account_the_done_batch(copy.hand)
    assert list(faults) == []
    assert [fault.kind for fault in verify(copy.store)] == [Kind.STATUS_DIFFERS]


def account_the_done_batch(hand: Hand) -> None:
    done = (("NXDOMAIN", 10),)
    with hand.connection.transaction():
        hand.append(
            running(hand),
            BatchesAccounted(phase=Phase.DNS_VALIDATION, run=1, batches=(0,), items=(0,), counts=done),
        )
        hand.do("delete from domainflow.work_item where campaign = %s and batch = 0 and state = 2", hand.ids.running)


def test_a_live_runtime_raises_no_false_alarm(copy: Copy) -> None:
    settings = Settings(workers=1, most_active=20, tick_s=0.01)
    rounds = 0
    with (
        Lab.start(copy.home, SEED, faults=False),
        Runtime.open(copy.store.dsn, home=copy.home, settings=settings) as runtime,
    ):
        campaign = runtime.as_principal(ALICE).campaign(copy.hand.ids.running)
        while campaign.view().status is CampaignStatus.RUNNING:
            assert [fault.line for fault in verify(copy.store)] == []
            rounds += 1
        assert campaign.view().status is CampaignStatus.COMPLETED
    assert rounds  # how many is the machine's
