do $$
begin
  for n in 0..7 loop
    execute format('grant select on domainflow.batch_%s, domainflow.hit_%s to domainflow_reader', n, n);
  end loop;
end $$;
