-- The box in exactly the order in which it is read: no plan, however old its statistics, sorts all that waits for a stream.
set local role domainflow_owner;

drop index domainflow.command_open;
create index command_open on domainflow.command (stream, created_at, id) where answered_at is null;
