-- Who looks after what is everybody's: one runtime at a time, by terms that only rise.
set local role domainflow_owner;

create table domainflow.leader (
  name text primary key,        -- of what is led
  holder uuid not null,         -- the runtime; not a foreign key: a dead runtime's row may be gone
  term bigint not null,
  until timestamptz not null
) with (fillfactor = 50);
grant select, insert, update on domainflow.leader to domainflow_upkeep;
grant select on domainflow.leader to domainflow_reader;

-- What is too old is looked for by its age, a slice at a time.
create index command_age on domainflow.command (created_at);
