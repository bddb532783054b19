drop function domainflow.current_era;
alter table domainflow.event alter column era set default 1;
