-- A principal's quota counts campaigns that have not ended, however many have. Streams of no campaign have no status.
set local role domainflow_owner;

create index head_unended on domainflow.head (tenant, stream) where status not in ('completed', 'failed', 'cancelled');
