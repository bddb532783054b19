"""The read model of campaigns, as commits write it; the twin of those functions of `store.campaigns`."""

from typing import Final

from msgspec.structs import replace

from domainflow.errors import StoreRefused
from domainflow.store.memory.tables import Campaign, MemoryStore
from domainflow.store.port import CampaignMark, CampaignRow

ENDED: Final = frozenset({"completed", "failed", "cancelled"})
DAY_US: Final = 24 * 3_600_000_000


def over_quota(store: MemoryStore, tenant: str, row: CampaignRow) -> str:
    """Return which limit one more campaign would break; empty: none."""
    rows = store.tables.campaigns.values()
    mine = [each for each in rows if (each.tenant, each.row.principal) == (tenant, row.principal)]
    active = sum(_is_active(store, each) for each in mine)
    if active >= row.most_active:
        return f"{row.principal} has {active} active campaigns, and {row.most_active} are allowed"
    yesterday_us = store.now_us() - DAY_US
    recent = sum(each.created_at_us > yesterday_us for each in mine)
    if recent >= row.most_created_a_day:
        return f"{row.principal} created {recent} campaigns in 24 h, and {row.most_created_a_day} are allowed"
    return ""


def insert(store: MemoryStore, tenant: str, row: CampaignRow) -> None:
    """Write the row of a campaign that is born in this transaction."""
    if row.id in store.tables.campaigns:
        raise StoreRefused(f"campaign {row.id} has a row already")
    store.tables.campaigns[row.id] = Campaign(row=row, tenant=tenant, created_at_us=store.now_us())


def mark(store: MemoryStore, campaign: str, change: CampaignMark) -> None:
    """Write what an archive or a delete changes."""
    found = store.tables.campaigns.get(campaign)
    if found is not None:
        status = found.business_status if change.business_status is None else change.business_status
        deleted = found.deleted or change.deleted
        store.tables.campaigns[campaign] = replace(found, business_status=status, deleted=deleted)


def _is_active(store: MemoryStore, campaign: Campaign) -> bool:
    head = store.tables.heads.get(f"campaign/{campaign.row.id}")
    return head is not None and head.status is not None and head.status not in ENDED and not campaign.deleted
