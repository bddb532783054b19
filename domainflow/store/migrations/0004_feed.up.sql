-- The feed's era is counted by the database itself, so that whoever writes an event, by whatever version, writes it right.
set local role domainflow_owner;

-- The default is a constant that a new era moves: a function in its place would cost each event what it takes to run.
do $$
begin
  execute format('alter table domainflow.event alter column era set default %s', (select max(era) from domainflow.era));
end $$;

-- Run as the owner by whoever connects to write; it changes nothing unless the database was restored elsewhere. The lock
-- on `event` waits for everybody who is writing, and whoever writes next has the new default.
create function domainflow.current_era() returns int language plpgsql security definer set search_path = pg_catalog as $$
declare
  here constant bigint := (select system_identifier from pg_control_system());
  last domainflow.era;
begin
  select * into last from domainflow.era order by era desc limit 1;
  if last.system_identifier = here then
    return last.era;
  end if;
  lock table domainflow.event in access exclusive mode;
  select * into last from domainflow.era order by era desc limit 1;
  if last.system_identifier <> here then
    last.era := last.era + 1;
    insert into domainflow.era (era, system_identifier) values (last.era, here);
    execute format('alter table domainflow.event alter column era set default %s', last.era);
  end if;
  return last.era;
end $$;
revoke execute on function domainflow.current_era from public;
grant execute on function domainflow.current_era to domainflow_app, domainflow_upkeep;
