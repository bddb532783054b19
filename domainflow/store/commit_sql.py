"""The text of the commit; what calls it, and what it promises, is in `commit`.

A lane plans it once, as a rule while the tables are empty, and keeps that plan. So what looks something up by its key
is written one by one (`lateral`, or a subquery), never as a join, which would read the whole table when it has grown.

Most items only record events: PLAIN leaves out what work, the command box and notes need, which would cost each commit
a third of its time. FULL has all of it.
"""

import re
from typing import Final, LiteralString, NamedTuple

HEADS: Final[LiteralString] = """
with barrier as materialized (
  -- Whoever resolves a lost connection raises the generation: that waits for this lock, and bars what comes after it.
  select 1 from domainflow.lane
   where runtime = %(runtime)::uuid and lane = %(lane)::smallint and generation = %(generation)::bigint
     for share
), item as materialized (
  select * from unnest(%(stream)::text[], %(tenant)::text[], %(expected)::bigint[], %(previous)::bytea[],
                       %(version)::bigint[], %(hash)::bytea[], %(epoch)::bigint[], %(status)::text[],
                       %(fold_version)::smallint[], %(snapshot)::bytea[],
                       %(principal)::text[], %(key)::text[], %(command_hash)::bytea[], %(key_answer)::bytea[]
"""
PLAIN_COLUMNS: Final[LiteralString] = """
) with ordinality as i(stream, tenant, expected, previous, version, hash, epoch, status, fold_version, snapshot,
                       principal, key, command_hash, key_answer, ord)
"""
FULL_COLUMNS: Final[LiteralString] = """
                     , %(campaign)::text[], %(ledger)::text[], %(box)::text[], %(box_answer)::bytea[],
                       %(about)::text[], %(about_epoch)::bigint[]
) with ordinality as i(stream, tenant, expected, previous, version, hash, epoch, status, fold_version, snapshot,
                       principal, key, command_hash, key_answer, campaign, ledger, box, box_answer,
                       about, about_epoch, ord)
"""
LOCKED: Final[LiteralString] = """
   where exists (select 1 from barrier)
), locked as materialized (
  -- In stream order, so that two lanes or runtimes can never deadlock.
  select h.* from (select stream from item order by stream) i cross join lateral (
    select stream, version, hash, epoch, tenant from domainflow.head where stream = i.stream for no key update) h
), used as materialized (
  select i.ord, k.command_hash, k.answer from item i cross join lateral (
    select command_hash, answer from domainflow.idempotency
     where tenant = i.tenant and principal = i.principal and key = i.key limit 1) k
)"""
PLAIN_FIT: Final[LiteralString] = """
, taken as (
  select * from used
), fit as materialized (
  select i.* from item i where i.ord not in (select ord from used)
)"""
FULL_FIT: Final[LiteralString] = """
, settled_work as materialized (
  -- Locked here, deleted below: only the owner deletes them, and the owner is whoever wins the update of the head.
  select w.id from unnest(%(a_id)::bigint[]) as a(id) cross join lateral (
    select id from domainflow.work_item
     where id = a.id and state = 2 and (select count(*) from locked) >= 0 for update) w
), short as (
  select a.item as ord from unnest(%(a_item)::bigint[], %(a_id)::bigint[]) as a(item, id)
    left join settled_work s on s.id = a.id where s.id is null
), boxed as materialized (
  -- Locked, so that who takes his command back either comes before this, and is seen here, or finds it answered.
  select c.id, c.answer from domainflow.command c
   where c.id = any (%(box)::uuid[]) and (select count(*) from locked) >= 0 for update
), taken as materialized (
  select * from used
  union all
  select i.ord, ''::bytea, c.answer from item i
    join boxed c on c.id = i.box::uuid where c.answer is not null
), usurped as materialized (
  -- What is said of an owned stream is only true under its owner's epoch.
  select i.ord from item i where i.about is not null
     and i.about_epoch is distinct from (select epoch from domainflow.head where stream = i.about)
), fit as materialized (
  select i.* from item i
   where i.ord not in (select ord from short) and i.ord not in (select ord from taken)
     and i.ord not in (select ord from usurped)
)"""
WRITTEN: Final[LiteralString] = """
, moved as (
  update domainflow.head h set version = i.version, hash = i.hash, status = i.status
    from fit i join locked l using (stream)
   where h.stream = i.stream and i.expected > 0
     and h.version = i.expected and h.hash = i.previous and h.tenant = i.tenant and h.epoch is not distinct from i.epoch
  returning h.stream
), born as (
  insert into domainflow.head (stream, tenant, version, hash, epoch, status)
  select stream, tenant, version, hash, epoch, status from fit where expected = 0 order by stream
  on conflict do nothing
  returning stream
), done as materialized (
  -- Everything below hangs off what was really written, never off what was read: `locked` may show a row that
  -- was committed while it waited, and the update does not see that one. Not joins: the planner expects few items,
  -- and would compare each with each.
  select i.* from fit i
   where i.stream in (select stream from moved) or i.stream in (select stream from born)
), recorded as (
  insert into domainflow.event (stream, version, tenant, recorded_at, type, type_version, context, body, hash)
  select d.stream, e.version, d.tenant, e.recorded_at, e.type, e.type_version, e.context, e.body, e.hash
    from unnest(%(e_item)::bigint[], %(e_version)::bigint[], %(e_recorded_at)::timestamptz[], %(e_type)::text[],
                %(e_type_version)::smallint[], %(e_context)::bytea[], %(e_body)::bytea[], %(e_hash)::bytea[])
      as e(item, version, recorded_at, type, type_version, context, body, hash)
    join done d on d.ord = e.item
   order by d.stream, e.version
), pictured as (
  insert into domainflow.snapshot as s (stream, tenant, version, fold_version, state)
  select stream, tenant, version, fold_version, snapshot from done where snapshot is not null
  on conflict (stream) do update
     set version = excluded.version, fold_version = excluded.fold_version, state = excluded.state
), keyed as (
  -- Not `on conflict`: two that race for one key must not both move their heads. The loser's statement raises.
  -- Without an answer there is nothing to keep: it was only to be looked for.
  insert into domainflow.idempotency (tenant, principal, key, command_hash, answer)
  select tenant, principal, key, command_hash, key_answer from done where key_answer <> ''
)"""
FULL_WRITTEN: Final[LiteralString] = """
, answered as (
  update domainflow.command c set answer = d.box_answer, answered_at = clock_timestamp()
    from done d where d.box is not null and c.id = d.box::uuid
), accounted as (
  delete from domainflow.work_item w
   using unnest(%(a_item)::bigint[], %(a_id)::bigint[]) as a(item, id) join done d on d.ord = a.item
   where w.id = a.id
), shifted as (
  update domainflow.work_item w
     set state = case d.ledger when 'park' then 3 else 0 end,
         failures = case d.ledger when 'revive' then 0 else w.failures end,
         losses = case d.ledger when 'revive' then 0 else w.losses end,
         lost_alone = case d.ledger when 'revive' then 0 else w.lost_alone end,
         run_at = clock_timestamp()
    from done d
   where d.ledger is not null and w.campaign = d.campaign::uuid
     and case d.ledger when 'park' then w.state = 0 when 'unpark' then w.state = 3
                       when 'revive' then w.state in (3, 4) end
), opened as (
  insert into domainflow.work_item (campaign, tenant, phase, run, batch, start, stop, state)
  select d.campaign::uuid, d.tenant, o.phase, o.run, o.batch, o.start, o.stop, o.state
    from unnest(%(o_item)::bigint[], %(o_phase)::smallint[], %(o_run)::smallint[], %(o_batch)::int[],
                %(o_start)::bigint[], %(o_stop)::bigint[], %(o_state)::smallint[])
      as o(item, phase, run, batch, start, stop, state)
    join done d on d.ord = o.item
   order by o.item, o.batch
)"""
PLAIN_TOLD: Final[LiteralString] = """
select exists (select 1 from barrier), d.ord is not null, l.version, l.hash, l.epoch, t.command_hash, t.answer,
       false, false
"""
FULL_TOLD: Final[LiteralString] = """
select exists (select 1 from barrier), d.ord is not null, l.version, l.hash, l.epoch, t.command_hash, t.answer,
       i.ord in (select ord from short), i.ord in (select ord from usurped)
"""
OF_EACH: Final[LiteralString] = """
  from unnest(%(stream)::text[]) with ordinality as i(stream, ord)
  left join done d on d.ord = i.ord
  left join locked l on l.stream = i.stream
  left join lateral (select command_hash, answer from taken where taken.ord = i.ord limit 1) t on true
 order by i.ord
"""
NAME: Final = re.compile(r"%\((\w+)\)")


class Statement(NamedTuple):
    """A statement whose parameters are numbered, and the names of those in their order."""

    text: bytes
    names: tuple[str, ...]


def _numbered(text: LiteralString) -> Statement:
    names = tuple(dict.fromkeys(NAME.findall(text)))
    return Statement(NAME.sub(lambda found: f"${names.index(found[1]) + 1}", text).encode(), names)


PLAIN: Final = _numbered(HEADS + PLAIN_COLUMNS + LOCKED + PLAIN_FIT + WRITTEN + PLAIN_TOLD + OF_EACH)
FULL: Final = _numbered(HEADS + FULL_COLUMNS + LOCKED + FULL_FIT + WRITTEN + FULL_WRITTEN + FULL_TOLD + OF_EACH)

LOCK_HEADS: Final[LiteralString] = (
    "select 1 from domainflow.head where stream = any(%s) order by stream for no key update"
)
RAISE_GENERATION: Final[LiteralString] = """
insert into domainflow.lane (runtime, lane, generation) values (%s, %s, 1)
on conflict (runtime, lane) do update set generation = domainflow.lane.generation + 1
returning generation
"""
FIND_EVENT: Final[LiteralString] = "select hash from domainflow.event where stream = %s and version = %s"
