set local role domainflow_owner;
do $$
begin
  if exists (select 1 from domainflow.archive) then
    raise exception 'events were archived: an older version would call their streams broken';
  end if;
end $$;
drop function domainflow.delete_archived;
create or replace function domainflow.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'append-only: % on %', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end $$;
drop policy archived on domainflow.event;
drop policy deletable on domainflow.event;
drop table domainflow.archive;
reset role;
