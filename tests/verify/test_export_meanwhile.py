"""An export of a campaign that something happens to meanwhile: each page fits together, and none is of what is gone."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest
from copies import Copy
from msgspec.structs import replace
from stored import ALICE, SPEC, TENANT, opened

from domainflow import Runtime
from domainflow.actors.rules import encode
from domainflow.errors import NotFound
from domainflow.export import Rows, rows
from domainflow.store import export_sql, leases, results, work_items
from domainflow.store.export_sql import Reading, Vector
from domainflow.store.results import Run
from domainflow.store.transaction import Kind
from domainflow.store.work_items import Claim
from domainflow.vocabulary import DnsOutcome, Phase
from domainflow.work.port import DNS_CODES, DnsHit
from domainflow.work.vectors import pack

RUNTIME = "00000000-0000-4000-8000-00000000cafe"
ADDRESSES = ("192.0.2.1",)


def exported(copy: Copy, campaign: str) -> Rows:
    return rows(copy.store, campaign, tenant=TENANT, home=copy.home)


def delete(copy: Copy, campaign: str) -> None:
    """Delete a campaign, and its results bit by bit."""
    with Runtime.open(copy.store.dsn, home=copy.home, campaigns=False, work=False) as runtime:
        runtime.as_principal(ALICE).campaign(campaign).delete()
    with copy.store.upkeep(Kind.UPKEEP) as connection:
        while results.delete_deleted(connection):
            pass


def test_one_that_is_deleted_is_not_told_as_if_it_had_not_run(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("domainflow.export.rows"), "PAGE", 50)  # the package names a function so
    found = exported(copy, copy.hand.ids.done)
    assert next(found).dns_status is not DnsOutcome.PENDING
    delete(copy, copy.hand.ids.done)
    with pytest.raises(NotFound, match="was deleted meanwhile"):
        list(found)


@contextmanager
def claimed(copy: Copy) -> Iterator[Claim]:
    """The only batch of a campaign in DNS, in the hands of a runtime far away."""
    with Runtime.open(copy.store.dsn, home=copy.home, work=False) as runtime:
        spec = replace(SPEC, batch_size=1000, skip=(Phase.DOMAIN_GENERATION,))
        campaign = runtime.as_principal(ALICE).create_campaign(spec)
        campaign.start()
        next(change for change in campaign.watch(timeout_s=20.0) if change.type == "campaign.phase_started")
    with copy.store.connect_listener() as listener:
        leases.register(listener, RUNTIME, host=leases.Host("far", 1), lock_key=3, lease_s=600.0)
        with copy.store.upkeep(Kind.CLAIM) as connection:
            (claim,) = [c for c in work_items.claim(connection, RUNTIME, 100) if c.campaign == campaign.id]
        yield claim


def test_a_batch_that_is_stored_while_a_page_is_read_is_in_it_whole_or_not_at_all(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, store = export_sql.vectors, opened(copy.store.dsn)

    def reading(connection: Reading, run: Run, first: int, end: int) -> list[Vector]:
        """Read the vectors, and have the batch stored right after."""
        found, number = read(connection, run, first, end), claim.stop - claim.start
        resolved = DNS_CODES.index(DnsOutcome.RESOLVED)
        body = encode(DnsHit(ADDRESSES))
        result = work_items.Result(
            item=claim.id,
            fence=claim.fence,
            counts=(("resolved", number),),
            outcomes=pack([resolved] * number),
            hits=tuple((position, body) for position in range(claim.start, claim.stop)),
        )
        assert store.store_results([result], [TENANT]) == [True]
        return found

    with claimed(copy) as claim:
        monkeypatch.setattr(export_sql, "vectors", reading)
        found = list(exported(copy, claim.campaign))
    store.close()
    assert {(row.dns_status, row.addresses) for row in found} == {(DnsOutcome.PENDING, ())}
