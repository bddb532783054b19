-- Archives: where the events before a stream's seal are kept, and the only way by which they leave the database.
set local role domainflow_owner;

create table domainflow.archive (
  stream text primary key,
  tenant text not null,
  version bigint not null,      -- of the seal, the first event that stays: all below are in the file
  previous bytea not null,      -- the hash of the event before it, which its own hash covers
  first_era int not null,       -- the places in the feed of the first and the last event in the file
  first_xid xid8 not null,
  first_seq bigint not null,
  last_era int not null,
  last_xid xid8 not null,
  last_seq bigint not null,
  host text not null,
  file text not null,
  sha256 bytea not null,        -- of the file
  archived_at timestamptz not null default clock_timestamp(),
  deleted_at timestamptz        -- null: some of what is in the file may still be in `event`
);
create index archive_feed on domainflow.archive (last_era, last_xid, last_seq);
create index archive_left on domainflow.archive (stream) where deleted_at is null;

grant select, insert on domainflow.archive to domainflow_upkeep;
grant select on domainflow.archive to domainflow_app, domainflow_reader;
alter table domainflow.archive enable row level security;
alter table domainflow.archive force row level security;
create policy tenant on domainflow.archive to domainflow_app, domainflow_reader
  using (tenant = any (string_to_array(current_setting('domainflow.tenants', true), ',')))
  with check (tenant = any (string_to_array(current_setting('domainflow.tenants', true), ',')));
create policy upkeep on domainflow.archive to domainflow_upkeep using (true) with check (true);
create policy owner on domainflow.archive to domainflow_owner using (true) with check (true);

-- Of events the owner, as which `delete_archived` runs, sees what is archived and its seal, and nothing else.
create policy archived on domainflow.event for select to domainflow_owner
  using (exists (select 1 from domainflow.archive a where a.stream = event.stream and event.version <= a.version));
create policy deletable on domainflow.event for delete to domainflow_owner
  using (exists (select 1 from domainflow.archive a where a.stream = event.stream and event.version < a.version));

-- Nobody can log in as the owner, and what it deletes its policy bounds.
create or replace function domainflow.refuse_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and current_user = 'domainflow_owner' then
    return null;
  end if;
  raise exception 'append-only: % on %', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end $$;

-- Deletes up to `most` archived events of a stream, oldest first, and says how many; 0: none are left.
-- The event before the seal goes last: until then it vouches for the hash that verification begins with.
create function domainflow.delete_archived(of_stream text, most int) returns int
  language plpgsql security definer set search_path = pg_catalog as $$
declare
  archived domainflow.archive;
  deleted int;
begin
  select * into archived from domainflow.archive a where a.stream = of_stream for update;
  if archived.deleted_at is not null then
    return 0;
  end if;
  if archived.stream is not null
     and not exists (select 1 from domainflow.event e where e.stream = of_stream and e.version < archived.version) then
    update domainflow.archive a set deleted_at = clock_timestamp() where a.stream = of_stream;
    return 0;
  end if;
  if not exists (select 1 from domainflow.event s
                   join domainflow.event p on p.stream = s.stream and p.version = s.version - 1
                  where s.stream = of_stream and s.version = archived.version and s.tenant = archived.tenant
                    and s.type = 'campaign.sealed' and p.hash = archived.previous) then
    raise exception 'not sealed and archived: %', of_stream using errcode = 'insufficient_privilege';
  end if;
  delete from domainflow.event e
   where e.stream = of_stream and e.version < archived.version
     and e.version < most + (select min(f.version) from domainflow.event f where f.stream = of_stream);
  get diagnostics deleted = row_count;
  return deleted;
end $$;
revoke execute on function domainflow.delete_archived from public;
grant execute on function domainflow.delete_archived to domainflow_upkeep;
