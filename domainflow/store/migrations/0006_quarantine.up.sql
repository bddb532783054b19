-- Streams whose actors could not be started, or came to nothing, again and again: left alone until `until`.
set local role domainflow_owner;

create table domainflow.quarantine (
  stream text primary key,
  tenant text not null,
  version bigint not null,      -- of the stream then: once it has moved, nothing of this holds
  tries int not null,           -- since `first_at`
  rounds int not null,          -- of quarantine; each lasts twice as long as the one before
  reason text not null,
  first_at timestamptz not null default clock_timestamp(),
  last_at timestamptz not null default clock_timestamp(),
  until timestamptz             -- null: tried, and not yet in quarantine
);

grant select, insert, update, delete on domainflow.quarantine to domainflow_upkeep;
grant select on domainflow.quarantine to domainflow_app, domainflow_reader;
alter table domainflow.quarantine enable row level security;
alter table domainflow.quarantine force row level security;
create policy tenant on domainflow.quarantine to domainflow_app, domainflow_reader
  using (tenant = any (string_to_array(current_setting('domainflow.tenants', true), ',')))
  with check (tenant = any (string_to_array(current_setting('domainflow.tenants', true), ',')));
create policy upkeep on domainflow.quarantine to domainflow_upkeep using (true) with check (true);
