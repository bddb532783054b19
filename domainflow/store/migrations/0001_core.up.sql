-- The durable core: runtimes, streams, commands, work, results, sources; roles and row-level security from the first day.
-- Written for PostgreSQL 15. Every tenant table forces row-level security; see the policies at the end.

do $$
declare
  role record;
begin
  for role in select * from (values
    ('domainflow_owner', 'nologin'),
    ('domainflow_app', 'login noinherit'),      -- noinherit: it acts as upkeep only where it says `set role`
    ('domainflow_reader', 'login'),
    ('domainflow_upkeep', 'nologin')) as r(name, how)
  loop
    begin
      execute format('create role %I %s', role.name, role.how);
    exception when duplicate_object or unique_violation then
      null;  -- roles belong to the cluster: another database of it made them first
    end;
  end loop;
end $$;

grant domainflow_upkeep to domainflow_app;
grant domainflow_owner to current_user;

create schema domainflow authorization domainflow_owner;
grant usage on schema domainflow to domainflow_app, domainflow_reader, domainflow_upkeep;
set local role domainflow_owner;

-- Who is alive. Liveness: the lease (database clock) or the session lock `lock_key`, whichever says dead first.
create table domainflow.runtime (
  id uuid primary key,
  host text not null,
  pid int not null,
  lock_key bigint not null,
  started_at timestamptz not null default clock_timestamp(),
  lease_until timestamptz not null
) with (fillfactor = 50);

-- Both must hold for a runtime to be alive; either one's end allows a takeover. An advisory lock of a session ends
-- with its backend, so that a restart after a kill need not wait for the lease.
create view domainflow.live_runtime as
  select r.id from domainflow.runtime r
   where r.lease_until > clock_timestamp()
     and exists (select 1 from pg_locks l
                  where l.locktype = 'advisory' and l.granted and l.objsubid = 1
                    and l.database = (select d.oid from pg_database d where d.datname = current_database())
                    and (l.classid::bigint << 32) | l.objid::bigint = r.lock_key);

-- A commit statement holds its lane's row FOR SHARE; raising the generation waits for it and bars those not begun.
create table domainflow.lane (
  runtime uuid not null references domainflow.runtime on delete cascade,
  lane smallint not null,
  generation bigint not null,
  primary key (runtime, lane)
);

-- Counts restores: a restored database has another system identifier, and its stored xids mean nothing there.
create table domainflow.era (
  era int primary key,
  system_identifier bigint not null,
  since timestamptz not null default clock_timestamp()
);
insert into domainflow.era (era, system_identifier) select 1, system_identifier from pg_control_system();

create sequence domainflow.event_seq as bigint cache 32;

-- What a compare-and-set must look at, and nothing else: its updates stay on their page.
create table domainflow.head (
  stream text primary key,
  tenant text not null,
  version bigint not null,
  hash bytea not null,
  epoch bigint,                 -- of an owned stream; null: shared, written from anywhere by compare-and-set
  owner uuid,                   -- the runtime that holds it; not a foreign key: a dead runtime's row may be gone
  status text
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
-- `status` changes rarely, so the index does not cost the hot path its in-page updates.
create index head_active on domainflow.head (stream) where status in ('queued', 'running', 'pausing');
create index head_owner on domainflow.head (owner) where owner is not null;

create table domainflow.event (
  stream text not null,
  version bigint not null,
  tenant text not null,
  era int not null default 1,
  xid xid8 not null default pg_current_xact_id(),
  seq bigint not null default nextval('domainflow.event_seq'),
  recorded_at timestamptz not null,
  type text not null,
  type_version smallint not null,
  context bytea not null,       -- who, why, decision, correlation, causation: the audit record
  body bytea not null,
  hash bytea not null,          -- see domainflow/store/chain.py
  primary key (stream, version)
);
create index event_feed on domainflow.event (era, xid, seq);

create function domainflow.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'append-only: % on %', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger event_append_only before update or delete or truncate on domainflow.event
  for each statement execute function domainflow.refuse_change();

create table domainflow.snapshot (
  stream text primary key,
  tenant text not null,
  version bigint not null,
  fold_version smallint not null,
  state bytea not null
) with (fillfactor = 60);

create table domainflow.idempotency (
  tenant text not null,
  principal text not null,
  key text not null,
  command_hash bytea not null,
  answer bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant, principal, key)
);
create index idempotency_age on domainflow.idempotency (created_at);

-- The command box: for streams that another live runtime owns.
create table domainflow.command (
  id uuid primary key,
  stream text not null,
  tenant text not null,
  body bytea not null,
  context bytea not null,
  deadline timestamptz not null,
  created_at timestamptz not null default clock_timestamp(),
  answered_at timestamptz,
  answer bytea
) with (fillfactor = 70);
create index command_open on domainflow.command (stream, created_at) where answered_at is null;

-- Read model of campaigns, exact: written in the commit that creates, archives or deletes one.
create table domainflow.campaign (
  id uuid primary key,
  tenant text not null,
  principal text not null,
  name text not null,
  source_stream text not null,
  base bigint not null,
  count bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  business_status text,
  deleted_at timestamptz
);
create index campaign_of on domainflow.campaign (tenant, principal, created_at);
create index campaign_recent on domainflow.campaign (tenant, created_at, id);
create index campaign_deleted on domainflow.campaign (deleted_at) where deleted_at is not null;

-- One row a principal, to be locked while its quota is checked.
create table domainflow.quota (
  tenant text not null,
  principal text not null,
  primary key (tenant, principal)
);

-- state: 0 ready, 1 claimed, 2 done, 3 parked, 4 dead. Done rows are deleted by the commit that accounts them.
create table domainflow.work_item (
  id bigint generated always as identity primary key,
  campaign uuid not null,
  tenant text not null,
  phase smallint not null,
  run smallint not null,
  batch int not null,
  start bigint not null,
  stop bigint not null,
  state smallint not null default 0 check (state between 0 and 4),
  fence bigint not null default 0,
  failures smallint not null default 0,
  losses smallint not null default 0,        -- of its worker while the host lived
  lost_alone smallint not null default 0,    -- of those, while it was the worker's only batch
  runtime uuid,                              -- who claimed it
  run_at timestamptz not null default clock_timestamp(),
  reason text,
  unique (campaign, phase, run, batch)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
create index work_item_ready on domainflow.work_item (run_at, id) where state = 0;
create index work_item_claimed on domainflow.work_item (runtime) where state = 1;
create index work_item_done on domainflow.work_item (campaign) where state = 2;

create table domainflow.batch (
  campaign uuid not null,
  phase smallint not null,
  run smallint not null,
  batch int not null,
  tenant text not null,
  start bigint not null,
  stop bigint not null,
  counts bytea not null,        -- msgpack map of outcome to names
  outcomes bytea not null,      -- zlib of a nibble a position (DNS), else empty
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (campaign, phase, run, batch)
) partition by hash (campaign);

create table domainflow.hit (
  campaign uuid not null,
  phase smallint not null,
  run smallint not null,
  position bigint not null,
  tenant text not null,
  body bytea not null,          -- msgpack of what the phase keeps of a name
  primary key (campaign, phase, run, position)
) partition by hash (campaign);

do $$
begin
  for n in 0..7 loop
    execute format('create table domainflow.batch_%s partition of domainflow.batch for values with (modulus 8, remainder %s)', n, n);
    execute format('create table domainflow.hit_%s partition of domainflow.hit for values with (modulus 8, remainder %s)', n, n);
    execute format('alter table domainflow.batch_%s alter column outcomes set storage external', n);  -- it is zlib already
  end loop;
end $$;

-- Canonical bytes of word lists and name files, once a tenant, under their hash.
create table domainflow.source (
  tenant text not null,
  sha256 text not null,
  kind text not null,
  size_bytes bigint not null,
  lines bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant, sha256)
);
create table domainflow.source_chunk (
  tenant text not null,
  sha256 text not null,
  chunk int not null,
  data bytea not null,          -- zlib of up to 1 MiB of the canonical bytes
  primary key (tenant, sha256, chunk),
  foreign key (tenant, sha256) references domainflow.source on delete cascade
);
alter table domainflow.source_chunk alter column data set storage external;

grant select, insert, update, delete on domainflow.runtime to domainflow_upkeep;
grant select on domainflow.runtime, domainflow.live_runtime, domainflow.era to domainflow_app, domainflow_reader, domainflow_upkeep;
grant select, insert, update on domainflow.lane to domainflow_app;
grant select, insert, update, delete on domainflow.lane to domainflow_upkeep;
grant usage on sequence domainflow.event_seq to domainflow_app, domainflow_upkeep;
grant select, insert, update on domainflow.head, domainflow.snapshot, domainflow.command, domainflow.campaign, domainflow.quota
  to domainflow_app;
grant select, insert on domainflow.event, domainflow.idempotency, domainflow.source, domainflow.source_chunk to domainflow_app;
grant select, insert, update, delete on domainflow.work_item, domainflow.batch, domainflow.hit to domainflow_app;
grant select, update on domainflow.head to domainflow_upkeep;
grant select, insert, update, delete on domainflow.work_item, domainflow.batch, domainflow.hit to domainflow_upkeep;
grant update (answer, answered_at) on domainflow.command to domainflow_upkeep;
grant select, delete on domainflow.command, domainflow.idempotency, domainflow.campaign, domainflow.snapshot to domainflow_upkeep;
grant select on domainflow.event, domainflow.source, domainflow.source_chunk, domainflow.quota to domainflow_upkeep;
grant select on all tables in schema domainflow to domainflow_reader;

-- Row-level security. The application sees the tenants that its transaction names; upkeep sees all.
do $$
declare
  tenant_table text;
begin
  foreach tenant_table in array array['head', 'event', 'snapshot', 'idempotency', 'command', 'campaign', 'quota',
                                      'work_item', 'batch', 'hit', 'source', 'source_chunk']
  loop
    execute format('alter table domainflow.%I enable row level security', tenant_table);
    execute format('alter table domainflow.%I force row level security', tenant_table);
    execute format($policy$
      create policy tenant on domainflow.%I to domainflow_app, domainflow_reader
        using (tenant = any (string_to_array(current_setting('domainflow.tenants', true), ',')))
        with check (tenant = any (string_to_array(current_setting('domainflow.tenants', true), ',')))
      $policy$, tenant_table);
    execute format('create policy upkeep on domainflow.%I to domainflow_upkeep using (true) with check (true)', tenant_table);
  end loop;
end $$;
