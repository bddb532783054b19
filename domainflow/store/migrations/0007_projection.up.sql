-- Projections of hosts: what each generation of one has applied of the feed. What it makes of it are tables of the host's.
set local role domainflow_owner;

create table domainflow.projection (
  tenant text not null,
  name text not null,
  generation int not null,      -- a higher one is built beside the live one, and follows it
  version int not null,         -- of the host's function
  live boolean not null default false,
  era int not null default 0,   -- the place in the feed up to which everything is applied
  xid xid8 not null default '0',
  seq bigint not null default 0,
  primary key (tenant, name, generation)
) with (fillfactor = 50);
create unique index projection_live on domainflow.projection (tenant, name) where live;

grant select, insert, update, delete on domainflow.projection to domainflow_app;
grant select on domainflow.projection to domainflow_upkeep, domainflow_reader;
alter table domainflow.projection enable row level security;
alter table domainflow.projection force row level security;
create policy tenant on domainflow.projection to domainflow_app, domainflow_reader
  using (tenant = any (string_to_array(current_setting('domainflow.tenants', true), ',')))
  with check (tenant = any (string_to_array(current_setting('domainflow.tenants', true), ',')));
create policy upkeep on domainflow.projection to domainflow_upkeep using (true) with check (true);
