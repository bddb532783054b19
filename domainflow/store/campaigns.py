"""The read model of campaigns: listed, counted against quotas, marked; always in the transaction that decides."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, LiteralString

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from domainflow.store.port import CampaignMark, CampaignRow

UUID_DIGITS: Final = 32

MAKE_PRINCIPAL: Final[LiteralString] = """
insert into domainflow.quota (tenant, principal) values (%s, %s) on conflict do nothing
"""
# A statement of its own: one that waited for the row to be made does not see it, and would lock nothing.
LOCK_PRINCIPAL: Final[LiteralString] = """
select 1 from domainflow.quota where tenant = %s and principal = %s for update
"""
# Each side by an index of its own, so that those that ended long ago cost nothing. The owner is looked up one by one: a
# join would be planned for the few rows there are at first, and compare each with each later.
COUNT_OF_PRINCIPAL: Final[LiteralString] = """
select (select count(*) from domainflow.head h
         where h.tenant = %(tenant)s and h.status not in ('completed', 'failed', 'cancelled')
           and (select c.principal from domainflow.campaign c
                 where c.id = substr(h.stream, 10)::uuid and c.deleted_at is null) = %(principal)s),
       (select count(*) from domainflow.campaign
         where tenant = %(tenant)s and principal = %(principal)s
           and created_at > clock_timestamp() - interval '24 hours')
"""
INSERT: Final[LiteralString] = """
insert into domainflow.campaign (id, tenant, principal, name, source_stream, base, count)
values (%s, %s, %s, %s, %s, %s, %s)
"""
MARK: Final[LiteralString] = """
update domainflow.campaign
   set business_status = coalesce(%s, business_status),
       deleted_at = case when %s then clock_timestamp() else deleted_at end
 where id = %s
"""
LIST: Final[LiteralString] = """
select c.id::text, c.tenant, c.principal, c.name, h.status, c.business_status, c.base, c.count, c.created_at, h.version
  from domainflow.campaign c join domainflow.head h on h.stream = 'campaign/' || c.id
 where c.deleted_at is null and (c.created_at, c.id) < (%s, %s::uuid)
 order by c.created_at desc, c.id desc limit %s
"""
FIND: Final[LiteralString] = """
select c.id::text, c.tenant, c.principal, c.name, h.status, c.business_status, c.base, c.count, c.created_at, h.version
  from domainflow.campaign c join domainflow.head h on h.stream = 'campaign/' || c.id
 where (c.deleted_at is null or %s) and c.id between %s::uuid and %s::uuid limit 2
"""
OWNERS: Final[LiteralString] = "select id::text, principal from domainflow.campaign where id = any(%s::uuid[])"


class Summary(Struct, frozen=True, kw_only=True):
    """One campaign as a list shows it."""

    id: str
    tenant: str
    principal: str
    name: str
    status: str
    business_status: str | None
    base: int
    count: int
    created_at: datetime
    version: int


def over_quota(connection: Connection[TupleRow], tenant: str, row: CampaignRow) -> str:
    """Lock the principal's row and return which limit one more campaign would break; empty: none.

    In the creating transaction: the row stays locked until that ends, so two creators count one after the other.
    """
    connection.execute(MAKE_PRINCIPAL, (tenant, row.principal))
    connection.execute(LOCK_PRINCIPAL, (tenant, row.principal))
    counts = connection.execute(COUNT_OF_PRINCIPAL, {"tenant": tenant, "principal": row.principal}).fetchone()
    active, recent = counts or (0, 0)
    if active >= row.most_active:
        return f"{row.principal} has {active} active campaigns, and {row.most_active} are allowed"
    if recent >= row.most_created_a_day:
        return f"{row.principal} created {recent} campaigns in 24 h, and {row.most_created_a_day} are allowed"
    return ""


def insert(connection: Connection[TupleRow], tenant: str, row: CampaignRow) -> None:
    """Write the row of a campaign that is born in this transaction."""
    connection.execute(INSERT, (row.id, tenant, row.principal, row.name, row.source_stream, row.base, row.count))


def mark(connection: Connection[TupleRow], campaign: str, change: CampaignMark) -> None:
    """Write what an archive or a delete changes."""
    connection.execute(MARK, (change.business_status, change.deleted, campaign))


def newest(connection: Connection[TupleRow], *, before: tuple[datetime, str], limit: int) -> list[Summary]:
    """Return up to `limit` campaigns of the transaction's tenants created before a position, newest first."""
    return [_summary(row) for row in connection.execute(LIST, (*before, limit)).fetchall()]


def find(connection: Connection[TupleRow], prefix: str, *, deleted: bool = False) -> list[Summary]:
    """Return up to two campaigns of the transaction's tenants whose id begins with `prefix` (a uuid or its start).

    `deleted`: those that are in no list any more too.
    """
    digits = prefix.lower().replace("-", "")
    if not digits or len(digits) > UUID_DIGITS or set(digits) - set("0123456789abcdef"):
        return []
    bounds = (digits.ljust(UUID_DIGITS, "0"), digits.ljust(UUID_DIGITS, "f"))
    return [_summary(row) for row in connection.execute(FIND, (deleted, *bounds)).fetchall()]


def owners(connection: Connection[TupleRow], ids: Collection[str]) -> dict[str, str]:
    """Return whose these campaigns are, by id; those whose rows are gone are left out."""
    return dict(connection.execute(OWNERS, (list(ids),)).fetchall())


def _summary(row: TupleRow) -> Summary:
    id_, tenant, principal, name, status, business_status, base, count, created_at, version = row
    return Summary(
        id=id_,
        tenant=tenant,
        principal=principal,
        name=name,
        status=status,
        business_status=business_status,
        base=base,
        count=count,
        created_at=created_at,
        version=version,
    )
