-- Row-level security of a partitioned table holds for who asks the table, not for who asks a partition: nobody may.
set local role domainflow_owner;

do $$
begin
  for n in 0..7 loop
    execute format('revoke all on domainflow.batch_%s, domainflow.hit_%s from domainflow_reader', n, n);
  end loop;
end $$;
